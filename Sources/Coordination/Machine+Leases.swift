// Leases are taken, prolonged, given back, lost, and passed on to those who wait for them.

extension Machine {
    mutating func acquire(_ request: Command.AcquireLease) throws(Refusal) -> Outcome {
        try rules.name(request.task.text, "task_id")
        try rules.requestID(request.requestID)
        let ttlSeconds = try rules.ttl(request.ttlSeconds, default: limits.values.defaultLeaseTTLSeconds)
        let agent = try agents.living(request.agent)
        let won = try retries.recall(request.requestID, content: Fingerprint(request, ttlSeconds: ttlSeconds))
        // Only while the lease is still held under that token; otherwise this is a new request.
        if case .lease(let token) = won, let lease = leases.slot(of: request.task, under: token) {
            return .reply(.lease(leases.lease(lease), acquired: true))
        }
        if let lease = leases.slot(of: request.task) {
            guard leases[lease].claimed == nil else { throw .leaseOnQueuedTask(request.task, .claimed) }
            guard request.waitMilliseconds > 0 else {
                return .reply(.lease(leases.lease(lease), acquired: false))
            }
            return try wait(for: lease, agent, request, ttlSeconds: ttlSeconds)
        }
        if let status = tasks.openStatus(of: request.task) { throw .leaseOnQueuedTask(request.task, status) }
        guard leases.plainCount < limits.values.maxLeases else {
            throw .limitReached("there are \(limits.values.maxLeases) leases, the most there may be")
        }
        let lease = leases.insert(request.task, claimed: nil)
        grant(lease, to: agent, request, ttlSeconds: ttlSeconds, answering: origin)
        return .reply(.lease(leases.lease(lease), acquired: true))
    }

    private mutating func grant(
        _ lease: LeaseSlot, to agent: AgentSlot, _ request: Command.AcquireLease, ttlSeconds: UInt32,
        answering origin: Origin?
    ) {
        let token = hold(lease, by: agent, ttlSeconds: ttlSeconds, isRetriable: request.requestID != nil)
        remember(request.requestID, content: Fingerprint(request, ttlSeconds: ttlSeconds), made: .lease(token))
        emit(.leaseAcquired, .lease(leases.lease(lease)), agent: request.agent, answering: origin)
    }

    /// Makes the agent the holder, under a new token.
    mutating func hold(
        _ lease: LeaseSlot, by agent: AgentSlot, ttlSeconds: UInt32, isRetriable: Bool
    ) -> FencingToken {
        let ttl = Span.seconds(ttlSeconds)
        let holding = LeaseTable.Holding(
            agent: agent, agentID: agents[agent].id, token: takeToken(), acquiredAt: now.wall,
            isRetriable: isRetriable, ttlSeconds: ttlSeconds, expiresAt: now.wall + ttl,
            deadline: deadlines.insert(.lease(lease), due: now.instant + ttl))
        leases.hold(lease, holding, in: &agents[agent].leases)
        if recorder.isOn { record(.lease(leases.stored(lease, deadline: now.instant + ttl))) }
        return holding.token
    }

    /// Nobody holds it any more; the caller passes it on, or removes it.
    mutating func unhold(_ lease: LeaseSlot) {
        guard let holding = leases[lease].holding else { preconditionFailure("nobody holds it") }
        if let deadline = holding.deadline { deadlines.cancel(deadline) }
        leases.unhold(lease, in: &agents[holding.agent].leases)
        if recorder.isOn { record(.leaseEnded(leases[lease].task)) }
    }

    mutating func renew(_ held: Command.HeldLease, ttlSeconds: UInt32) throws(Refusal) -> Reply {
        try rules.name(held.task.text, "task_id")
        let given = try rules.ttl(ttlSeconds, default: 0)
        let lease = try leases.slot(of: held)
        guard let holding = leases[lease].holding, let deadline = holding.deadline else {
            preconditionFailure("a lease without an end")
        }
        let due = leases.renew(lease, ttlSeconds: given == 0 ? holding.ttlSeconds : given, at: now)
        deadlines.move(deadline, to: due)
        if recorder.isOn { record(.lease(leases.stored(lease, deadline: due))) }
        if let task = leases[lease].claimed {
            emit(.taskRenewed, .task(tasks[task].task), agent: held.agent)
        } else {
            emit(.leaseRenewed, .lease(leases.lease(lease)), agent: held.agent)
        }
        return .lease(leases.lease(lease), acquired: true)
    }

    mutating func release(_ held: Command.HeldLease) throws(Refusal) -> Reply {
        try rules.name(held.task.text, "task_id")
        if retries.wasReleased(held) { return .done }
        if let lease = leases.slot(of: held.task), leases[lease].claimed != nil { throw .releaseOfClaim(held.task) }
        let lease = try leases.slot(of: held)
        emit(.leaseReleased, .lease(leases.lease(lease)), agent: held.agent)
        unhold(lease)
        let content = Fingerprint(held)
        let isFirst = retries.rememberRelease(under: held.token, content: content, at: now.instant)
        precondition(isFirst, "one token was released twice")
        if recorder.isOn { record(.released(held.token, fingerprint: content.value)) }
        passOn(lease)
        return .done
    }

    /// Its deadline has come.
    mutating func expire(_ lease: LeaseSlot) {
        leases.setDeadline(lease, nil)
        lose(lease, .ranOut)
    }

    /// A lease ends with its work undone.
    mutating func lose(_ lease: LeaseSlot, _ reason: EventReason) {
        if let task = leases[lease].claimed {
            endClaim(lease)
            requeue(task, reason)
            offer(task)
        } else {
            emit(.leaseExpired, .lease(leases.lease(lease)), agent: leases[lease].holding?.agentID, reason: reason)
            unhold(lease)
            passOn(lease)
        }
    }

    /// What was granted never reached its client.
    mutating func takeBack(_ task: TaskID, _ token: FencingToken) {
        guard let lease = leases.slot(of: task, under: token) else { return }
        // The client that gave its request an id will ask again, and shall find it.
        if leases[lease].holding?.isRetriable == true { return }
        lose(lease, .notDelivered)
    }

    /// Gives a lease that nobody holds to the call that has waited longest for it.
    mutating func passOn(_ lease: LeaseSlot) {
        guard let next = leases[lease].line.first else {
            leases.remove(lease)
            return
        }
        guard case .lease(let wish) = waits[next].wish else { preconditionFailure("in the wrong line") }
        let (agent, origin) = (waits[next].agent, waits[next].origin)
        let waiter = end(next)
        grant(lease, to: agent, wish.request, ttlSeconds: wish.ttlSeconds, answering: origin)
        settle(waiter, .reply(.lease(leases.lease(lease), acquired: true)))
        if let id = wish.request.requestID { settleRetries(of: id, agent, lease) }
    }

    /// A retry may have come while its first attempt still waited. Both are one request: what the first
    /// has won the second must not wait for.
    private mutating func settleRetries(of id: RequestID, _ agent: AgentSlot, _ lease: LeaseSlot) {
        for wait in waits.calls(of: agents[agent].waits) {
            guard case .lease(let wish) = waits[wait].wish, wish.lease == lease, wish.request.requestID == id else {
                continue
            }
            settle(end(wait), .reply(.lease(leases.lease(lease), acquired: true)))
        }
    }
}
