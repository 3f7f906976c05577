// One stream of events: what it wants, and how far it has come.

import Coordination
import RPC

/// How a watcher's end for its slowness begins to be told.
package let watcherFellBehind = "this watcher read too slowly"

/// Confined to its feed's event loop.
final class Watcher {
    enum Kind {
        /// `RegistryService.Watch` and `WatchElection`.
        case plain
        /// `WatchService.Watch`: is sent progress when it is idle.
        case withProgress
    }

    let call: ServerCall
    /// What was called, as `WatcherDetails` has it.
    let name: String
    /// Among all who ever watched, by age.
    let number: UInt64
    let openedAt: WallTime
    let filter: EventFilter
    let kind: Kind
    /// Events up to here were sent, or are not wanted.
    var cursor: Sequence
    /// The last that was sent; what a client resumes from.
    var lastSent: Sequence
    /// When anything was last sent, in nanoseconds of the monotonic clock.
    var sentAt: Int64
    /// The place in the feed's list of live watchers; nil for one that is fed from the history.
    var livePlace: Int?

    init(
        call: ServerCall, name: String, number: UInt64, filter: EventFilter, kind: Kind, after cursor: Sequence
    ) {
        self.call = call
        self.name = name
        self.number = number
        openedAt = Clock.wallTime()
        self.filter = filter
        self.kind = kind
        self.cursor = cursor
        lastSent = cursor
        sentAt = MonotonicClock.now()
    }

    /// - Parameter position: up to where all live ones have been fed.
    func details(position: Sequence) -> WatcherDetails {
        let isLive = livePlace != nil
        // What a live watcher has not been sent, it did not want.
        return WatcherDetails(
            number: number, peer: call.peer, call: name, openedAt: openedAt, filter: filter,
            cursor: isLive ? max(cursor, position) : cursor, isLive: isLive)
    }

    /// The gap that can't be closed: the history has moved past this watcher.
    func fellBehind(oldest: Sequence) -> Status {
        Status(
            .resourceExhausted,
            "\(watcherFellBehind): the last sequence that it was sent is \(lastSent.value), "
                + "and the oldest event that is kept is \(oldest.value)")
    }
}
