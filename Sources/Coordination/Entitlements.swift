// Who may do what on what: all policies by id, and the verdict on a question.
//
// Any DENY that matches wins, then any ALLOW; among several the smallest id is named. A check asks the
// rule index for the few policies that can match at all and runs the matcher on those only, in the order
// of their ids, so that the first that matches is the one to name and the rest need not be looked at.

struct Entitlements: Sendable {
    /// A policy, made ready for matching.
    final class Rule: Sendable {
        let policy: Policy
        let subject: Pattern
        let action: Pattern
        let resource: Pattern

        init(_ policy: Policy) {
            self.policy = policy
            subject = Pattern(policy.subject)
            action = Pattern(policy.action)
            resource = Pattern(policy.resource)
        }
    }

    private let limits: SharedLimits
    /// By id.
    private var rules: [Rule] = []
    private var index = RuleIndex()

    init(limits: SharedLimits) {
        self.limits = limits
    }

    var count: Int { rules.count }

    /// Where the id is or would be.
    private func place(of id: PolicyID) -> (index: Int, isThere: Bool) {
        let index = rules.partitionPoint { !($0.policy.id < id) }
        return (index, index < rules.count && rules[index].policy.id == id)
    }

    func policy(_ id: PolicyID) -> Policy? {
        let (place, isThere) = place(of: id)
        return isThere ? rules[place].policy : nil
    }

    mutating func set(_ policy: Policy) throws(Refusal) {
        let (place, isThere) = place(of: policy.id)
        guard isThere || rules.count < limits.values.maxPolicies else {
            throw .limitReached("there are \(limits.values.maxPolicies) policies, the most there may be")
        }
        let rule = Rule(policy)
        if isThere {
            index.remove(rules[place])
            rules[place] = rule
        } else {
            rules.insert(rule, at: place)
        }
        index.insert(rule)
    }

    mutating func delete(_ id: PolicyID) throws(Refusal) -> Policy {
        let (place, isThere) = place(of: id)
        guard isThere else { throw .unknownPolicy(id) }
        let rule = rules.remove(at: place)
        index.remove(rule)
        return rule.policy
    }

    func check(subject: String, action: String, resource: String) -> Verdict {
        var (subject, action, resource) = (subject, action, resource)
        return subject.withUTF8 { subject in
            action.withUTF8 { action in
                resource.withUTF8 { resource in
                    check(RuleIndex.Question(subject: subject, action: action, resource: resource))
                }
            }
        }
    }

    private func check(_ question: RuleIndex.Question) -> Verdict {
        var denial: PolicyID?
        var permission: PolicyID?
        index.forEachCandidates(for: question) { candidates in
            denial = Entitlements.smallest(denial, in: candidates.denials, for: question)
            if denial == nil {
                permission = Entitlements.smallest(permission, in: candidates.permissions, for: question)
            }
        }
        if let denial { return .denied(by: denial) }
        if let permission { return .allowed(by: permission) }
        return .noMatch
    }

    /// The smaller of the best so far and the first rule that matches. The rules are in the order of their ids.
    private static func smallest(
        _ best: PolicyID?, in rules: [Rule], for question: RuleIndex.Question
    ) -> PolicyID? {
        for rule in rules where question.matches(rule) {
            guard let best, best < rule.policy.id else { return rule.policy.id }
            return best
        }
        return best
    }

    /// By id, those whose subject begins with the prefix, taken literally.
    func policies(subjectPrefix: String, after: PolicyID?, limit: Int) -> [Policy] {
        var start = 0
        if let after {
            let (index, isThere) = place(of: after)
            start = isThere ? index + 1 : index
        }
        return Array(
            rules[start...].lazy
                .map(\.policy)
                .filter { $0.subject.utf8.starts(with: subjectPrefix.utf8) }
                .prefix(limit))
    }

    func checkInvariants() {
        precondition(rules.count <= limits.values.maxPolicies && index.count == rules.count)
        for (rule, next) in zip(rules, rules.dropFirst()) {
            precondition(rule.policy.id < next.policy.id, "policies out of order")
        }
    }
}
