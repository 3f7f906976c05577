// One run: clients, daemon, journal and disk in one thread, on a clock that only the run turns. A seed decides
// everything, so what went wrong once goes wrong again.
//
// The daemon is put together as the real one is, from the same core and the same journal; what the real one's threads
// do, the run does in an order that it draws: it executes commands, takes what has gathered and commits it, tells what
// is durable, brings the database up to date, notes the time. And it draws what befalls them.

import Coordination
import Journal

package final class Simulation {
    package struct Summary: Sendable {
        package var commands = 0
        package var commits = 0
        package var checkpoints = 0
        package var events = 0
        package var powerCuts = 0
        package var kills = 0
        package var stops = 0
        package var failedSyncs = 0
        package var timesFull = 0
        package var pauses = 0

        package mutating func add(_ other: Summary) {
            commands += other.commands
            commits += other.commits
            checkpoints += other.checkpoints
            events += other.events
            powerCuts += other.powerCuts
            kills += other.kills
            stops += other.stops
            failedSyncs += other.failedSyncs
            timesFull += other.timesFull
            pauses += other.pauses
        }
    }

    /// What a crash may leave: everything as it was after some revision.
    struct Saved {
        var model: Model
        var uptime: Int64
        var sequence: UInt64
    }

    /// What somebody will be told when it is durable.
    struct Reply {
        var command: Command
        var outcome: Outcome
        var revision: Revision
        var executedAt: Int64
        var hadWaited: Bool
        /// Its client went away.
        var isLost = false
    }

    let fault: Fault?
    var random: SeededRandom
    let limits: Limits
    let options: Journal.Options
    let disk: SimulatedDisk
    var daemon: SimulatedDaemon?

    /// CLOCK_BOOTTIME, and the calendar.
    var clock: Int64 = 1_000_000_000_000
    var wall: Int64 = 1_700_000_000_000_000_000
    var uptime = Uptime()
    var tickedAt: Int64 = 0
    var appliedAt: Int64 = 0

    var model: Model
    var log: [Event] = []
    var saved: [UInt64: Saved] = [:]
    var revision = Revision.zero
    var toldRevision = Revision.zero
    var replies: [Reply] = []
    var clients = Clients()
    var watchers: [Watcher] = []
    var lastCall = 0
    package private(set) var summary = Summary()
    /// Is told what happens, line by line.
    package var tell: ((String) -> Void)? {
        didSet { disk.tell = tell }
    }

    static let stallTolerance = Span.seconds(1)
    /// How often the daemon lets happen what is due, at least.
    private static let tick: Int64 = 300_000_000

    package init(seed: UInt64, fault: Fault? = nil) {
        self.fault = fault
        var random = SeededRandom(seed: seed)
        limits = .tiny(&random)
        var options = Journal.Options()
        options.firstSegmentBytes = random.number(200...3_000)
        options.maxSegmentBytes = 8_000
        self.options = options
        disk = SimulatedDisk(random: SeededRandom(seed: random.next()))
        model = Model(limits: limits, lastToken: 0)
        self.random = random
        saved[0] = Saved(model: model, uptime: 0, sequence: 0)
        disk.logsSyncThemselves = self.random.chance(50)
        disk.lies.syncsOfLogsDoNothing = fault == .skipLogSync
        disk.lies.syncsOfDatabaseDoNothing = fault == .skipDatabaseSync
        disk.lies.syncsOfDirectoryDoNothing = fault == .skipDirectorySync
    }

    package func run(steps: Int) throws(Violation) {
        try start()
        watchers = [
            Watcher(filter: EventFilter(), after: .zero),
            Watcher(
                filter: EventFilter(topics: ["lease.", "agent."], excludedTopics: ["lease.renewed"]), after: .zero),
            Watcher(filter: EventFilter(task: TaskID("t")), after: .zero),
        ]
        for _ in 0..<steps { try step() }
        // At the end whatever was acknowledged must outlive one more crash.
        try crash(cutsPower: true)
        for watcher in watchers.indices { try read(watcher, limit: .max) }
        try checkCore()
    }

    /// What the core itself thinks must hold inside of it; it traps when it doesn't.
    private func checkCore() throws(Violation) {
        try catchUp()
        _ = daemon?.coordinator.read(at: now) { $0.checkInvariants() }
    }

    /// A reading lets happen what is due, too. It shall be seen.
    private func catchUp() throws(Violation) { if clock != appliedAt { try execute(.advance) } }

    // MARK: Steps

    private func step() throws(Violation) {
        switch random.number(0...99) {
        case 0..<48:
            try pass(Int64(random.number(0...60)) * 1_000_000)
            try execute(clients.command(&random))
        case 48..<66: try write()
        case 66..<70: try checkpoint()
        case 70..<73: try noteTime()
        case 73..<80: try read(random.number(0...watchers.count - 1), limit: random.pick([1, 3, .max]))
        case 80..<83: try check()
        case 83..<87: for agent in clients.agents { try execute(.heartbeat(agent)) }
        case 87..<89: try pass(Int64(random.number(0...3_000)) * 1_000_000)
        case 89: if random.chance(70) { pause() } else { try execute(.noteHeartbeats(from: 0, count: 100)) }
        case 90: wall += Int64(random.number(-20...20)) * 365 * 86_400 * Model.second
        case 91..<93: changeRoom()
        case 93: disk.isHeldByAnother.toggle()
        case 94..<96: try endWait()
        case 96: disk.cut = (disk.operations + random.number(1...25), random.pick(SimulatedDisk.CutPoint.allCases))
        case 97: if random.chance(30) { disk.failingSync = disk.operations + random.number(1...10) }
        case 98: try crash(cutsPower: random.chance(60))
        default: if random.chance(40) { try stop() }
        }
        try deliver()
        if random.chance(6) { try checkCore() }
    }

    /// Both clocks as the daemon reads them.
    var now: Moment {
        let lag: Int64 =
            switch fault {
            case .expireEarly: 1_500_000_000
            case .expireLate: -1_500_000_000
            default: 0
            }
        return Moment(instant: Instant(nanoseconds: clock + lag), wall: WallTime(nanoseconds: wall))
    }

    private func turn(_ span: Int64) {
        clock += span
        wall += span
        uptime.whole += span
        uptime.durable += span
    }

    /// Time passes, and the daemon's timer goes on.
    private func pass(_ span: Int64) throws(Violation) {
        var rest = span
        while rest > 0 {
            let part = min(rest, max(0, tickedAt + Self.tick - clock))
            turn(part)
            rest -= part
            guard clock >= tickedAt + Self.tick else { continue }
            tickedAt = clock
            try execute(.advance)
        }
    }

    /// The process is stopped, and continued.
    private func pause() {
        summary.pauses += 1
        say("paused")
        turn(Int64(random.number(1...20)) * Model.second)
        tickedAt = clock - Self.tick
    }

    private func changeRoom() {
        if disk.capacity == .max {
            disk.capacity = disk.usedBytes + random.number(0...6_000)
            summary.timesFull += 1
        } else {
            disk.capacity = .max
        }
    }

    /// A check of the policies: no command, and what it says must be durable as well.
    private func check() throws(Violation) {
        try catchUp()
        guard let daemon else { return }
        for subject in ["a", "ab", "b"] {
            let action = random.pick(["read", "write"])
            var verdict: Verdict?
            do throws(Refusal) {
                verdict = try daemon.coordinator.read(at: now) { machine throws(Refusal) in
                    try machine.check(subject: subject, action: action, resource: "x")
                }.result
            } catch {
                throw Violation(.denyWins, "A check was refused: \(error).")
            }
            if fault == .allowOnConflict, case .denied(let id) = verdict { verdict = .allowed(by: id) }
            let expected = model.verdict(subject: subject, action: action, resource: "x")
            try require(
                verdict == expected, .denyWins, "\(subject) may \(action): \(verdict as Any), not \(expected).")
        }
    }

    private func read(_ watcher: Int, limit: Int) throws(Violation) {
        try catchUp()
        guard let daemon else { return }
        try watchers[watcher].read(daemon.coordinator, at: now, all: log, limit: limit, fault: fault)
    }

    // MARK: Commands

    func execute(_ command: Command, cancelling call: Int? = nil) throws(Violation) {
        let awoke = clock - appliedAt > Self.stallTolerance.nanoseconds
        // What awaking leads to is read before the command's events can take its place in the history.
        if awoke, !command.isAdvance { return try executeAfterPause(command, cancelling: call) }
        guard let daemon else { return }
        clients.sent(command, at: clock)
        lastCall += 1
        appliedAt = clock
        let (asked, given) = planted(command)
        let result = daemon.execute(given, at: now, call: lastCall, after: Sequence(model.lastSequence))
        if case .waiting = result.outcome { daemon.calls[lastCall]?.command = asked }
        say("\(given) -> \(result.outcome), revision \(result.revision.value)")
        guard let events = result.events else {
            throw Violation(.eventsAreGapless, "The events after \(model.lastSequence) are gone already.")
        }
        try require(
            result.lastSequence.value == model.lastSequence + UInt64(events.count), .eventsAreGapless,
            "The last event is \(result.lastSequence.value), and \(events.count) came after \(model.lastSequence).")
        summary.commands += 1
        summary.events += events.count
        log += events
        clients.executed(events, at: clock)
        try model.take(
            Model.Step(
                command: asked, outcome: result.outcome, settled: result.settled, events: events,
                counts: result.counts, now: uptime, awoke: awoke, call: call ?? lastCall,
                trace: Model.trace(ofCall: lastCall)))
        if revision < result.lastRevision {
            revision = result.lastRevision
            saved[revision.value] = Saved(model: model, uptime: uptime.durable, sequence: model.lastSequence)
        }
        for (settled, command, outcome) in result.settled {
            clients.executed(command, outcome, at: clock, limits: limits)
            replies.append(
                Reply(
                    command: command, outcome: outcome, revision: result.revision, executedAt: clock, hadWaited: true,
                    isLost: settled == call))
        }
        if case .waiting = result.outcome { return }
        clients.executed(asked, result.outcome, at: clock, limits: limits)
        replies.append(
            Reply(
                command: asked, outcome: result.outcome, revision: result.revision, executedAt: clock, hadWaited: false)
        )
    }

    private func executeAfterPause(_ command: Command, cancelling call: Int?) throws(Violation) {
        try execute(.advance)
        try execute(command, cancelling: call)
    }

    /// What was asked, and what the daemon executes.
    private func planted(_ command: Command) -> (asked: Command, given: Command) {
        guard fault == .staleTokenAccepted else { return (command, command) }
        switch command {
        case .renewLease(var held, let ttl):
            guard let holding = model.leases[held.task], let token = holding.token else { break }
            (held.agent, held.token) = (holding.agent, FencingToken(token))
            return (command, .renewLease(held, ttlSeconds: ttl))
        case .releaseLease(var held):
            guard let holding = model.leases[held.task], let token = holding.token else { break }
            (held.agent, held.token) = (holding.agent, FencingToken(token))
            return (command, .releaseLease(held))
        default: break
        }
        return (command, command)
    }

    /// A client that waits goes away.
    private func endWait() throws(Violation) {
        guard let daemon, !daemon.calls.isEmpty else { return }
        let call = random.pick(daemon.calls.keys.sorted())
        guard let waiter = daemon.calls[call]?.waiter else { return }
        try execute(.cancelWait(waiter), cancelling: call)
        daemon.calls[call] = nil
    }

    /// Tells what is durable, in the order in which it was executed; some of it is lost on the way.
    func deliver() throws(Violation) {
        guard let daemon else { return }
        while let reply = replies.first, daemon.coordinator.isDurable(reply.revision) {
            replies.removeFirst()
            toldRevision = max(toldRevision, reply.revision)
            if reply.isLost || random.chance(15) {
                if reply.command.isRetriable { clients.lost(reply.command) }
                if reply.hadWaited { try takeBack(reply.outcome) }
                continue
            }
            try tell(reply)
        }
    }

    func say(_ line: @autoclosure () -> String) {
        if let tell { tell("\(disk.operations) \(clock / 1_000_000) ms: \(line())") }
    }

    private func tell(_ reply: Reply) throws(Violation) {
        var outcome = reply.outcome
        if fault == .loserIsToldItWon, case .reply(.lease(var lease, acquired: false)) = outcome,
            case .acquireLease(let request) = reply.command
        {
            lease.holder = request.agent
            outcome = .reply(.lease(lease, acquired: true))
        }
        try clients.told(reply.command, outcome, executedAt: reply.executedAt) { model.ttl($0) }
        if fault == .claimGivenTwice, case .reply(.claimed(let task, var lease)) = outcome {
            lease.holder = AgentID(high: 8, low: 8)
            do throws(Violation) {
                try clients.told(reply.command, .reply(.claimed(task, lease)), executedAt: reply.executedAt) { $0 }
            } catch {
                throw Violation(.oneAgentATask, error.detail)
            }
        }
    }

    /// What was granted to a call that is gone goes back.
    private func takeBack(_ outcome: Outcome) throws(Violation) {
        switch outcome {
        case .reply(.lease(let lease, acquired: true)), .reply(.claimed(_, let lease)):
            try execute(.returnGrant(lease.task, lease.token))
        default: break
        }
    }

    func count(_ body: (inout Summary) -> Void) { body(&summary) }
}
