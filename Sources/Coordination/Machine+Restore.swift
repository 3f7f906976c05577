// A machine that goes on where another stopped: built from the records that were kept.
//
// Records come table by table in the order that each function names. They may have been damaged or
// written by somebody else, so nothing about them is taken for granted: what can't be is refused with a
// sentence that says where. A refused machine is of no use.

extension Machine {
    /// What was kept contradicts itself.
    package struct RestoreFailure: Error, Sendable {
        package let message: String

        package init(_ message: String) { self.message = message }
    }

    /// An empty machine, to be filled with `restore`, whose clock and numbers go on where they stood. It
    /// records what it changes from `finishRestoring` on.
    package init(limits: Limits, resuming counters: StoredCounters) {
        self.init(limits: limits, tokensStartAbove: counters.lastToken)
        now = Moment(instant: counters.clock, wall: counters.wall)
        elections.resume(above: counters.forgottenTerm)
        tasks.resume(after: counters.lastTaskSerial)
        history.resume(after: counters.lastSequence)
    }

    /// The oldest registration first.
    package mutating func restore(_ stored: StoredAgent) throws(RestoreFailure) {
        let info = stored.info
        guard agents.slot(of: info.id) == nil else { throw RestoreFailure("agent \(info.id) is there twice") }
        guard (info.status == .dead) == (stored.diedAt != nil) else {
            throw RestoreFailure("agent \(info.id) is half dead: its status and the time of its death disagree")
        }
        guard stored.registeredBy <= history.last else {
            throw RestoreFailure("agent \(info.id) registered with an event that has not happened")
        }
        let isDead = info.status == .dead
        let agent = agents.restore(
            AgentTable.Entry(
                id: info.id, card: info.card, ttl: .seconds(stored.ttlSeconds), slack: limits.values.livenessSlack,
                registeredAt: info.registeredAt, lastHeartbeatAt: info.lastHeartbeatAt,
                recordedHeartbeatAt: info.lastHeartbeatAt, lastHeard: now.instant,
                registeredBy: stored.registeredBy,
                tools: isDead ? matchmaker.sets.empty : matchmaker.use(info.card.tools)),
            status: info.status, diedAt: stored.diedAt)
        guard !isDead else { return }
        let patience = info.status == .alive ? agents[agent].unreachableAfter : agents[agent].deadAfter
        agents[agent].deadline = deadlines.insert(.agent(agent), due: now.instant + patience)
    }

    /// The oldest first; agents need not be there.
    package mutating func restore(_ stored: StoredTask) throws(RestoreFailure) {
        let task = stored.task
        guard tasks.slot(of: task.id) == nil else { throw RestoreFailure("task \(task.id) is there twice") }
        guard stored.serial <= tasks.lastSerial else {
            throw RestoreFailure("task \(task.id) has number \(stored.serial) of \(tasks.lastSerial)")
        }
        let isFinished = task.status == .completed || task.status == .dead
        guard isFinished == (stored.finishedAt != nil), isFinished == (task.finishedAt != nil) else {
            throw RestoreFailure("task \(task.id) is half finished: its status and its time of completion disagree")
        }
        guard (task.status == .claimed) == (task.claimedAt != nil && task.claimer != nil && !isFinished) else {
            throw RestoreFailure("task \(task.id) is \(task.status.name), and its claimer says otherwise")
        }
        let tools = isFinished ? matchmaker.sets.empty : matchmaker.use(task.specification.requiredTools)
        guard let slot = tasks.restore(stored, tools: tools) else {
            throw RestoreFailure("task \(task.id) is out of order")
        }
        if task.status == .pending { matchmaker.add(slot, requiring: tools, serial: stored.serial) }
    }

    /// By token, after the agents and the tasks.
    package mutating func restore(_ stored: StoredLease) throws(RestoreFailure) {
        let lease = stored.lease
        guard leases.slot(of: lease.task) == nil else {
            throw RestoreFailure("there are two leases on task \(FieldRules.quote(lease.task.text))")
        }
        guard let agent = agents.slot(of: lease.holder), agents[agent].status != .dead else {
            throw RestoreFailure(
                "the lease on task \(FieldRules.quote(lease.task.text)) is held by agent \(lease.holder), "
                    + "which is not there or is DEAD")
        }
        guard lease.token <= lastToken else {
            throw RestoreFailure(
                "the lease on task \(FieldRules.quote(lease.task.text)) has token \(lease.token.value), "
                    + "and the last that was given is \(lastToken.value)")
        }
        var claimed: TaskSlot?
        if stored.isClaim {
            guard let task = tasks.slot(of: lease.task), tasks[task].task.status == .claimed,
                tasks[task].task.claimer == lease.holder, tasks[task].token == lease.token
            else { throw RestoreFailure("the claim of task \(lease.task) and the task disagree") }
            claimed = task
        } else if tasks.openStatus(of: lease.task) != nil {
            throw RestoreFailure("there is a lease on task \(lease.task) of the queue that is no claim")
        }
        let slot = leases.insert(lease.task, claimed: claimed)
        let holding = LeaseTable.Holding(
            agent: agent, agentID: lease.holder, token: lease.token, acquiredAt: lease.acquiredAt,
            isRetriable: stored.isRetriable, ttlSeconds: stored.ttlSeconds, expiresAt: lease.expiresAt,
            deadline: deadlines.insert(.lease(slot), due: stored.deadline))
        leases.hold(slot, holding, in: &agents[agent].leases)
    }

    /// The one whose last change is the oldest first.
    package mutating func restore(_ stored: StoredElection) throws(RestoreFailure) {
        let group = stored.state.group
        guard elections.slot(of: group) == nil else {
            throw RestoreFailure("election \(FieldRules.quote(group.text)) is there twice")
        }
        guard stored.state.term > Term(0), stored.changedBy <= history.last,
            (stored.state.leader == nil) == (stored.state.electedAt == nil)
        else { throw RestoreFailure("election \(FieldRules.quote(group.text)) contradicts itself") }
        elections.restore(stored)
    }

    /// Of each election the first candidate, who leads, first; after the agents and the elections.
    package mutating func restore(_ stored: StoredCandidacy) throws(RestoreFailure) {
        guard let agent = agents.slot(of: stored.agent), agents[agent].status != .dead else {
            throw RestoreFailure(
                "agent \(stored.agent), a candidate of election \(FieldRules.quote(stored.group.text)), "
                    + "is not there or is DEAD")
        }
        guard let election = elections.slot(of: stored.group), !elections.isCandidate(agent, in: election) else {
            throw RestoreFailure(
                "agent \(stored.agent) is a candidate of election \(FieldRules.quote(stored.group.text)) twice, "
                    + "or there is no such election")
        }
        elections.restore(agent, id: stored.agent, in: election, chain: &agents[agent].candidacies)
    }

    package mutating func restore(_ policy: Policy) throws(RestoreFailure) {
        do throws(Refusal) {
            try entitlements.set(policy)
        } catch {
            throw RestoreFailure(error.message)
        }
    }

    /// The oldest first.
    package mutating func restore(_ request: StoredRequest) {
        retries.remember(
            request.id, content: Fingerprint(value: request.fingerprint), made: request.made, at: request.at)
    }

    /// The oldest first.
    package mutating func restore(_ release: StoredRelease) throws(RestoreFailure) {
        let isNew = retries.rememberRelease(
            under: release.token, content: Fingerprint(value: release.fingerprint), at: release.at)
        guard isNew else { throw RestoreFailure("token \(release.token.value) was released twice") }
    }

    /// Without a gap, the last being the last that ever happened.
    package mutating func restore(_ event: Event, at time: Instant) throws(RestoreFailure) {
        guard event.sequence <= history.last else {
            throw RestoreFailure("event \(event.sequence.value) is not one of those up to \(history.last.value)")
        }
        history.restore(event, at: time)
    }

    /// Checks what only shows when all is there, and begins to record changes.
    package mutating func finishRestoring(revision: Revision) throws(RestoreFailure) {
        agents.finishRestoring()
        tasks.finishRestoring()
        guard leases.claimCount == tasks.count(.claimed) else {
            throw RestoreFailure(
                "there are \(tasks.count(.claimed)) tasks that are CLAIMED, and \(leases.claimCount) claims")
        }
        if let group = elections.groupWithWrongLeader {
            throw RestoreFailure("the leader of election \(FieldRules.quote(group.text)) is not its first candidate")
        }
        guard history.isGapless else { throw RestoreFailure("there is a gap in the events that were kept") }
        recorder.begin(after: revision)
    }

    /// Tokens go on above this one, if it is greater: what was given last may not have been kept.
    package mutating func skipTokens(to token: FencingToken) {
        lastToken = max(lastToken, token)
        firstToken = lastToken
    }

    /// What was recorded since the last time, for empty bytes.
    package mutating func takeChanges(into bytes: inout [UInt8]) { recorder.take(into: &bytes) }

    package var hasChanges: Bool { !recorder.isEmpty }
    package var changeBytes: Int { recorder.byteCount }

    package var counters: StoredCounters {
        StoredCounters(
            clock: now.instant, wall: now.wall, revision: recorder.revision, lastToken: lastToken,
            lastSequence: history.last, lastTaskSerial: tasks.lastSerial, forgottenTerm: elections.forgottenTerm)
    }
}
