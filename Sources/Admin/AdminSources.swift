// What the second listener tells of, given to it by whoever puts the daemon together.

import Coordination

package struct AdminSources: Sendable {
    package var coordinator: Coordinator
    package var now: @Sendable () -> Moment
    package var daemon: DaemonDescription
    /// What `/readyz` tells; asked on an event loop.
    package var isReady: @Sendable () -> Bool
    /// Where calls are served, once they are.
    package var rpcAddress: @Sendable () -> String
    /// What `/metrics` shows, in this order.
    package var metrics: [MetricsSource] = []
    /// Counted so far; asked once a second.
    package var load: @Sendable () -> Load = { Load() }
    /// Those who watch the events by gRPC.
    package var watchers: @Sendable (WatcherQuery) async -> WatcherList = { _ in WatcherList() }
    /// Nil where the page may only look.
    package var actionToken: String?

    package init(
        coordinator: Coordinator, now: @escaping @Sendable () -> Moment, daemon: DaemonDescription,
        isReady: @escaping @Sendable () -> Bool, rpcAddress: @escaping @Sendable () -> String
    ) {
        self.coordinator = coordinator
        self.now = now
        self.daemon = daemon
        self.isReady = isReady
        self.rpcAddress = rpcAddress
    }
}

package struct DaemonDescription: Sendable {
    package var version: String
    package var startedAt: Moment
    package var isDurable: Bool
    /// Names the sequence of events: another one has other events under the same numbers.
    package var history: String

    package init(version: String, startedAt: Moment, isDurable: Bool, history: String) {
        self.version = version
        self.startedAt = startedAt
        self.isDurable = isDurable
        self.history = history
    }
}

/// What is counted of the calls, since the start.
package struct Load: Sendable {
    package var calls: Int64 = 0
    /// Calls that failed by the daemon's fault.
    package var errors: Int64 = 0
    /// Of calls that are answered at once, a counter for each bound, one more for those above.
    package var latencyBuckets: [Int64] = []
    /// In nanoseconds, ascending.
    package var latencyBounds: [Int64] = []
    package var openCalls: Int64 = 0
    package var openConnections: Int64 = 0
    package var watchers = 0
    /// Whether new work is refused for want of room on the disk.
    package var isDiskFull = false

    package init() {}
}
