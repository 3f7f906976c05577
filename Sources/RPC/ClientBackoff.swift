// How long to wait between attempts to connect
// (https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md): longer after each failure, and
// never in step with the other clients of a server that fell.

package struct ClientBackoff: Sendable {
    package struct Settings: Sendable {
        /// The wait after the first failure, in nanoseconds: gRPC's own clients begin with a second.
        package var initialNanoseconds: Int64 = 1_000_000_000
        package var multiplier = 1.6
        /// How far the wait strays from its length, both ways, as a part of it.
        package var jitter = 0.2
        package var maxNanoseconds: Int64 = 120_000_000_000

        package init() {}
    }

    private let settings: Settings
    private var current: Double

    package init(_ settings: Settings) {
        self.settings = settings
        current = Double(settings.initialNanoseconds)
    }

    /// The time from the beginning of the attempt that failed to the beginning of the next.
    ///
    /// - Parameter random: from 0 to 1; where in the range of the jitter.
    package mutating func next(random: Double) -> Int64 {
        let wait = current * (1 + settings.jitter * (2 * random - 1))
        current = min(current * settings.multiplier, Double(settings.maxNanoseconds))
        return Int64(wait)
    }

    /// The server works again.
    package mutating func reset() {
        current = Double(settings.initialNanoseconds)
    }
}
