// The latest events, for watchers that resume and for those that lag.
//
// Bounded by number and by bytes, the oldest dropped first. But one command may emit more than there is
// room for, twenty thousand events when an agent with as many leases dies, and that must not end every
// watcher, the quickest too. So no command drops its own events, and of what is too many each later
// event drops two at most: whoever reads as fast as events are made has time to read them all.
//
// Sequence numbers have no gaps, so an event's place follows from its number and nothing is searched.

import DequeModule

struct EventHistory: Sendable {
    private let limits: SharedLimits
    private var events: Deque<Event> = []
    private(set) var bytes = 0
    private(set) var last = Sequence.zero
    /// The last event before the present command.
    private var lastBefore = Sequence.zero
    /// How many of each topic were ever emitted, by `Topic.index`.
    private(set) var emitted = [UInt64](repeating: 0, count: Topic.allCases.count)

    init(limits: SharedLimits) {
        self.limits = limits
    }

    var count: Int { events.count }

    /// One past the last when nothing is kept.
    var oldest: Sequence { Sequence(last.value + 1 - UInt64(events.count)) }

    @inline(__always)
    mutating func append(_ topic: Topic, _ payload: Event.Payload, agent: AgentID?, at time: WallTime) {
        last = Sequence(last.value + 1)
        emitted[topic.index] += 1
        let event = Event(sequence: last, topic: topic, occurredAt: time, payload: payload, agent: agent)
        bytes += event.approximateBytes
        events.append(event)
        dropSurplus()
    }

    mutating func beginCommand() {
        lastBefore = last
    }

    private mutating func dropSurplus() {
        var allowed = 2
        while oldest <= lastBefore {
            let isTooMany = events.count > limits.values.maxEvents && allowed > 0
            guard isTooMany || bytes > limits.values.maxEventBytes else { break }
            bytes -= events.removeFirst().approximateBytes
            allowed -= 1
        }
        assert(bytes >= 0)
    }

    /// The next events after `sequence` that the filter wants, and how far was looked: at most
    /// `scanning` events are, so that a rare topic doesn't hold the lock over the whole history.
    func events(
        after sequence: Sequence, matching filter: EventFilter, limit: Int, scanning: Int
    ) throws(Refusal) -> (events: [Event], examined: Sequence) {
        guard sequence <= last else { throw .futureSequence(sequence, last: last) }
        guard sequence.value + 1 >= oldest.value else { throw .historyGone(after: sequence, oldest: oldest) }
        var found: [Event] = []
        var index = Int(sequence.value + 1 - oldest.value)
        let end = index + min(events.count - index, max(scanning, 0))
        while index < end && found.count < limit {
            if filter.matches(events[index]) { found.append(events[index]) }
            index += 1
        }
        return (found, Sequence(oldest.value + UInt64(index) - 1))
    }

    func checkInvariants() {
        precondition(emitted.reduce(0, +) == last.value)
        precondition(events.reduce(0) { $0 + $1.approximateBytes } == bytes)
        for (place, event) in events.enumerated() {
            precondition(event.sequence.value == oldest.value + UInt64(place), "a gap in the sequence")
        }
    }
}
