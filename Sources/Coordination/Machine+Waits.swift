// Calls begin to wait, and end their wait without having been given anything.

extension Machine {
    mutating func wait(
        for lease: LeaseSlot, _ agent: AgentSlot, _ request: Command.AcquireLease, ttlSeconds: UInt32
    ) throws(Refusal) -> Outcome {
        try waits.checkRoom()
        let wish = WaitTable.LeaseWish(lease: lease, request: request, ttlSeconds: ttlSeconds)
        let wait = waits.insert(.lease(wish), agent: agent, origin: origin, calls: &agents[agent].waits)
        waits.join(wait, line: &leases[lease].line)
        let due = now.instant + .milliseconds(request.waitMilliseconds)
        waits[wait].deadline = deadlines.insert(.wait(wait), due: due)
        return .waiting(waits[wait].id)
    }

    mutating func waitForTask(_ agent: AgentSlot) throws(Refusal) -> Outcome {
        try waits.checkRoom()
        let wait = waits.insert(.task(nil), agent: agent, origin: origin, calls: &agents[agent].waits)
        if agents[agent].status == .alive { standInLine(wait) }
        return .waiting(waits[wait].id)
    }

    mutating func standInLine(_ wait: WaitSlot) {
        let tools = agents[waits[wait].agent].tools
        waits[wait].wish = .task(matchmaker.add(wait, offering: tools, id: waits[wait].id))
    }

    mutating func stepOutOfLine(_ wait: WaitSlot) {
        guard case .task(let standing?) = waits[wait].wish else { return }
        matchmaker.remove(standing, offering: agents[waits[wait].agent].tools)
        waits[wait].wish = .task(nil)
    }

    /// Takes a wait out of everything; the caller settles it.
    mutating func end(_ wait: WaitSlot) -> WaiterID {
        let (id, agent) = (waits[wait].id, waits[wait].agent)
        if let deadline = waits[wait].deadline { deadlines.cancel(deadline) }
        switch waits[wait].wish {
        case .lease(let wish): waits.leave(wait, line: &leases[wish.lease].line)
        case .task: stepOutOfLine(wait)
        }
        waits.remove(wait, calls: &agents[agent].waits)
        return id
    }

    /// Its deadline has come.
    mutating func giveUp(_ wait: WaitSlot) {
        waits[wait].deadline = nil
        guard case .lease(let wish) = waits[wait].wish else {
            preconditionFailure("only a lease's wait has a deadline")
        }
        settle(end(wait), .reply(.lease(leases.lease(wish.lease), acquired: false)))
    }

    mutating func cancel(_ waiter: WaiterID) {
        guard let wait = waits.slot(of: waiter) else { return }
        _ = end(wait)
    }
}
