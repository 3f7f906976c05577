// A client that watches: it has seen events up to some sequence, and goes on from there, over restarts too.

import Coordination

struct Watcher {
    let filter: EventFilter
    private var seen: Sequence
    /// What it was handed last, for a fault that hands it over again.
    private(set) var last: [Event] = []

    init(filter: EventFilter, after sequence: Sequence) {
        self.filter = filter
        seen = sequence
    }

    /// Reads on, and compares with all that ever happened.
    mutating func read(
        _ coordinator: Coordinator, at now: Moment, all log: [Event], limit: Int, fault: Fault?
    ) throws(Violation) {
        var (events, examined): ([Event], Sequence)
        do throws(Refusal) {
            if fault == .eventsBeforeDurable {
                (events, examined) = try coordinator.read(at: now) { machine throws(Refusal) in
                    try machine.events(after: seen, matching: filter, limit: limit, scanning: 100)
                }.result
            } else {
                (events, examined) = try coordinator.events(
                    after: seen, matching: filter, limit: limit, scanning: 100, at: now)
            }
        } catch {
            guard case .historyGone(_, let oldest) = error, seen.value + 1 < oldest.value else {
                throw Violation(.eventsAreGapless, "A watcher that has seen \(seen.value) was refused: \(error).")
            }
            seen = coordinator.lastTellableSequence(at: now)
            return
        }
        if fault == .dropEvent, events.count > 1 { events.remove(at: events.count / 2) }
        if fault == .duplicateEvent, let first = events.first { events.insert(first, at: 0) }
        try check(events, upTo: examined, log)
        seen = examined
    }

    private func check(_ events: [Event], upTo end: Sequence, _ log: [Event]) throws(Violation) {
        var expected: [Event] = []
        if seen < end {
            try require(
                end.value <= log.count, .eventsAreGapless, "Event \(end.value) was shown, and never happened.")
            expected = log[Int(seen.value)..<Int(end.value)].filter(filter.matches)
        }
        let numbers = events.map(\.sequence.value)
        try require(
            numbers == expected.map(\.sequence.value), .eventsAreGapless,
            "After \(seen.value) a watcher was shown \(numbers), and should have been \(expected.map(\.sequence.value))."
        )
        for (event, original) in zip(events, expected) {
            try require(
                event.bytes == original.bytes, .eventsAreGapless,
                "Event \(event.sequence.value) was shown as \(event), and was \(original).")
        }
    }
}

extension Event {
    /// All that a watcher sees of it.
    var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.fixed(sequence.value)
        writer.text(topic.rawValue)
        writer.fixed(occurredAt.nanoseconds)
        writer.text(agent.map { "\($0)" } ?? "")
        writer.text(reason.text)
        writer.text(trace?.text ?? "")
        payload.write(to: &writer)
        return writer.bytes
    }
}
