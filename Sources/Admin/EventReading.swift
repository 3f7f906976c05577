// The kept events, read upwards from a sequence or downwards from one, with a filter that may let hardly any through.
//
// A read takes many looks, and between two of them the history moves on: each look begins at what is kept then.

import Coordination
import JSON

extension Reads {
    /// Events looked at under the lock in one go, and for one answer in all.
    private static let scanning = 2_000
    private static let maxExamined: UInt64 = 20_000

    struct EventStretch {
        /// Ascending.
        var events: [Event] = []
        /// Everything that the filter wants between the two is there: after the one, up to the other.
        var from: Sequence
        var to: Sequence
        var oldest: Sequence
        var last: Sequence
    }

    mutating func events(_ filter: EventFilter, _ page: Resource.EventPage) throws(Refusal) -> EventStretch {
        let (last, beforeOldest) = read { ($0.lastSequence, $0.beforeOldestKept) }
        let oldest = Sequence(beforeOldest.value + 1)
        switch page.direction {
        case .after(let sequence):
            // What is gone is no error for somebody who looks around.
            let start = max(min(sequence, last), beforeOldest)
            var stretch = EventStretch(from: start, to: start, oldest: oldest, last: last)
            while stretch.events.count < page.limit, stretch.to < last,
                stretch.to.value - start.value < Self.maxExamined
            {
                let (position, room) = (stretch.to, page.limit - stretch.events.count)
                let (edge, next) = try read { machine throws(Refusal) in
                    let edge = machine.beforeOldestKept
                    return (
                        edge,
                        try machine.events(
                            after: max(position, edge), matching: filter, limit: room, scanning: Self.scanning)
                    )
                }
                stretch.oldest = Sequence(edge.value + 1)
                if edge > position {
                    // What lies between is gone, and must not be in the middle.
                    guard stretch.events.isEmpty else { return stretch }
                    stretch.from = edge
                }
                stretch.events += next.events
                stretch.to = next.examined
            }
            return stretch
        case .before(let sequence):
            return try events(upTo: max(min(Sequence(max(sequence.value, 1) - 1), last), beforeOldest))
        case .latest:
            return try events(upTo: last)
        }

        /// Window by window, each read upwards.
        func events(upTo end: Sequence) throws(Refusal) -> EventStretch {
            var stretch = EventStretch(from: end, to: end, oldest: oldest, last: last)
            while stretch.events.count < page.limit, stretch.from.value >= stretch.oldest.value,
                end.value - stretch.from.value < Self.maxExamined
            {
                let stop = stretch.from
                let (edge, start, found) = try read { machine throws(Refusal) in
                    let edge = machine.beforeOldestKept
                    let start = max(Sequence(stop.value - min(UInt64(Self.scanning), stop.value)), edge)
                    return (
                        edge, min(start, stop),
                        try machine.events(
                            after: start, upTo: stop, matching: filter, limit: .max, scanning: Self.scanning
                        ).events
                    )
                }
                stretch.oldest = Sequence(edge.value + 1)
                let room = page.limit - stretch.events.count
                stretch.events = found.suffix(room) + stretch.events
                stretch.from = found.count > room ? Sequence(found[found.count - room].sequence.value - 1) : start
            }
            return stretch
        }
    }

    /// The events as JSON, with the names of their agents.
    mutating func json(_ events: [Event]) -> [JSON] {
        let names = read { machine in events.map { machine.name(of: $0.agent) } }
        return zip(events, names).map { $0.json(agent: $1) }
    }
}

extension Machine {
    /// After which everything is kept.
    fileprivate var beforeOldestKept: Sequence { Sequence(oldestKeptSequence.value - 1) }
}

extension StateReader {
    func events(
        _ filter: EventFilter, _ page: Resource.EventPage, _ reads: inout Reads
    ) throws(Problem) -> Reading {
        let stretch: Reads.EventStretch
        do throws(Refusal) {
            stretch = try reads.events(filter, page)
        } catch {
            throw Problem(error)
        }
        var (from, to) = (stretch.from, stretch.to)
        let items: [JSON]
        if case .after = page.direction {
            items = reads.json(stretch.events).fitting(reads.pageBytes)
            if items.count < stretch.events.count { to = stretch.events[items.count - 1].sequence }
        } else {
            // The latest are wanted most.
            items = reads.json(stretch.events).reversed().fitting(reads.pageBytes).reversed()
            let left = stretch.events.count - items.count
            if left > 0 { from = stretch.events[left - 1].sequence }
        }
        let older: JSON = from.value + 1 > stretch.oldest.value ? .count(from.value + 1) : .null
        return Reading(
            [
                ("history", .string(sources.daemon.history)), ("oldest_kept_sequence", .count(stretch.oldest.value)),
                ("last_sequence", .count(stretch.last.value)), ("items", .array(items)), ("older", older),
                ("newer", .count(to.value)),
            ], at: reads.clock)
    }
}
