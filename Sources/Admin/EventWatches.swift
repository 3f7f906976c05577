// The streams of events that are open at this port: they watch as the gRPC port's watchers do, and are listed with them.

import Coordination
import Synchronization

final class EventWatches: Sendable {
    private let coordinator: Coordinator
    private let open = Mutex<[UInt64: EventWatch]>([:])

    init(coordinator: Coordinator) {
        self.coordinator = coordinator
    }

    var count: Int { open.withLock { $0.count } }

    func add(peer: String, filter: EventFilter, at now: WallTime) -> EventWatch {
        let details = WatcherDetails(
            number: coordinator.nextWatcherNumber(), peer: peer, call: "/events", openedAt: now, filter: filter,
            cursor: .zero, isLive: true)
        let watch = EventWatch(details)
        open.withLock { $0[details.number] = watch }
        return watch
    }

    func remove(_ watch: EventWatch) {
        let number = watch.details.number
        open.withLock { $0[number] = nil }
    }

    func list(_ query: WatcherQuery) -> WatcherList {
        let all = open.withLock { Array($0.values) }.map(\.details)
        var list = WatcherList()
        list.total = all.count
        list.open = Array(
            all.filter { query.wants($0.number, isLive: $0.isLive) }.sorted { $0.number < $1.number }
                .prefix(query.limit))
        return list
    }
}

/// One of them, as far as it has come. Written by its stream at each piece, and read by whoever looks.
final class EventWatch: Sendable {
    private let state: Mutex<WatcherDetails>

    init(_ details: WatcherDetails) {
        state = Mutex(details)
    }

    var details: WatcherDetails { state.withLock { $0 } }

    /// - Parameter isLive: whether it has been given all there is.
    func hasCome(to cursor: Sequence, isLive: Bool) {
        state.withLock { state in
            state.cursor = cursor
            state.isLive = isLive
        }
    }

    func wasToldOfGap(at now: WallTime) {
        state.withLock { $0.toldOfGapAt = now }
    }
}
