// What the machine tells, without changing anything. The caller has applied `.advance` at the same
// moment, so that nothing is told that has already run out.

extension Machine {
    package func agent(_ id: AgentID) -> AgentInfo? {
        agents.slot(of: id).map { agents[$0].info }
    }

    /// ALIVE agents that have all the tools, best match first; a limit of 0 means the highest there is.
    package func find(query: String, tools: [String], limit: UInt32) -> [AgentInfo] {
        let cap = UInt32(limits.values.maxFound)
        return agents.find(query: query, tools: tools, limit: Int(limit == 0 ? cap : min(limit, cap)))
    }

    package func election(
        _ group: GroupName
    ) -> (state: ElectionState, changedBy: Sequence, changedAt: WallTime)? {
        guard let slot = elections.slot(of: group) else { return nil }
        return (elections.state(slot), elections[slot].changedBy, elections[slot].changedAt)
    }

    /// By id, those after `after` whose subject begins with the prefix.
    package func policies(subjectPrefix: String, after: PolicyID?, limit: Int) -> [Policy] {
        entitlements.policies(subjectPrefix: subjectPrefix, after: after, limit: limit)
    }

    package func policy(_ id: PolicyID) -> Policy? { entitlements.policy(id) }

    package func task(_ id: TaskID) -> QueuedTask? {
        tasks.slot(of: id).map { tasks[$0].task }
    }

    /// Oldest first, those created after the one with this serial number; 0 begins with the first.
    package func tasks(
        status: QueuedTask.Status?, after serial: UInt64, limit: Int
    ) -> [(serial: UInt64, task: QueuedTask)] {
        tasks.tasks(status: status, after: serial, limit: limit)
    }

    package var lastSequence: Sequence { history.last }

    /// One past the last when nothing is kept.
    package var oldestKeptSequence: Sequence { history.oldest }

    /// The most that may be kept.
    package var maxKeptEvents: Int { limits.values.maxEvents }

    /// The events after `sequence` and up to `end` that the filter wants, at most `limit`, having looked at no more than
    /// `scanning`; and the last that was looked at, from where to go on.
    package func events(
        after sequence: Sequence, upTo end: Sequence = Sequence(.max), matching filter: EventFilter, limit: Int,
        scanning: Int
    ) throws(Refusal) -> (events: [Event], examined: Sequence) {
        try history.events(after: sequence, upTo: end, matching: filter, limit: limit, scanning: scanning)
    }

    /// How long ago the oldest pending task was created, by the wall clock, which may have been set back meanwhile; nil when
    /// none is pending. Looks at every set of tools that was ever required and still is, up to 15 ms for 200 000 of them:
    /// for a scrape, and not for what is asked for all the time.
    package var oldestPendingAge: Span? {
        matchmaker.oldestTask().map { slot in
            Span(nanoseconds: max(0, now.wall.nanoseconds - tasks[slot].task.specification.createdAt.nanoseconds))
        }
    }

    package var counts: Counts {
        let emitted = zip(Topic.allCases, history.emitted).map { (topic: $0, count: $1) }
        let forced = Topic.forceable.map { (topic: $0, count: history.forced[$0.index]) }
        return Counts(
            agentsAlive: agents.aliveCount, agentsUnreachable: agents.unreachableCount,
            agentsDead: agents.deadCount, leases: leases.count, claims: leases.claimCount,
            elections: elections.count, candidates: elections.candidateCount, policies: entitlements.count,
            tasksPending: tasks.count(.pending), tasksClaimed: tasks.count(.claimed),
            tasksCompleted: tasks.count(.completed), tasksDead: tasks.count(.dead),
            openTaskBytes: tasks.openBytes, finishedTaskBytes: tasks.finishedBytes,
            leaseWaiters: waits.leaseCount, taskWaiters: waits.taskCount, deadlines: deadlines.count,
            toolSets: matchmaker.setCount, rememberedReleases: retries.releaseCount,
            rememberedRequests: retries.requestCount, eventsKept: history.count,
            eventBytesKept: history.bytes, eventsEmitted: emitted, eventsForced: forced,
            leasesExpired: history.notForced(.leaseExpired), claimsLost: history.notForced(.taskRequeued),
            agentsDiedBySilence: agentsDiedBySilence,
            tokensGiven: tokensGiven)
    }
}
