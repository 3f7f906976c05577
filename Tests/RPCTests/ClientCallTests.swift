// The client's call without sockets: told what arrives, asked what follows.

import HTTP2
import Testing

@testable import RPC

struct ClientCallTests {
    /// A call that has got these header fields.
    private func headers(_ call: inout ClientCall, _ fields: [(String, String)], tooLarge: Bool = false)
        -> ClientCall.Action
    {
        for (name, value) in fields {
            Array(name.utf8).withUnsafeBufferPointer { name in
                Array(value.utf8).withUnsafeBufferPointer { value in call.headerField(name: name, value: value) }
            }
        }
        return call.headersEnded(tooLarge: tooLarge)
    }

    private func data(_ call: inout ClientCall, _ bytes: [UInt8]) -> ClientCall.Action {
        bytes.withUnsafeBytes { call.dataReceived($0) }
    }

    private enum Said: Equatable {
        case message([UInt8])
        case wait
        case ended(Status)
        case broken(Status)
    }

    private func next(_ call: inout ClientCall) -> Said {
        switch call.next() {
        case .message(let bytes): .message(Array(bytes))
        case .wait: .wait
        case .ended(let end): .ended(end.status)
        case .broken(let end): .broken(end.status)
        }
    }

    private static let head = [(":status", "200"), ("content-type", "application/grpc+proto"), ("a", "b")]

    @Test("Messages come before the status, whatever arrived first")
    func order() {
        var call = ClientCall(maxReplyBytes: 100)
        #expect(next(&call) == .wait)
        #expect(headers(&call, Self.head) == .look)
        #expect(call.metadata?["a"] == "b")
        #expect(data(&call, [0, 0, 0, 0, 1, 7, 0, 0]) == .look)
        #expect(data(&call, [0, 0, 2, 8, 9]) == .look)
        #expect(headers(&call, [("grpc-status", "5"), ("grpc-message", "gone"), ("t", "u")]) == .end(reset: .noError))
        #expect(call.remoteEnded() == .none)
        #expect(call.closed(.noError) == .none)
        #expect(next(&call) == .message([7]))
        #expect(next(&call) == .message([8, 9]))
        #expect(next(&call) == .ended(Status(.notFound, "gone")))
        #expect(next(&call) == .ended(Status(.notFound, "gone")))
        #expect(call.end?.trailers["t"] == "u")
    }

    @Test("The first end is the last")
    func once() {
        var call = ClientCall(maxReplyBytes: 100)
        _ = headers(&call, Self.head)
        _ = data(&call, [0, 0, 0, 0, 1, 7])
        #expect(call.finish(Status(.cancelled)) == .end(reset: .cancel))
        #expect(call.finish(Status(.deadlineExceeded)) == .none)
        #expect(headers(&call, [("grpc-status", "0")]) == .none)
        #expect(call.closed(.internalError) == .none)
        // What the client decides discards what it had not read.
        #expect(next(&call) == .ended(Status(.cancelled)))
    }

    @Test("An answer that is complete is not taken back by a deadline")
    func answered() {
        var call = ClientCall(maxReplyBytes: 100)
        _ = headers(&call, Self.head)
        _ = data(&call, [0, 0, 0, 0, 0])
        _ = headers(&call, [("grpc-status", "0")])
        #expect(call.finish(Status(.deadlineExceeded)) == .none)
        #expect(next(&call) == .message([]))
        #expect(next(&call) == .ended(.ok))
    }

    @Test("Only a call without an answer may be sent anew")
    func sendAnew() {
        var call = ClientCall(maxReplyBytes: 100)
        #expect(call.closed(.refusedStream) == .sendAnew)
        #expect(call.end == nil)
        _ = headers(&call, Self.head)
        #expect(call.closed(.refusedStream) == .end(reset: .cancel))
        #expect(call.end?.status.code == .unavailable)
    }

    @Test("A message that is too long is told from its prefix")
    func tooLong() {
        var call = ClientCall(maxReplyBytes: 100)
        _ = headers(&call, Self.head)
        _ = data(&call, [0, 0, 0, 0, 101])
        guard case .broken(let status) = next(&call) else {
            Issue.record("the message was taken")
            return
        }
        #expect(status.code == .resourceExhausted)
        #expect(next(&call) == .ended(status))
    }

    @Test("A request is kept until the answer begins, or until it is too long")
    func replay() {
        func fill(_ request: inout ClientRequest, _ count: Int) -> Int {
            withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { buffer in
                switch request.fill(buffer) {
                case .bytes(let count), .last(let count): count
                default: 0
                }
            }
        }
        var request = ClientRequest(compresses: false, maxReplayBytes: 20)
        [UInt8](repeating: 1, count: 25).withUnsafeBytes { request.append($0) }
        #expect(fill(&request, 20) == 20)
        #expect(request.pendingBytes == 10)
        #expect(request.rewind() == true)
        #expect(request.pendingBytes == 30)
        #expect(fill(&request, 21) == 21)
        #expect(request.rewind() == false)

        var answered = ClientRequest(compresses: false, maxReplayBytes: 20)
        ([1] as [UInt8]).withUnsafeBytes { answered.append($0) }
        #expect(fill(&answered, 3) == 3)
        answered.answerBegan()
        #expect(answered.rewind() == false)
        #expect(answered.pendingBytes > 0)
    }
}

struct ClientBackoffTests {
    @Test("Waits grow by 1.6 to two minutes, and begin anew after a success")
    func growth() {
        var backoff = ClientBackoff(ClientBackoff.Settings())
        let waits = (0..<12).map { _ in Double(backoff.next(random: 0.5)) / 1e9 }
        #expect(waits[0] == 1)
        for (before, after) in zip(waits, waits.dropFirst()) {
            #expect(abs(after - min(before * 1.6, 120)) < 0.001)
        }
        #expect(waits[11] == 120)
        backoff.reset()
        #expect(backoff.next(random: 0.5) == 1_000_000_000)
    }

    @Test("Each wait strays by a fifth, both ways", arguments: [(0.0, 800_000_000), (1.0, 1_200_000_000)])
    func jitter(random: Double, wait: Int64) {
        var backoff = ClientBackoff(ClientBackoff.Settings())
        #expect(backoff.next(random: random) == wait)
    }
}

struct ClientKeepaliveTests {
    private static let second: Int64 = 1_000_000_000

    private func make(without: Bool = false, after: Int64 = 60) -> ClientKeepalive {
        var settings = ClientKeepalive.Settings()
        settings.afterSeconds = after
        settings.pingsWithoutCalls = without
        return ClientKeepalive(settings, now: 0)
    }

    @Test("A silent connection is pinged, and closed when nothing follows")
    func silence() {
        var keepalive = make()
        #expect(keepalive.ask(now: 59 * Self.second, hasCalls: true) == .wait(until: 60 * Self.second))
        #expect(keepalive.ask(now: 60 * Self.second, hasCalls: true) == .ping(askAgainAt: 80 * Self.second))
        #expect(keepalive.ask(now: 79 * Self.second, hasCalls: true) == .wait(until: 80 * Self.second))
        #expect(keepalive.ask(now: 80 * Self.second, hasCalls: true) == .close)
    }

    @Test("Any byte is a sign of life")
    func life() {
        var keepalive = make()
        _ = keepalive.ask(now: 60 * Self.second, hasCalls: true)
        keepalive.heard(now: 70 * Self.second)
        #expect(keepalive.ask(now: 80 * Self.second, hasCalls: true) == .wait(until: 130 * Self.second))
    }

    @Test("Without calls there are no pings, unless they are asked for")
    func noCalls() {
        var keepalive = make()
        #expect(keepalive.ask(now: 60 * Self.second, hasCalls: false) == .wait(until: 120 * Self.second))
        // The first call after a long silence is pinged at once.
        #expect(keepalive.ask(now: 61 * Self.second, hasCalls: true) == .ping(askAgainAt: 81 * Self.second))
        var asked = make(without: true)
        #expect(asked.ask(now: 60 * Self.second, hasCalls: false) == .ping(askAgainAt: 80 * Self.second))
    }

    @Test("Pings are ten seconds apart at the least")
    func notTooOften() {
        var keepalive = make(after: 1)
        #expect(keepalive.ask(now: 5 * Self.second, hasCalls: true) == .wait(until: 10 * Self.second))
    }

    @Test("A call that timed out in silence has the connection asked at once, and given up after a second")
    func doubt() {
        var keepalive = make()
        keepalive.heard(now: 3 * Self.second)
        let asked = keepalive.callTimedOut(sentAt: 4 * Self.second, now: 5 * Self.second)
        #expect(asked == .ping(askAgainAt: 6 * Self.second))
        #expect(keepalive.callTimedOut(sentAt: 4 * Self.second, now: 5_500_000_000) == nil)
        #expect(keepalive.ask(now: 6 * Self.second, hasCalls: true) == .close)
    }

    @Test("A call that timed out on a connection that was heard of meanwhile is the call's own fault")
    func noDoubt() {
        var keepalive = make()
        keepalive.heard(now: 5 * Self.second)
        #expect(keepalive.callTimedOut(sentAt: 4 * Self.second, now: 6 * Self.second) == nil)
    }

    @Test("A doubt shortens the wait for a ping that is under way")
    func doubtWhilePinged() {
        var keepalive = make()
        #expect(keepalive.ask(now: 60 * Self.second, hasCalls: true) == .ping(askAgainAt: 80 * Self.second))
        let asked = keepalive.callTimedOut(sentAt: 61 * Self.second, now: 62 * Self.second)
        #expect(asked == .wait(until: 63 * Self.second))
        keepalive.heard(now: 62_500_000_000)
        #expect(keepalive.ask(now: 63 * Self.second, hasCalls: true) == .wait(until: 122_500_000_000))
    }
}
