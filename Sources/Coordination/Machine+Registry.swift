// Agents come, are heard of, fall silent, and leave.

extension Machine {
    mutating func register(_ request: Command.Register) throws(Refusal) -> Reply {
        try rules.card(request.card)
        try rules.requestID(request.requestID)
        let ttlSeconds = try rules.ttl(request.ttlSeconds, default: limits.values.defaultAgentTTLSeconds)
        let content = { Fingerprint(request, ttlSeconds: ttlSeconds) }
        if case .agent(let id) = try retries.recall(request.requestID, content: content()) {
            return .registered(id)
        }
        try agents.checkRoom(for: request.card)
        try matchmaker.checkRoom()
        let ttl = Span.seconds(ttlSeconds)
        let agent = agents.insert(
            AgentTable.Entry(
                id: request.newID, card: request.card, unreachableAfter: ttl + limits.values.livenessSlack,
                deadAfter: ttl * 2 + limits.values.livenessSlack, registeredAt: now.wall, lastHeartbeatAt: now.wall,
                lastHeard: now.instant, tools: matchmaker.use(request.card.tools)))
        agents[agent].deadline = deadlines.insert(.agent(agent), due: now.instant + agents[agent].unreachableAfter)
        retries.remember(
            request.requestID, content: content(), made: .agent(request.newID), at: now.instant)
        emit(.agentRegistered, .agent(agents[agent].info), agent: request.newID)
        return .registered(request.newID)
    }

    mutating func heartbeat(_ id: AgentID) throws(Refusal) -> Reply {
        let agent = try agents.living(id)
        agents[agent].lastHeard = now.instant
        agents[agent].lastHeartbeatAt = now.wall
        guard let deadline = agents[agent].deadline else { preconditionFailure("it lives forever") }
        deadlines.move(deadline, to: now.instant + agents[agent].unreachableAfter)
        if agents[agent].status == .unreachable {
            agents.becomeAlive(agent)
            emit(.agentRecovered, .agent(agents[agent].info), agent: id)
            resumeClaiming(agent)
        }
        return .done
    }

    mutating func deregister(_ id: AgentID) throws(Refusal) -> Reply {
        guard let agent = agents.slot(of: id) else { throw .unknownAgent(id) }
        if agents[agent].status != .dead { die(agent) }
        return .done
    }

    /// Its deadline has come: an ALIVE agent becomes UNREACHABLE, an UNREACHABLE one dies.
    mutating func silence(_ agent: AgentSlot) {
        agents[agent].deadline = nil
        switch agents[agent].status {
        case .alive:
            agents.becomeUnreachable(agent)
            let death = agents[agent].lastHeard + agents[agent].deadAfter
            agents[agent].deadline = deadlines.insert(.agent(agent), due: death)
            emit(.agentUnreachable, .agent(agents[agent].info), agent: agents[agent].id)
            suspendClaiming(agent)
        case .unreachable:
            agentsDiedBySilence += 1
            die(agent)
        case .dead:
            preconditionFailure("a dead agent has no deadline")
        }
    }
}
