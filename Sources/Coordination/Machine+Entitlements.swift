// Policies are set and deleted; questions are answered.

extension Machine {
    mutating func set(_ policy: Policy) throws(Refusal) -> Reply {
        try rules.policy(policy)
        try entitlements.set(policy)
        if recorder.isOn { record(.policy(policy)) }
        emit(.policySet, .policy(policy), agent: nil)
        notePolicyChange()
        return .policy(policy)
    }

    mutating func delete(_ id: PolicyID, _ reason: EventReason = .none) throws(Refusal) -> Reply {
        try rules.name(id.text, "id")
        let policy = try entitlements.delete(id)
        emit(.policyDeleted, .policy(policy), agent: nil, reason: reason)
        if recorder.isOn { record(.policyDeleted(id)) }
        notePolicyChange()
        return .done
    }

    /// May the subject do this on that? A `*` in the question is no wildcard.
    package func check(subject: String, action: String, resource: String) throws(Refusal) -> Verdict {
        try rules.length(subject, "subject", max: limits.values.maxCheckedTextBytes)
        try rules.length(action, "action", max: limits.values.maxCheckedTextBytes)
        try rules.length(resource, "resource", max: limits.values.maxCheckedTextBytes)
        return entitlements.check(subject: subject, action: action, resource: resource)
    }
}
