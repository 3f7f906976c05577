// How one stands who watches what happens, told to those who look at all of them. Whoever feeds watchers describes its
// own, when it is asked and not before: keeping this up to date would cost something at every event.

package struct WatcherDetails: Sendable {
    /// Counts those who ever watched, from 1: the order of age.
    package var number: UInt64
    /// Address and port; empty where there is none.
    package var peer: String
    /// What it called, without the package: `WatchService.Watch`.
    package var call: String
    package var openedAt: WallTime
    package var filter: EventFilter
    /// It has all events up to here that it wants, as far as they could be given to its connection.
    package var cursor: Sequence
    /// Whether it has all there is, but for what is under way to it.
    package var isLive: Bool
    /// When it was told that events which it wanted are gone.
    package var toldOfGapAt: WallTime?

    package init(
        number: UInt64, peer: String, call: String, openedAt: WallTime, filter: EventFilter, cursor: Sequence,
        isLive: Bool, toldOfGapAt: WallTime? = nil
    ) {
        self.number = number
        self.peer = peer
        self.call = call
        self.openedAt = openedAt
        self.filter = filter
        self.cursor = cursor
        self.isLive = isLive
        self.toldOfGapAt = toldOfGapAt
    }
}

/// A part of all who watch.
package struct WatcherList: Sendable {
    /// By number.
    package var open: [WatcherDetails] = []
    /// The last that were ended because the history had moved past them, the latest first.
    package var ended: [WatcherDetails] = []
    package var total = 0

    package init() {}

    package static let maxEnded = 10

    /// Puts two parts together, each of which has its first `limit`.
    package mutating func add(_ other: WatcherList, limit: Int) {
        open = Array((open + other.open).sorted { $0.number < $1.number }.prefix(limit))
        let when = { (watcher: WatcherDetails) in (watcher.toldOfGapAt ?? watcher.openedAt).nanoseconds }
        ended = Array((ended + other.ended).sorted { when($0) > when($1) }.prefix(Self.maxEnded))
        total += other.total
    }
}

/// Which of them are wanted.
package struct WatcherQuery: Sendable {
    /// Those with higher numbers.
    package var after: UInt64
    package var limit: Int
    /// Leaves out those that have all there is.
    package var onlyBehind: Bool

    package init(after: UInt64 = 0, limit: Int, onlyBehind: Bool = false) {
        self.after = after
        self.limit = limit
        self.onlyBehind = onlyBehind
    }

    package func wants(_ number: UInt64, isLive: Bool) -> Bool {
        number > after && !(onlyBehind && isLive)
    }
}
