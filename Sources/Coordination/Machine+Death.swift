// An agent's death, which touches every table at once and must look like one step from outside.
//
// The order is a promise: first the death itself, then all that it ends, and only then whatever others
// gain by it. So nobody is given a lease by an agent whose other leases still stand, and a requeue
// handler sees every loss before any new winner.

extension Machine {
    mutating func die(_ agent: AgentSlot, _ reason: EventReason) {
        let id = agents[agent].id
        if let deadline = agents[agent].deadline {
            deadlines.cancel(deadline)
            agents[agent].deadline = nil
        }
        agents.becomeDead(agent, at: now.instant)
        recordStatus(of: agent)
        emit(.agentDied, .agent(agents[agent].info), agent: id, reason: reason)

        var freed: [LeaseSlot] = []
        var requeued: [TaskSlot] = []
        let held = leases.held(in: agents[agent].leases)
        for lease in held where leases[lease].claimed == nil {
            emit(.leaseExpired, .lease(leases.lease(lease)), agent: id, reason: .holderDied)
            unhold(lease)
            freed.append(lease)
        }
        for lease in held {
            guard let task = leases[lease].claimed else { continue }
            endClaim(lease)
            requeue(task, .holderDied)
            requeued.append(task)
        }
        for election in elections.elections(of: agents[agent].candidacies) {
            leave(election, agent, .leaderDied)
        }
        for wait in waits.calls(of: agents[agent].waits) {
            settle(end(wait), .refused(.deadAgent(id)))
        }
        matchmaker.release(agents[agent].tools)

        for lease in freed { passOn(lease) }
        // The oldest task first, like everywhere; the agent may have claimed them in another order.
        for task in requeued.sorted(by: { tasks[$0].serial < tasks[$1].serial }) { offer(task) }
    }
}
