// Tasks are created, claimed, finished and put back. A claim is a lease on the task's id: one table says
// who holds what, one counter gives the tokens, one queue of deadlines ends both.

extension Machine {
    mutating func create(_ request: Command.CreateTask) throws(Refusal) -> Reply {
        try rules.task(request)
        try rules.requestID(request.requestID)
        let ttlSeconds = try rules.ttl(request.ttlSeconds, default: limits.values.defaultLeaseTTLSeconds)
        let content = { Fingerprint(request, ttlSeconds: ttlSeconds) }
        if case .task(let id) = try retries.recall(request.requestID, content: content()) {
            guard let task = tasks.slot(of: id) else { throw .unknownTask(id) }
            return .created(tasks[task].task)
        }
        let specification = QueuedTask.Specification(
            id: request.newID, type: request.type, input: request.input, requiredTools: request.requiredTools,
            maxRetries: request.maxRetries, ttlSeconds: ttlSeconds, createdAt: now.wall)
        precondition(leases.slot(of: specification.id) == nil, "a task id was not fresh")
        try tasks.checkRoom(for: specification)
        try matchmaker.checkRoom()
        let tools = matchmaker.use(request.requiredTools)
        let task = tasks.create(specification, tools: tools)
        let created = tasks[task].task
        remember(request.requestID, content: content(), made: .task(request.newID))
        if recorder.isOn { record(.task(specification, serial: tasks[task].serial)) }
        emit(.taskCreated, .task(created), agent: nil)
        matchmaker.add(task, requiring: tools, serial: tasks[task].serial)
        offer(task)
        return .created(created)
    }

    // MARK: Claims

    mutating func claim(for id: AgentID) throws(Refusal) -> Outcome {
        let agent = try agents.living(id)
        guard agents[agent].status == .alive, let task = matchmaker.oldestTask(for: agents[agent].tools) else {
            return try waitForTask(agent)
        }
        return .reply(beginClaim(task, by: agent, answering: origin))
    }

    private mutating func beginClaim(
        _ task: TaskSlot, by agent: AgentSlot, answering origin: Origin?
    ) -> Reply {
        let specification = tasks[task].task.specification
        matchmaker.take(task, requiring: tasks[task].tools)
        let lease = leases.insert(specification.id, claimed: task)
        let token = hold(lease, by: agent, ttlSeconds: specification.ttlSeconds, isRetriable: false)
        tasks.claim(task, by: agents[agent].id, token: token, at: now.wall)
        recordState(of: task)
        emit(.taskClaimed, .task(tasks[task].task), agent: agents[agent].id, answering: origin)
        return .claimed(tasks[task].task, leases.lease(lease))
    }

    /// The lease ends; what becomes of the task is up to the caller.
    mutating func endClaim(_ lease: LeaseSlot) {
        assert(leases[lease].claimed != nil)
        unhold(lease)
        leases.remove(lease)
    }

    /// Back to PENDING, since its claim ended with nothing done. The caller offers it then.
    mutating func requeue(_ task: TaskSlot, _ reason: EventReason) {
        let claimer = tasks[task].task.claimer
        tasks.requeue(task)
        recordState(of: task)
        emit(.taskRequeued, .task(tasks[task].task), agent: claimer, reason: reason)
        matchmaker.add(task, requiring: tasks[task].tools, serial: tasks[task].serial)
    }

    /// A task has become PENDING: the longest-waiting claimer that can do it gets it.
    mutating func offer(_ task: TaskSlot) {
        guard let wait = matchmaker.longestWaiting(for: tasks[task].tools) else { return }
        let (agent, origin) = (waits[wait].agent, waits[wait].origin)
        let waiter = end(wait)
        settle(waiter, .reply(beginClaim(task, by: agent, answering: origin)))
    }

    /// The agent is UNREACHABLE now: its calls wait on, but are given nothing.
    mutating func suspendClaiming(_ agent: AgentSlot) {
        for wait in waits.calls(of: agents[agent].waits) { stepOutOfLine(wait) }
    }

    /// The agent is ALIVE again: its calls stand where they stood, and take what has come meanwhile.
    mutating func resumeClaiming(_ agent: AgentSlot) {
        for wait in waits.calls(of: agents[agent].waits) {
            guard case .task = waits[wait].wish else { continue }
            if let task = matchmaker.oldestTask(for: agents[agent].tools) {
                let origin = waits[wait].origin
                let waiter = end(wait)
                settle(waiter, .reply(beginClaim(task, by: agent, answering: origin)))
            } else {
                standInLine(wait)
            }
        }
    }

    // MARK: Ends

    mutating func complete(_ finish: Command.FinishTask, output: [UInt8]) throws(Refusal) -> Reply {
        try rules.name(finish.task.text, "task_id")
        try rules.size(output, "output", max: limits.values.maxTaskPayloadBytes)
        guard let task = tasks.slot(of: finish.task) else { throw .unknownTask(finish.task) }
        let isRepeat = tasks[task].task.status == .completed && tasks[task].task.claimer == finish.agent
        try tasks.checkMayFinish(finish, task, isRepeat: isRepeat)
        if isRepeat { return .done }
        let input = tasks[task].task.specification.input.count
        guard input + output.count <= rules.limits.values.maxTaskPayloadBytes else {
            throw .invalid(
                "output and the task's input must be at most \(rules.limits.values.maxTaskPayloadBytes) bytes together, "
                    + "found \(output.count) and \(input)")
        }
        endClaim(of: task)
        tasks.complete(task, output: output, at: now)
        recordState(of: task)
        emit(.taskCompleted, .task(tasks[task].task), agent: finish.agent)
        matchmaker.release(tasks[task].tools)
        return .done
    }

    mutating func fail(_ finish: Command.FinishTask, reason: String) throws(Refusal) -> Reply {
        try rules.name(finish.task.text, "task_id")
        try rules.length(reason, "reason", max: limits.values.maxFailureReasonBytes)
        guard let task = tasks.slot(of: finish.task) else { throw .unknownTask(finish.task) }
        let isRepeat = tasks[task].failedBy == finish.agent
        try tasks.checkMayFinish(finish, task, isRepeat: isRepeat)
        if isRepeat { return .done }
        endClaim(of: task)
        if tasks[task].task.retryCount < tasks[task].task.specification.maxRetries {
            tasks.retry(task, reason: reason)
            recordState(of: task)
            emit(.taskFailed, .task(tasks[task].task), agent: finish.agent)
            matchmaker.add(task, requiring: tasks[task].tools, serial: tasks[task].serial)
            offer(task)
        } else {
            tasks.bury(task, reason: reason, at: now)
            recordState(of: task)
            emit(.taskDead, .task(tasks[task].task), agent: finish.agent)
            matchmaker.release(tasks[task].tools)
        }
        return .done
    }

    private mutating func endClaim(of task: TaskSlot) {
        guard let lease = leases.slot(of: tasks[task].task.id) else { preconditionFailure("a claim without a lease") }
        endClaim(lease)
    }

    mutating func recordState(of task: TaskSlot) {
        if recorder.isOn { record(.taskState(tasks[task].task.id, tasks.stored(task).state)) }
    }
}
