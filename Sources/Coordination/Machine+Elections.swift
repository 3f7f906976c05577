// Agents stand for election and step down; whenever the leader changes, an event tells.

extension Machine {
    mutating func campaign(_ id: AgentID, in group: GroupName) throws(Refusal) -> Reply {
        try rules.name(group.text, "group")
        let agent = try agents.living(id)
        if let election = elections.slot(of: group), elections.isCandidate(agent, in: election) {
            return .election(elections.state(election))
        }
        guard elections.candidateCount < limits.values.maxCandidates else {
            throw .limitReached("there are \(limits.values.maxCandidates) candidates, the most there may be")
        }
        let (election, forgotten) = try elections.election(of: group)
        if recorder.isOn {
            if let forgotten { record(.electionForgotten(forgotten)) }
            record(.candidateJoined(StoredCandidacy(group: group, agent: id)))
        }
        if elections.join(agent, id: id, election, chain: &agents[agent].candidacies, at: now.wall) {
            tellOfLeader(of: election, agent: id, .campaigned)
        }
        return .election(elections.state(election))
    }

    mutating func resign(_ id: AgentID, from group: GroupName) throws(Refusal) -> Reply {
        try rules.name(group.text, "group")
        guard let agent = agents.slot(of: id) else { throw .unknownAgent(id) }
        if let election = elections.slot(of: group) { leave(election, agent, .resigned) }
        return .done
    }

    mutating func leave(_ election: ElectionSlot, _ agent: AgentSlot, _ reason: EventReason) {
        let id = agents[agent].id
        if recorder.isOn, elections.isCandidate(agent, in: election) {
            record(.candidateLeft(StoredCandidacy(group: elections[election].group, agent: id)))
        }
        if elections.leave(agent, election, chain: &agents[agent].candidacies, at: now.wall) {
            tellOfLeader(of: election, agent: id, reason)
        }
    }

    private mutating func tellOfLeader(of election: ElectionSlot, agent: AgentID, _ reason: EventReason) {
        elections.noteChange(election, by: history.next, at: now.wall)
        if recorder.isOn { record(.election(elections.stored(election))) }
        emit(.leaderChanged, .election(elections.state(election)), agent: agent, reason: reason)
    }
}
