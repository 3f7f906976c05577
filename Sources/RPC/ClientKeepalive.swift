// Pings that tell whether a silent connection is alive
// (https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md).
//
// Time is counted from the last byte that was heard, so a connection in use is never pinged. Whoever holds
// this asks when it is due, at the time that it named. A call whose deadline passed in silence is a reason to
// ask at once: behind a connection that a router has forgotten, all further calls would wait as vainly.

package struct ClientKeepalive {
    package struct Settings: Sendable {
        /// Silence after which a ping is sent, in seconds; below ten counts as ten, for the servers' sake.
        package var afterSeconds: Int64 = 300
        /// How long any byte may take to follow the ping, in seconds.
        package var timeoutSeconds: Int64 = 20
        /// How long it may take when there is reason to doubt the connection, in nanoseconds.
        package var doubtTimeoutNanoseconds: Int64 = 1_000_000_000
        /// Servers count pings without calls as abuse, unless told otherwise.
        package var pingsWithoutCalls = false

        package init() {}
    }

    enum Action: Equatable {
        case ping(askAgainAt: Int64)
        case wait(until: Int64)
        /// The connection is dead.
        case close
    }

    private static let second: Int64 = 1_000_000_000
    private let settings: Settings
    private var heardAt: Int64
    /// When the connection is given up, unless something is heard.
    private var answerDueAt: Int64?

    init(_ settings: Settings, now: Int64) {
        self.settings = settings
        heardAt = now
    }

    private var after: Int64 { max(10, settings.afterSeconds) * Self.second }
    private var timeout: Int64 { settings.timeoutSeconds * Self.second }

    mutating func heard(now: Int64) {
        heardAt = now
        answerDueAt = nil
    }

    /// What is to be done now; times in nanoseconds of one monotonic clock.
    mutating func ask(now: Int64, hasCalls: Bool) -> Action {
        if let answerDueAt { return now >= answerDueAt ? .close : .wait(until: answerDueAt) }
        guard now - heardAt >= after else { return .wait(until: heardAt + after) }
        // Silence without calls is fine; the first call that is made in it is pinged at once, by asking.
        guard hasCalls || settings.pingsWithoutCalls else { return .wait(until: now + after) }
        answerDueAt = now + timeout
        return .ping(askAgainAt: now + timeout)
    }

    /// The deadline of a call has passed that was sent at `sentAt`.
    mutating func callTimedOut(sentAt: Int64, now: Int64) -> Action? {
        guard heardAt < sentAt else { return nil }
        let due = now + settings.doubtTimeoutNanoseconds
        if let answerDueAt, answerDueAt <= due { return nil }
        let isPinged = answerDueAt != nil
        answerDueAt = due
        return isPinged ? .wait(until: due) : .ping(askAgainAt: due)
    }
}
