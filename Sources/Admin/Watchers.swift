// Who watches, and who of them is slow: which connection it is, what it wants, how far behind it is, and whether it
// will miss something or has been told that it did.

import Coordination
import JSON

/// How one watcher stands.
struct WatcherStanding: Sendable {
    enum State: String, CaseIterable {
        /// Has all there is, but for what is under way to it.
        case live
        case behind
        /// So far or so long behind that somebody should look.
        case slow
        /// For its slowness; it is no more.
        case ended

        /// What one that is open can be.
        static let ofOpen = allCases.filter { $0 != .ended }
    }

    enum Gap: String {
        /// Events that it has not been sent are no longer kept: it will be told when it reads on.
        case coming
        case told
    }

    var details: WatcherDetails
    var state = State.live
    var eventsBehind: UInt64 = 0
    /// When the first event happened that it has not been sent, or the oldest that is still kept.
    var behindSince: WallTime?
    var gap: Gap?

    /// A watcher that takes nothing for so long has stopped reading.
    private static let slowAfter = Span.seconds(60)

    /// One that was ended.
    init(ended details: WatcherDetails) {
        self.details = details
        state = .ended
        gap = .told
    }

    /// One that is open.
    ///
    /// - Parameter last: the last event that may be told.
    init(_ details: WatcherDetails, last: Sequence, _ machine: borrowing Machine, at now: WallTime) {
        self.details = details
        if details.toldOfGapAt != nil { gap = .told }
        guard !details.isLive, details.cursor < last else { return }
        state = .behind
        eventsBehind = last.value - details.cursor.value
        let oldest = machine.oldestKeptSequence
        let first = max(details.cursor, Sequence(oldest.value - 1))
        let next = try? machine.events(after: first, matching: EventFilter(), limit: 1, scanning: 1)
        behindSince = next?.events.first?.occurredAt
        if details.cursor.value + 1 < oldest.value { gap = .coming }
        let since = behindSince?.nanoseconds ?? now.nanoseconds
        // Beyond half of what is kept it may not catch up.
        let isFar = eventsBehind >= UInt64(max(1, machine.maxKeptEvents / 2))
        if isFar || gap == .coming || now.nanoseconds - since >= Self.slowAfter.nanoseconds { state = .slow }
    }

    var json: JSON {
        let filter = details.filter
        return .object([
            ("watcher_id", .count(details.number)), ("peer", .string(details.peer)), ("call", .string(details.call)),
            ("opened_at", .time(details.openedAt)), ("topics", .texts(filter.topics)),
            ("exclude", .texts(filter.excludedTopics)), ("agent_id", .id(filter.agent)),
            ("task_id", .optional(filter.task?.text)), ("group", .optional(filter.group?.text)),
            ("status", .string(state.rawValue)), ("sent_sequence", .count(details.cursor.value)),
            ("events_behind", .count(eventsBehind)), ("behind_since", .time(behindSince)),
            ("gap", .optional(gap?.rawValue)), ("gap_told_at", .time(details.toldOfGapAt)),
        ])
    }
}

extension StateReader {
    /// Looked at for the overview's sake; a list is read to its end.
    private static let mostForAttention = 1_000
    /// For so long the overview names a watcher that was ended.
    private static let endedFor = Span.seconds(300)

    /// The watchers of both ports.
    func watchers(_ query: WatcherQuery) async -> WatcherList {
        var list = await sources.watchers(query)
        list.add(await feed.list(query), limit: query.limit)
        return list
    }

    /// The slow ones, the furthest behind first, and those that have just been ended for it.
    func slowWatchers(_ reads: inout Reads) async -> [WatcherStanding] {
        let list = await watchers(WatcherQuery(limit: Self.mostForAttention, onlyBehind: true))
        let now = sources.now().wall
        let ended = list.ended.filter {
            now.nanoseconds - ($0.toldOfGapAt ?? now).nanoseconds < Self.endedFor.nanoseconds
        }
        guard !list.open.isEmpty || !ended.isEmpty else { return [] }
        let slow = standings(list.open, &reads).filter { $0.state == .slow }
        return slow.sorted { $0.eventsBehind > $1.eventsBehind } + ended.map { WatcherStanding(ended: $0) }
    }

    /// A page of them.
    func watchers(_ states: [WatcherStanding.State], _ page: Resource.Page) async -> (Reading, Revision) {
        var reads = Reads(sources)
        let onlyBehind = !states.isEmpty && !states.contains(.live)
        let query = WatcherQuery(after: page.after, limit: page.limit + 1, onlyBehind: onlyBehind)
        let list = await watchers(query)
        let shown = list.open.prefix(page.limit)
        let next = list.open.count > page.limit ? shown.last?.number : nil
        let wanted = standings(Array(shown), &reads).filter { states.isEmpty || states.contains($0.state) }
        let ended = list.ended.map { WatcherStanding(ended: $0) }
        let reading = Reading(
            [
                ("items", .array(wanted.map(\.json))), ("next", next.map { .string(String($0)) } ?? .null),
                ("total", .count(list.total)), ("ended", .array(ended.map(\.json))),
            ], at: reads.clock)
        return (reading, reads.revision)
    }

    private func standings(_ watchers: [WatcherDetails], _ reads: inout Reads) -> [WatcherStanding] {
        let now = sources.now()
        let last = sources.coordinator.lastTellableSequence(at: now)
        return reads.read { machine in
            watchers.map { WatcherStanding($0, last: last, machine, at: now.wall) }
        }
    }
}
