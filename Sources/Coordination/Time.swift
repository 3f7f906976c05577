// Two kinds of time that can't be mistaken for each other.
//
// Deadlines are `Instant`s, on a clock that only goes forward and counts through suspend. Whatever a
// person reads is a `WallTime`, which may jump by years and decides nothing. The core reads neither
// clock: both arrive as a `Moment` with each command, so that the same commands give the same bytes.

/// A point on the daemon's monotonic clock (CLOCK_BOOTTIME): nanoseconds since an arbitrary start.
package struct Instant: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    @inlinable package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// Later than every deadline.
    package static let distantFuture = Instant(nanoseconds: .max)

    @inlinable package static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    @inlinable package static func + (instant: Instant, span: Span) -> Instant {
        Instant(nanoseconds: instant.nanoseconds &+ span.nanoseconds)
    }

    @inlinable package static func - (later: Instant, earlier: Instant) -> Span {
        Span(nanoseconds: later.nanoseconds &- earlier.nanoseconds)
    }
}

/// A length of time in nanoseconds; about 292 years at most, which no validated ttl comes near.
package struct Span: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    @inlinable package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    @inlinable package static func seconds(_ count: UInt32) -> Span {
        Span(nanoseconds: Int64(count) &* 1_000_000_000)
    }

    @inlinable package static func milliseconds(_ count: UInt32) -> Span {
        Span(nanoseconds: Int64(count) &* 1_000_000)
    }

    @inlinable package static func < (left: Span, right: Span) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    @inlinable package static func + (left: Span, right: Span) -> Span {
        Span(nanoseconds: left.nanoseconds &+ right.nanoseconds)
    }

    @inlinable package static func * (span: Span, factor: Int64) -> Span {
        Span(nanoseconds: span.nanoseconds &* factor)
    }
}

/// What the calendar said: nanoseconds since 1970-01-01 UTC. For display only.
package struct WallTime: Hashable, Sendable {
    package var nanoseconds: Int64

    @inlinable package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    @inlinable package static func + (time: WallTime, span: Span) -> WallTime {
        WallTime(nanoseconds: time.nanoseconds &+ span.nanoseconds)
    }
}

/// One reading of both clocks.
package struct Moment: Sendable {
    package var instant: Instant
    package var wall: WallTime

    @inlinable package init(instant: Instant, wall: WallTime) {
        self.instant = instant
        self.wall = wall
    }
}
