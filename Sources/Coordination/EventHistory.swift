// The latest events, for watchers that resume and for those that lag.
//
// Bounded by number, by bytes and by age, the oldest dropped first. But one command may emit more than there
// is room for, twenty thousand events when an agent with as many leases dies, and that must not end every
// watcher, the quickest too. So no command drops its own events, and of what is too many each later
// event drops two at most: whoever reads as fast as events are made has time to read them all.
//
// Sequence numbers have no gaps, so an event's place follows from its number and nothing is searched.

import DequeModule

struct EventHistory: Sendable {
    private struct Kept: Sendable {
        let event: Event
        let at: Instant
    }

    private let limits: SharedLimits
    private var events: Deque<Kept> = []
    private(set) var bytes = 0
    private(set) var last = Sequence.zero
    /// The last event before the present command.
    private var lastBefore = Sequence.zero
    /// The last event before the daemon started.
    private var lastAtStart = Sequence.zero
    /// How many of each topic were emitted since the start, by `Topic.index`.
    private(set) var emitted = [UInt64](repeating: 0, count: Topic.allCases.count)
    /// And of those that somebody forced.
    private(set) var forced = [UInt64](repeating: 0, count: Topic.allCases.count)

    init(limits: SharedLimits) {
        self.limits = limits
    }

    func notForced(_ topic: Topic) -> UInt64 { emitted[topic.index] - forced[topic.index] }

    var count: Int { events.count }

    /// One past the last when nothing is kept.
    var oldest: Sequence { Sequence(last.value + 1 - UInt64(events.count)) }

    /// What the next event will have.
    var next: Sequence { Sequence(last.value + 1) }

    @inline(__always)
    mutating func append(
        _ topic: Topic, _ payload: Event.Payload, agent: AgentID?, reason: EventReason, origin: Origin?, at now: Moment
    ) {
        last = next
        emitted[topic.index] += 1
        if reason == .forced { forced[topic.index] += 1 }
        let event = Event(
            sequence: last, topic: topic, occurredAt: now.wall, payload: payload, agent: agent, reason: reason,
            origin: origin)
        bytes += event.approximateBytes
        events.append(Kept(event: event, at: now.instant))
        dropSurplus()
    }

    /// Takes in one event of those that were kept before the start, the oldest first.
    mutating func restore(_ event: Event, at time: Instant) {
        bytes += event.approximateBytes
        events.append(Kept(event: event, at: time))
    }

    /// Events go on above this one.
    mutating func resume(after last: Sequence) {
        self.last = last
        lastBefore = last
        lastAtStart = last
    }

    mutating func beginCommand() {
        lastBefore = last
    }

    mutating func forget(at now: Instant) {
        while let first = events.first, now - first.at >= limits.values.eventRetention { dropFirst() }
    }

    private mutating func dropSurplus() {
        var allowed = 2
        while oldest <= lastBefore {
            let isTooMany = events.count > limits.values.maxEvents && allowed > 0
            guard isTooMany || bytes > limits.values.maxEventBytes else { break }
            dropFirst()
            allowed -= 1
        }
        assert(bytes >= 0)
    }

    private mutating func dropFirst() {
        bytes -= events.removeFirst().event.approximateBytes
    }

    /// The next events after `sequence` that the filter wants, up to `end`, and how far was looked: at most
    /// `scanning` events are, so that a rare topic doesn't hold the lock over the whole history.
    func events(
        after sequence: Sequence, upTo end: Sequence, matching filter: EventFilter, limit: Int, scanning: Int
    ) throws(Refusal) -> (events: [Event], examined: Sequence) {
        guard sequence <= last else { throw .futureSequence(sequence, last: last) }
        guard sequence < end else { return ([], sequence) }
        guard sequence.value + 1 >= oldest.value else { throw .historyGone(after: sequence, oldest: oldest) }
        var found: [Event] = []
        var index = Int(sequence.value + 1 - oldest.value)
        let there = events.count - Int(last.value - min(end, last).value)
        let stop = index + min(there - index, max(scanning, 0))
        while index < stop && found.count < limit {
            if filter.matches(events[index].event) { found.append(events[index].event) }
            index += 1
        }
        return (found, Sequence(oldest.value + UInt64(index) - 1))
    }

    /// Whether the events that are kept are the last ones, each once.
    var isGapless: Bool {
        guard let first = events.first, let last = events.last else { return true }
        return last.event.sequence == self.last && first.event.sequence == oldest
            && zip(events, events.dropFirst()).allSatisfy { $0.event.sequence.value + 1 == $1.event.sequence.value }
    }

    func checkInvariants() {
        precondition(emitted.reduce(0, +) == last.value - lastAtStart.value)
        precondition(events.reduce(0) { $0 + $1.event.approximateBytes } == bytes)
        precondition(isGapless, "a gap in the sequence")
    }
}
