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
        let election = try elections.election(of: group)
        if elections.join(agent, id: id, election, chain: &agents[agent].candidacies, at: now.wall) {
            tellOfLeader(of: election, agent: id)
        }
        return .election(elections.state(election))
    }

    mutating func resign(_ id: AgentID, from group: GroupName) throws(Refusal) -> Reply {
        try rules.name(group.text, "group")
        guard let agent = agents.slot(of: id) else { throw .unknownAgent(id) }
        if let election = elections.slot(of: group) { leave(election, agent) }
        return .done
    }

    mutating func leave(_ election: ElectionSlot, _ agent: AgentSlot) {
        if elections.leave(agent, election, chain: &agents[agent].candidacies, at: now.wall) {
            tellOfLeader(of: election, agent: agents[agent].id)
        }
    }

    private mutating func tellOfLeader(of election: ElectionSlot, agent: AgentID) {
        emit(.leaderChanged, .election(elections.state(election)), agent: agent)
        elections.noteChange(election, by: history.last, at: now.wall)
    }
}
