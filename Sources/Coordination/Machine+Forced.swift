// What an operator does by force, to what others hold: the ends that time or the agents themselves would bring, now.
//
// Each is one command, so that what was looked at when it was decided is what is acted on: a lease is named with its
// token, and one that has moved on meanwhile stays as it is. Unlike an agent's own requests, these are refused where there
// is nothing to do, because a person should know. The reply names the first event.

extension Topic {
    /// What the commands here are told as.
    static let forceable: [Topic] = [.leaseExpired, .taskRequeued, .policyDeleted, .agentDied]
}

extension Machine {
    mutating func forceRelease(_ task: TaskID, _ token: FencingToken) throws(Refusal) -> Reply {
        try rules.name(task.text, "task_id")
        guard let lease = leases.slot(of: task), let holding = leases[lease].holding else { throw .noLease(task) }
        guard holding.token == token else { throw .staleToken(task, given: token, current: holding.token) }
        let first = history.next
        lose(lease, .forced)
        return .forced(first)
    }

    mutating func forceDeregister(_ id: AgentID) throws(Refusal) -> Reply {
        let agent = try agents.living(id)
        let first = history.next
        die(agent, .forced)
        return .forced(first)
    }

    mutating func forceRequeue(_ id: TaskID) throws(Refusal) -> Reply {
        try rules.name(id.text, "task_id")
        guard let task = tasks.slot(of: id) else { throw .unknownTask(id) }
        let first = history.next
        switch tasks[task].task.status {
        case .claimed:
            guard let lease = leases.slot(of: id) else { preconditionFailure("a claim without a lease") }
            lose(lease, .forced)
        case .dead: try revive(task)
        case .pending, .completed: throw .notRequeuable(id, tasks[task].task.status)
        }
        return .forced(first)
    }

    mutating func forceDelete(_ id: PolicyID) throws(Refusal) -> Reply {
        let first = history.next
        _ = try delete(id, .forced)
        return .forced(first)
    }

    private mutating func revive(_ task: TaskSlot) throws(Refusal) {
        let (id, specification) = (tasks[task].task.id, tasks[task].task.specification)
        // The id of a finished task is free.
        if let lease = leases.slot(of: id), let holder = leases[lease].holding?.agentID {
            throw .leaseOnFinishedTask(id, holder: holder)
        }
        try tasks.checkRoom(forBytes: tasks[task].task.bytes)
        try matchmaker.checkRoom()
        let claimer = tasks[task].task.claimer
        tasks.revive(task, tools: matchmaker.use(specification.requiredTools))
        recordState(of: task)
        emit(.taskRequeued, .task(tasks[task].task), agent: claimer, reason: .forced)
        matchmaker.add(task, requiring: tasks[task].tools, serial: tasks[task].serial)
        offer(task)
    }
}
