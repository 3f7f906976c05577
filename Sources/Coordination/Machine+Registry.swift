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
        let agent = agents.insert(
            AgentTable.Entry(
                id: request.newID, card: request.card, ttl: .seconds(ttlSeconds), slack: limits.values.livenessSlack,
                registeredAt: now.wall, lastHeartbeatAt: now.wall, recordedHeartbeatAt: now.wall,
                lastHeard: now.instant,
                registeredBy: history.next, tools: matchmaker.use(request.card.tools)))
        agents[agent].deadline = deadlines.insert(.agent(agent), due: now.instant + agents[agent].unreachableAfter)
        remember(request.requestID, content: content(), made: .agent(request.newID))
        if recorder.isOn {
            record(
                .agent(
                    StoredAgent(
                        info: agents[agent].info, ttlSeconds: ttlSeconds, registeredBy: history.next, diedAt: nil)))
        }
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
            recordStatus(of: agent)
            emit(.agentRecovered, .agent(agents[agent].info), agent: id)
            resumeClaiming(agent)
        }
        return .done
    }

    mutating func deregister(_ id: AgentID) throws(Refusal) -> Reply {
        guard let agent = agents.slot(of: id) else { throw .unknownAgent(id) }
        if agents[agent].status != .dead { die(agent, .deregistered) }
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
            recordStatus(of: agent)
            emit(.agentUnreachable, .agent(agents[agent].info), agent: agents[agent].id)
            suspendClaiming(agent)
        case .unreachable:
            agentsDiedBySilence += 1
            die(agent, .silence)
        case .dead:
            preconditionFailure("a dead agent has no deadline")
        }
    }

    /// The daemon was away, stopped or not yet started, and could hear nobody: every agent gets the time
    /// to call again that it has after a heartbeat. Leases keep their ends: their holders know them.
    mutating func awaken() {
        for agent in agents.slots {
            guard let deadline = agents[agent].deadline else { continue }
            agents[agent].lastHeard = now.instant
            let patience = agents[agent].status == .alive ? agents[agent].unreachableAfter : agents[agent].deadAfter
            deadlines.move(deadline, to: now.instant + patience)
        }
    }

    mutating func noteHeartbeats(from start: Int, count: Int) {
        for agent in agents.slots(from: start, count: count) where agents[agent].status != .dead {
            if agents[agent].lastHeartbeatAt != agents[agent].recordedHeartbeatAt { recordStatus(of: agent) }
        }
    }

    mutating func recordStatus(of agent: AgentSlot) {
        guard recorder.isOn else { return }
        let info = agents[agent].info
        agents[agent].recordedHeartbeatAt = info.lastHeartbeatAt
        record(.agentStatus(info.id, info.status, lastHeartbeatAt: info.lastHeartbeatAt))
    }

    /// Remembers what a request made, for its retries.
    mutating func remember(
        _ id: RequestID?, content: @autoclosure () -> Fingerprint, made: StoredRequest.Made
    ) {
        guard let id else { return }
        let content = content()
        retries.remember(id, content: content, made: made, at: now.instant)
        if recorder.isOn { record(.requested(id, fingerprint: content.value, made: made)) }
    }
}
