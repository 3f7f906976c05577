// Writes down what happens, on a thread of its own.
//
// It reads the history as a watcher does, ten times a second, so a command never waits for a line to be written,
// nor wakes anybody for it; and what is told is durable. What connections and calls come to is handed over in a short
// queue. Standard error may be a slow pipe: then this thread waits for it, and the history, bounded as it is, goes on without
// it. What a storm brings more than a person could read is counted, and the count is told.

import Coordination
import Dispatch
import Logging
import RPC
import Services
import Synchronization

final class EventLog: @unchecked Sendable {
    // All but the incidents is confined to the queue.

    private static let periodMilliseconds = 100
    /// When so many events came since the last look, the next one is sooner: ten thousand are kept by default, and a
    /// quarter of a million a second can come.
    private static let busyEvents: UInt64 = 1_000
    private static let busyPeriod = DispatchTimeInterval.milliseconds(10)
    /// Events read, and so the core's lock held, in one go; and looked at, most of which will be for nobody.
    private static let batch = 256
    private static let scanBatch = 2_048
    /// Lines about events: so many at once, and so many a second on average. 100 000 agents that die together are one
    /// incident, and told in a thousand lines.
    private static let burst = 1_000
    private static let linesPerSecond = 200
    /// Incidents that wait to be written.
    private static let maxIncidents = 1_024
    /// One line for each kind of limit or abuse in so many seconds.
    private static let quietNanoseconds: Int64 = 10_000_000_000
    private static let maxKinds = 256
    /// What a death has ended is read to the end before the death is told; more than this is only counted.
    private static let maxKept = 1_000
    /// Agents whose address is remembered, for the day they fall silent.
    private static let maxAddresses = 100_000
    /// How long the end of the daemon may wait for its last lines.
    private static let patience = DispatchTimeInterval.seconds(2)

    private let coordinator: Coordinator
    private let logger: Logger
    private let filter: EventFilter
    private let queue = DispatchQueue(label: "agentkeeper.log")
    private var timer: (any DispatchSourceTimer)?

    private var position: Sequence
    /// Whether the next look is on its way before the timer's.
    private var isHurrying = false
    private var lines = EventLog.burst
    private var refilledAt = MonotonicClock.now()
    /// A death whose consequences are still being read, and those of them that will be told.
    private var death: (event: Event, loss: Loss, kept: [Event])?
    private var leftOut = LeftOut()
    /// Where agents registered from: silence comes from nowhere, and the host is what one asks for first.
    private var addresses: [AgentID: String] = [:]
    private var kinds: [String: Kind] = [:]

    private let incidents = Mutex<(waiting: [Incident], lost: Int)>(([], 0))

    private struct LeftOut {
        var counts: [Topic: Int] = [:]
        var range: (first: Sequence, last: Sequence)?

        mutating func add(_ event: Event) {
            counts[event.topic, default: 0] += 1
            range = (range?.first ?? event.sequence, event.sequence)
        }
    }

    /// One kind of limit or abuse.
    private struct Kind {
        var toldAt: Int64
        var suppressed = 0
    }

    init(_ coordinator: Coordinator, _ logger: Logger) {
        self.coordinator = coordinator
        self.logger = logger
        let topics = Topic.allCases.filter { $0.matters || logger.logLevel <= .debug }
        filter = EventFilter(topics: topics.map(\.rawValue))
        position = coordinator.lastTellableSequence(at: Clock.now())
    }

    /// What the server is to tell of.
    var listener: IncidentListener {
        IncidentListener(hearsEveryFailure: logger.logLevel <= .debug) { [self] incident in
            incidents.withLock { queue in
                if queue.waiting.count < Self.maxIncidents { queue.waiting.append(incident) } else { queue.lost += 1 }
            }
        }
    }

    func start() {
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(
            deadline: .now(), repeating: .milliseconds(Self.periodMilliseconds), leeway: .milliseconds(20))
        timer.setEventHandler { [unowned self] in write() }
        timer.resume()
        queue.sync { self.timer = timer }
    }

    /// Writes what is left, unless nobody takes it.
    func stop() {
        let done = DispatchSemaphore(value: 0)
        queue.async { [self] in
            timer?.cancel()
            timer = nil
            write()
            done.signal()
        }
        _ = done.wait(timeout: .now() + Self.patience)
    }

    private func write() {
        let before = position
        refill()
        writeEvents()
        writeIncidents()
        guard position.value - before.value > Self.busyEvents, !isHurrying, timer != nil else { return }
        isHurrying = true
        queue.asyncAfter(deadline: .now() + Self.busyPeriod) { [weak self] in
            guard let self else { return }
            isHurrying = false
            if timer != nil { write() }
        }
    }

    private func refill() {
        let now = MonotonicClock.now()
        let earned = Int((now - refilledAt) / (1_000_000_000 / Int64(Self.linesPerSecond)))
        guard earned > 0 else { return }
        refilledAt = now
        lines = min(Self.burst, lines + earned)
    }

    // MARK: Events

    private func writeEvents() {
        while true {
            let events: [Event]
            let start = position
            do throws(Refusal) {
                (events, position) = try coordinator.events(
                    after: position, matching: filter, limit: Self.batch, scanning: Self.scanBatch, at: Clock.now())
            } catch {
                skip(to: error)
                continue
            }
            let names = names(events)
            for event in events { take(event, names) }
            if position == start { break }
        }
        // All of a command's events become visible together, so nothing more belongs to it.
        tellOfDeath()
        if lines > 0 { tellOfLeftOut() }
    }

    /// The history no longer reaches back to where this was: standard error was not read for that long.
    private func skip(to refusal: Refusal) {
        tellOfDeath()
        let before = position
        guard case .historyGone(_, let oldest) = refusal else {
            position = coordinator.lastTellableSequence(at: Clock.now())
            return
        }
        position = Sequence(oldest.value - 1)
        tell(
            .warning, "the log fell behind: events were left out",
            ["first_sequence": "\(before.value + 1)", "last_sequence": "\(position.value)"], kind: "the log fell behind"
        )
    }

    /// A death is told with what it ended, which the events after it say.
    private func take(_ event: Event, _ names: [AgentID: String]) {
        if death?.event.agent == event.agent, event.reason == .holderDied || event.reason == .leaderDied {
            death?.loss.add(event)
            if (death?.kept.count ?? 0) < Self.maxKept { death?.kept.append(event) } else { leftOut.add(event) }
            return
        }
        tellOfDeath()
        if event.topic == .agentRegistered, let agent = event.agent, addresses.count < Self.maxAddresses {
            addresses[agent] = event.origin?.peer
        }
        if event.topic == .agentDied {
            death = (event, Loss(), [])
        } else {
            tell(event, names)
        }
    }

    private func tellOfDeath() {
        guard let (event, loss, kept) = death else { return }
        death = nil
        let names = names([event] + kept)
        tell(event, names, loss)
        for event in kept { tell(event, names) }
        if let agent = event.agent { addresses[agent] = nil }
    }

    private func tell(_ event: Event, _ names: [AgentID: String], _ loss: Loss? = nil) {
        guard lines > 0 else { return leftOut.add(event) }
        tellOfLeftOut()
        lines -= 1
        var line = LogLine(event, names: names, loss: loss)
        if event.topic.isOfSilence, event.origin == nil, let address = event.agent.flatMap({ addresses[$0] }) {
            line.fields["peer"] = "\(address)"
        }
        logger.log(level: line.level, line.message, metadata: line.fields)
    }

    private func tellOfLeftOut() {
        guard let range = leftOut.range else { return }
        var fields: Logger.Metadata = [
            "first_sequence": "\(range.first.value)", "last_sequence": "\(range.last.value)",
        ]
        for (topic, count) in leftOut.counts { fields[topic.rawValue] = "\(count)" }
        leftOut = LeftOut()
        logger.warning("more happened than the log tells: events were left out", metadata: fields)
    }

    /// Of the agents that the events name by their ids alone.
    private func names(_ events: [Event]) -> [AgentID: String] {
        // What is only counted needs no names.
        if lines == 0 { return [:] }
        var ids: Set<AgentID> = []
        for event in events {
            if let agent = event.agent { ids.insert(agent) }
            if let leader = event.payload.leader { ids.insert(leader) }
            if case .lease(let lease) = event.payload { ids.insert(lease.holder) }
        }
        if ids.isEmpty { return [:] }
        return coordinator.read(at: Clock.now()) { machine in
            var names: [AgentID: String] = [:]
            for id in ids { names[id] = machine.agent(id)?.card.name }
            return names
        }.result
    }

    // MARK: Incidents

    private func writeIncidents() {
        let (waiting, lost) = incidents.withLock { queue in
            defer { queue = ([], 0) }
            return queue
        }
        for incident in waiting { tell(incident) }
        if lost > 0 {
            logger.warning("more happened than the log tells: incidents were left out", metadata: ["count": "\(lost)"])
        }
        tellOfSuppressed()
    }

    private func tell(_ incident: Incident) {
        switch incident {
        case .connectionRefused(let peer, let reason):
            tell(.warning, "connection refused", ["peer": "\(peer)", "reason": "\(reason)"], kind: reason)
        case .connectionEnded(let peer, let reason):
            tell(
                .warning, "connection ended for abuse",
                ["peer": "\(peer)", "reason": "\(LineLogHandler.cut(reason))"], kind: reason)
        case .callFailed(let method, let isStream, let status, let peer):
            let fields: Logger.Metadata = [
                "method": "\(LineLogHandler.cut(method))", "peer": "\(peer)", "code": "\(status.code.name)",
                "reason": "\(LineLogHandler.cut(status.message))",
            ]
            guard status.code == .resourceExhausted else { return logger.debug("call refused", metadata: fields) }
            let isLag = isStream && status.message.hasPrefix(watcherFellBehind)
            tell(
                .warning, isLag ? "watcher ended: it read too slowly" : "limit hit", fields,
                kind: isLag ? watcherFellBehind : status.message)
        }
    }

    /// Tells of the first of a kind, and counts those that come soon after.
    private func tell(_ level: Logger.Level, _ message: Logger.Message, _ fields: Logger.Metadata, kind text: String) {
        // The numbers in a message are those of the moment.
        var kind = String(text.unicodeScalars.filter { !("0"..."9").contains($0) }.prefix(100).map(Character.init))
        if kinds[kind] == nil, kinds.count >= Self.maxKinds { kind = "" }
        let now = MonotonicClock.now()
        if let known = kinds[kind], now - known.toldAt < Self.quietNanoseconds {
            kinds[kind]?.suppressed += 1
            return
        }
        var fields = fields
        if let suppressed = kinds[kind]?.suppressed, suppressed > 0 { fields["suppressed"] = "\(suppressed)" }
        kinds[kind] = Kind(toldAt: now)
        logger.log(level: level, message, metadata: fields)
    }

    /// What was counted and did not come again.
    private func tellOfSuppressed() {
        let now = MonotonicClock.now()
        for (kind, known) in kinds where now - known.toldAt >= Self.quietNanoseconds {
            kinds[kind] = nil
            guard known.suppressed > 0 else { continue }
            logger.warning(
                "the same happened more often",
                metadata: ["reason": "\(kind)", "suppressed": "\(known.suppressed)"])
        }
    }
}
