// The core: all of the daemon's state, and the one way to change it.
//
// Commands and time go in, outcomes and events come out. There is no clock, no randomness, no I/O and no
// waiting inside, so the same commands at the same moments give the same events byte for byte: a test, a
// replay and a recovered daemon are the same thing. Whoever owns the machine applies one command at a
// time; that order is the order of everything.
//
// This file holds the parts together; each part has a file of its own, and what touches several of them
// is in the Machine+….swift files. A machine can't be copied: a copy by mistake would double a million leases.

package struct Machine: ~Copyable, Sendable {
    let limits: SharedLimits
    let rules: FieldRules
    /// The latest moment that was seen; its instant never goes back.
    var now = Moment(instant: Instant(nanoseconds: .min), wall: WallTime(nanoseconds: 0))

    var agents: AgentTable
    var leases = LeaseTable()
    var elections: Elections
    var entitlements: Entitlements
    var tasks: TaskQueue
    var matchmaker: Matchmaker
    var waits: WaitTable
    var deadlines = DeadlineQueue()
    var retries: RetryMemory
    var history: EventHistory
    /// Of the present command; nil while what is due happens.
    private(set) var origin: Origin?
    /// What was changed, for a journal.
    var recorder = ChangeRecorder()

    var lastToken: FencingToken
    var firstToken: FencingToken
    /// The last change of any policy: a check depends on no other.
    package private(set) var policiesRevision = Revision.zero
    var agentsDiedBySilence: UInt64 = 0
    private var settled: [(waiter: WaiterID, outcome: Outcome)] = []

    package init(limits: Limits = Limits(), tokensStartAbove token: FencingToken) {
        let limits = SharedLimits(limits)
        self.limits = limits
        rules = FieldRules(limits: limits)
        agents = AgentTable(limits: limits)
        elections = Elections(limits: limits)
        entitlements = Entitlements(limits: limits)
        tasks = TaskQueue(limits: limits)
        matchmaker = Matchmaker(limits: limits)
        waits = WaitTable(limits: limits)
        retries = RetryMemory(limits: limits)
        history = EventHistory(limits: limits)
        lastToken = token
        firstToken = token
    }

    /// Lets everything happen that was due, then what the command asks for.
    ///
    /// - Parameter origin: of the call that the command comes from; its events tell of it.
    package mutating func apply(_ command: Command, at moment: Moment, from origin: Origin? = nil) -> Outcome {
        now = Moment(instant: max(now.instant, moment.instant), wall: moment.wall)
        history.beginCommand()
        if case .awaken = command { awaken() }
        letHappenWhatIsDue()
        if let origin { self.origin = origin }
        let outcome = execute(command)
        if origin != nil { self.origin = nil }
        recorder.end()
        return outcome
    }

    private mutating func execute(_ command: Command) -> Outcome {
        do throws(Refusal) {
            switch command {
            case .register(let request): return .reply(try register(request))
            case .heartbeat(let agent): return .reply(try heartbeat(agent))
            case .deregister(let agent): return .reply(try deregister(agent))
            case .acquireLease(let request): return try acquire(request)
            case .renewLease(let lease, let ttl): return .reply(try renew(lease, ttlSeconds: ttl))
            case .releaseLease(let lease): return .reply(try release(lease))
            case .campaign(let group, let agent): return .reply(try campaign(agent, in: group))
            case .resign(let group, let agent): return .reply(try resign(agent, from: group))
            case .setPolicy(let policy): return .reply(try set(policy))
            case .deletePolicy(let id): return .reply(try delete(id))
            case .createTask(let request): return .reply(try create(request))
            case .claimTask(let agent): return try claim(for: agent)
            case .completeTask(let finish, let output): return .reply(try complete(finish, output: output))
            case .failTask(let finish, let reason): return .reply(try fail(finish, reason: reason))
            case .cancelWait(let waiter): cancel(waiter)
            case .returnGrant(let task, let token): takeBack(task, token)
            case .forceRelease(let task, let token): return .reply(try forceRelease(task, token))
            case .forceDeregister(let agent): return .reply(try forceDeregister(agent))
            case .forceRequeue(let task): return .reply(try forceRequeue(task))
            case .forceDeletePolicy(let id): return .reply(try forceDelete(id))
            case .noteHeartbeats(let start, let count): noteHeartbeats(from: start, count: count)
            case .awaken, .advance: break
            }
            return .reply(.done)
        } catch {
            return .refused(error)
        }
    }

    // MARK: Time

    /// Works off the deadlines that have come, in the order in which they did, so that nothing that ran
    /// out is seen or used afterwards, even if no timer ever ran.
    private mutating func letHappenWhatIsDue() {
        while let subject = deadlines.takeDue(at: now.instant) {
            switch subject {
            case .agent(let slot): silence(slot)
            case .lease(let slot): expire(slot)
            case .wait(let slot): giveUp(slot)
            }
        }
        for agent in agents.forget(at: now.instant) where recorder.isOn { record(.agentForgotten(agent)) }
        for task in tasks.forget(at: now.instant) where recorder.isOn { record(.taskForgotten(task)) }
        retries.forget(at: now.instant)
        history.forget(at: now.instant)
    }

    /// When to apply `.advance` at the latest, if nothing else is applied before.
    package var nextDeadline: Instant? { deadlines.next }

    // MARK: What happened

    /// Tells of something that the present command led to, or time.
    @inline(__always)
    mutating func emit(_ topic: Topic, _ payload: Event.Payload, agent: AgentID?, reason: EventReason = .none) {
        emit(topic, payload, agent: agent, reason: reason, answering: origin)
    }

    /// The same, of something that was asked for by a call that may have waited until now.
    @inline(__always)
    mutating func emit(
        _ topic: Topic, _ payload: Event.Payload, agent: AgentID?, reason: EventReason = .none,
        answering origin: Origin?
    ) {
        // Before the append, so that the oldest event that the change names was kept before the command.
        if recorder.isOn {
            record(.event(topic, agent: agent, subject: payload.subject, reason: reason, trace: origin?.trace))
        }
        history.append(topic, payload, agent: agent, reason: reason, origin: origin, at: now)
    }

    /// Takes down a change, for whoever has looked whether that is wanted. What changes an event's
    /// subject is taken down before the event.
    mutating func record(_ change: Change) {
        recorder.record(change, at: now, oldestEvent: history.oldest)
    }

    mutating func notePolicyChange() {
        if recorder.isOn { policiesRevision = recorder.revision }
    }

    mutating func takeToken() -> FencingToken {
        precondition(lastToken.value < .max)
        lastToken = FencingToken(lastToken.value + 1)
        return lastToken
    }

    mutating func settle(_ waiter: WaiterID, _ outcome: Outcome) {
        settled.append((waiter, outcome))
    }

    package var hasSettled: Bool { !settled.isEmpty }

    /// The waits that ended because of what was applied, in the order in which they did.
    package mutating func takeSettled() -> [(waiter: WaiterID, outcome: Outcome)] {
        var taken: [(waiter: WaiterID, outcome: Outcome)] = []
        swap(&taken, &settled)
        return taken
    }

    var tokensGiven: UInt64 { lastToken.value - firstToken.value }

    /// When the last command was applied.
    package var lastInstant: Instant { now.instant }

    /// The last command that changed anything; `Revision.zero` while nothing is recorded.
    package var revision: Revision { recorder.revision }
}
