// Everything that is there, oldest first and piece by piece, so that a look at a million leases never holds the
// lock for longer than a few hundred of them take. The caller has applied `.advance`, as for every read.

extension Machine {
    /// An agent that holds more leases than this is found by looking at everybody's: its own would have to be
    /// counted off from the first one for every page.
    private static var maxChain: Int { 10_000 }

    package func agents(
        matching filter: AgentFilter, after serial: UInt64, limit: Int, scanning: Int
    ) -> Stretch<AgentDetails> {
        agents.order.stretch(after: serial, limit: limit, scanning: scanning) { slot in
            filter.matches(agents[slot].card, agents[slot].status) ? details(slot) : nil
        }
    }

    package func agentDetails(_ id: AgentID) -> AgentDetails? {
        agents.slot(of: id).map { details($0) }
    }

    private func details(_ slot: AgentSlot) -> AgentDetails {
        let agent = agents[slot]
        return AgentDetails(
            info: agent.info,
            // Silent for a ttl more, an UNREACHABLE agent is DEAD.
            ttl: Span(nanoseconds: agent.deadAfter.nanoseconds - agent.unreachableAfter.nanoseconds),
            silence: now.instant - agent.lastHeard,
            untilChange: agent.deadline.map { deadlines.due(of: $0) - now.instant },
            leases: Int(agent.leases.count), candidacies: Int(agent.candidacies.count),
            waitingCalls: Int(agent.waits.count))
    }

    /// By token.
    package func leases(
        matching filter: LeaseFilter, after token: UInt64, limit: Int, scanning: Int
    ) throws(Refusal) -> Stretch<LeaseDetails> {
        guard let holder = filter.holder else {
            return leases.order.stretch(after: token, limit: limit, scanning: scanning) { details($0, if: filter) }
        }
        guard let agent = agents.slot(of: holder) else { throw .unknownAgent(holder) }
        guard agents[agent].leases.count <= Self.maxChain else {
            return leases.order.stretch(after: token, limit: limit, scanning: scanning) { slot in
                leases[slot].holding?.agent == agent ? details(slot, if: filter) : nil
            }
        }
        var stretch = Stretch<LeaseDetails>(examined: token)
        for slot in leases.held(in: agents[agent].leases) {
            guard let held = leases[slot].holding?.token.value, held > token else { continue }
            if stretch.found.count == limit {
                stretch.isLast = false
                break
            }
            if let details = details(slot, if: filter) { stretch.found.append((held, details)) }
            stretch.examined = held
        }
        return stretch
    }

    /// The lease, and whose calls wait for it, at most so many.
    package func leaseDetails(_ task: TaskID, waiting limit: Int) -> (lease: LeaseDetails, waiting: [AgentID])? {
        guard let slot = leases.slot(of: task), let details = details(slot, if: LeaseFilter()) else { return nil }
        let line = waits.firstInLine(of: leases[slot].line, limit: limit)
        return (details, line.map { agents[waits[$0].agent].id })
    }

    private func details(_ slot: LeaseSlot, if filter: LeaseFilter) -> LeaseDetails? {
        let entry = leases[slot]
        guard let holding = entry.holding, let deadline = holding.deadline else { return nil }
        let isClaim = entry.claimed != nil
        if let wanted = filter.claims, wanted != isClaim { return nil }
        guard entry.task.text.utf8.starts(with: filter.taskPrefix.utf8) else { return nil }
        return LeaseDetails(
            lease: leases.lease(slot), isClaim: isClaim, ttlSeconds: holding.ttlSeconds,
            remaining: deadlines.due(of: deadline) - now.instant, waitingCalls: Int(entry.line.count))
    }

    /// - Parameter place: where the last look ended: of the order, not of the task.
    package func tasks(
        matching filter: TaskFilter, in order: TaskOrder = .created, after place: UInt64, limit: Int, scanning: Int
    ) -> Stretch<QueuedTask> {
        switch order {
        case .created:
            tasks.order.stretch(after: place, limit: limit, scanning: scanning) { task($0, if: filter) }
        case .finished:
            tasks.finishedStretch(before: place, limit: limit, scanning: scanning) { task($0, if: filter) }
        }
    }

    private func task(_ slot: TaskSlot, if filter: TaskFilter) -> QueuedTask? {
        filter.matches(tasks[slot].task) ? tasks[slot].task : nil
    }

    package func elections(
        groupPrefix: String, candidate: AgentID?, after serial: UInt64, limit: Int, scanning: Int
    ) throws(Refusal) -> Stretch<ElectionDetails> {
        guard let candidate else {
            return elections.order.stretch(after: serial, limit: limit, scanning: scanning) { slot in
                details(slot, groupPrefix: groupPrefix)
            }
        }
        guard let agent = agents.slot(of: candidate) else { throw .unknownAgent(candidate) }
        return elections.order.stretch(after: serial, limit: limit, scanning: scanning) { slot in
            elections.isCandidate(agent, in: slot) ? details(slot, groupPrefix: groupPrefix) : nil
        }
    }

    /// The election, and its first candidates in the order in which they will lead.
    package func electionDetails(
        _ group: GroupName, candidates limit: Int
    ) -> (election: ElectionDetails, candidates: [AgentID])? {
        guard let slot = elections.slot(of: group), let details = details(slot, groupPrefix: "") else { return nil }
        return (details, elections.candidates(slot, limit: limit))
    }

    private func details(_ slot: ElectionSlot, groupPrefix: String) -> ElectionDetails? {
        let election = elections[slot]
        guard election.group.text.utf8.starts(with: groupPrefix.utf8) else { return nil }
        return ElectionDetails(
            state: elections.state(slot), candidates: Int(election.candidates.count), changedBy: election.changedBy,
            changedAt: election.changedAt)
    }
}
