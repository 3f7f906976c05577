// What a refusal says to a person: what was wrong, what was found, and what to do where that helps.

extension Refusal {
    package var message: String {
        switch self {
        case .invalid(let text), .limitReached(let text):
            text
        case .unknownAgent(let agent):
            "unknown agent \(agent): it never registered, or died so long ago that it is forgotten"
        case .deadAgent(let agent):
            "agent \(agent) is DEAD and never comes back: register anew"
        case .noLease(let task):
            "nobody holds a lease on task \(FieldRules.quote(task.text)): it was released or has expired"
        case .heldByAnother(let task, let holder, let caller):
            "the lease on task \(FieldRules.quote(task.text)) is held by agent \(holder), not by \(caller)"
        case .staleToken(let task, let given, let current):
            "token \(given.value) for task \(FieldRules.quote(task.text)) is not the current one, "
                + "\(current.value): the lease was lost"
        case .unknownPolicy(let policy):
            "unknown policy \(FieldRules.quote(policy.text))"
        case .unknownTask(let task):
            "unknown task \(FieldRules.quote(task.text))"
        case .notClaimer(let task, let claimer, let caller):
            "task \(FieldRules.quote(task.text)) is with agent \(claimer), not with \(caller)"
        case .notClaimed(let task, let status):
            "task \(FieldRules.quote(task.text)) is \(status.name), not CLAIMED"
        case .notRequeuable(let task, let status):
            "task \(FieldRules.quote(task.text)) is \(status.name): only a task that is CLAIMED or DEAD can be put back"
        case .leaseOnFinishedTask(let task, let holder):
            "agent \(holder) holds a lease named \(FieldRules.quote(task.text)), the id of the task: "
                + "the task can be put back when the lease has ended"
        case .leaseOnQueuedTask(let task, let status):
            "task \(FieldRules.quote(task.text)) is \(status.name) in the queue: ClaimTask takes it, not AcquireLease"
        case .releaseOfClaim(let task):
            "task \(FieldRules.quote(task.text)) is claimed from the queue: "
                + "CompleteTask or FailTask ends the claim, not ReleaseLease"
        case .requestIDReused(let id):
            "request_id \(FieldRules.quote(id.text)) was used before for a request with other content"
        case .historyGone(let after, let oldest):
            "the events after sequence \(after.value) are gone: the oldest that is kept is \(oldest.value)"
        case .futureSequence(let given, let last):
            "sequence \(given.value) is in the future: the last event has sequence \(last.value)"
        }
    }
}

extension QueuedTask.Status {
    /// As on the wire, without the prefix.
    package var name: String {
        switch self {
        case .pending: "PENDING"
        case .claimed: "CLAIMED"
        case .completed: "COMPLETED"
        case .dead: "DEAD"
        }
    }
}
