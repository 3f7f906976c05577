// What was answered lately, so that a client that lost the reply and asks again is not served twice.
//
// Two memories, both bounded by age and by number, the oldest forgotten first. Released leases are
// remembered by their token, which is unique; requests by the id that the client gave them. The content
// is kept as a fingerprint only.

import DequeModule

struct RetryMemory: Sendable {
    /// The lease's task is part of the request's content.
    typealias Made = StoredRequest.Made

    private struct Request: Sendable {
        let content: Fingerprint
        let made: Made
        /// Which of the entries in `requestOrder` is this one's; a lease's id can be used again.
        let serial: UInt64
    }

    private let limits: SharedLimits
    private var requests: [RequestID: Request] = [:]
    private var requestOrder: Deque<(id: RequestID, serial: UInt64, at: Instant)> = []
    private var lastSerial: UInt64 = 0
    private var releases: [UInt64: Fingerprint] = [:]
    private var releaseOrder: Deque<(token: UInt64, at: Instant)> = []

    init(limits: SharedLimits) {
        self.limits = limits
    }

    var requestCount: Int { requests.count }
    var releaseCount: Int { releases.count }

    /// What the request of this id made, if there was one.
    func recall(_ id: RequestID?, content: @autoclosure () -> Fingerprint) throws(Refusal) -> Made? {
        guard let id, let request = requests[id] else { return nil }
        guard request.content == content() else { throw .requestIDReused(id) }
        return request.made
    }

    mutating func remember(_ id: RequestID, content: Fingerprint, made: Made, at now: Instant) {
        lastSerial += 1
        requests[id] = Request(content: content, made: made, serial: lastSerial)
        requestOrder.append((id, lastSerial, now))
        if requestOrder.count > limits.values.maxRequestIDs { forgetOldestRequest() }
    }

    func wasReleased(_ lease: Command.HeldLease) -> Bool {
        guard let content = releases[lease.token.value] else { return false }
        return content == Fingerprint(lease)
    }

    /// False when the token was released before.
    mutating func rememberRelease(under token: FencingToken, content: Fingerprint, at now: Instant) -> Bool {
        guard releases.updateValue(content, forKey: token.value) == nil else { return false }
        releaseOrder.append((token.value, now))
        if releaseOrder.count > limits.values.maxReleasedLeases { forgetOldestRelease() }
        return true
    }

    mutating func forget(at now: Instant) {
        while let first = requestOrder.first, now - first.at >= limits.values.retryRetention { forgetOldestRequest() }
        while let first = releaseOrder.first, now - first.at >= limits.values.retryRetention { forgetOldestRelease() }
    }

    private mutating func forgetOldestRequest() {
        guard let oldest = requestOrder.popFirst() else { return }
        if requests[oldest.id]?.serial == oldest.serial { requests[oldest.id] = nil }
    }

    private mutating func forgetOldestRelease() {
        guard let oldest = releaseOrder.popFirst() else { return }
        releases[oldest.token] = nil
    }

    func checkInvariants() {
        precondition(releases.count == releaseOrder.count && releases.count <= limits.values.maxReleasedLeases)
        precondition(requests.count <= requestOrder.count && requestOrder.count <= limits.values.maxRequestIDs)
    }
}
