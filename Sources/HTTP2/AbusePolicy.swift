// A budget for frames that make us work and bring nothing.
//
// PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown frames and resets are all legal, and all
// cheap to send; a flood of any is an attack (CVE-2019-9512, -9513, -9515, -9518, CVE-2023-44487,
// CVE-2025-8671). Honest clients send them too, in proportion to their work: a window update for what
// they read, a ping to measure, a reset when a deadline has passed. So there is one budget for all of
// them, refilled by useful work and by time; who spends it is told to calm down (ENHANCE_YOUR_CALM).
//
// Every frame costs; what opens a stream or carries data is given back at once. One budget instead of a
// rate for each kind: a peer who mixes his frames gains nothing.

package struct AbusePolicy {
    package struct Limits: Sendable {
        /// What a session may spend at once. A thousand deadlines that pass together are honest.
        package var capacity = 5_000
        /// What time gives back, each second: a flood this slow costs about a millisecond of CPU.
        package var refillPerSecond = 1_000
        /// What each frame of headers or data that we send gives back: who makes us work for real may
        /// ping and open windows.
        package var refillPerSentFrame = 4
        /// A frame, whatever it is.
        package var frameCost = 1
        /// A stream that the peer reset before it was answered.
        package var peerResetCost = 2
        /// A stream that the peer made us reset.
        package var provokedResetCost = 10

        package init() {}
    }

    private let limits: Limits
    private var budget: Int
    private var refilledAt: Int64

    package init(limits: Limits, now: Int64) {
        self.limits = limits
        budget = limits.capacity
        refilledAt = now
    }

    /// Whether the peer has spent more than it may.
    package var isExhausted: Bool { budget < 0 }

    package mutating func received(frames: Int) { budget -= frames &* limits.frameCost }

    /// One of the frames that were received opened a stream or carried data.
    package mutating func usefulReceived() { budget = min(limits.capacity, budget &+ limits.frameCost) }

    package mutating func peerReset() { budget -= limits.peerResetCost }
    package mutating func provokedReset() { budget -= limits.provokedResetCost }

    package mutating func usefulSent() {
        budget = min(limits.capacity, budget &+ limits.refillPerSentFrame)
    }

    /// Forgives for the time that passed; `now` in nanoseconds of a monotonic clock.
    package mutating func refill(now: Int64) {
        let elapsed = now &- refilledAt
        // Below a millisecond there is nothing to give; the time is not lost, it counts the next time.
        guard elapsed >= 1_000_000 else { return }
        refilledAt = now
        let earned = Int(min(elapsed / 1_000_000, 1_000_000)) * limits.refillPerSecond / 1_000
        budget = min(limits.capacity, budget + earned)
    }
}
