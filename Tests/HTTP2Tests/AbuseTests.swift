// Floods: each kind ends the session, and honest use of the same frames does not. Time is turned by hand.

import Testing

@testable import HTTP2

struct AbuseTests {
    private static let second: Int64 = 1_000_000_000

    /// Few glitches are many.
    private static var strict: HTTP2Limits {
        var limits = HTTP2Limits()
        limits.glitches.capacity = 100
        limits.glitches.refillPerSecond = 10
        return limits
    }

    /// A server that has shaken hands with a client that has one stream open.
    private func connected() -> (client: Peer, server: Peer) {
        let (client, server) = (Peer(.client), Peer(.server, Self.strict))
        client.request(body: [1], heldOpen: true)
        pump(client, server)
        #expect(server.failure == nil)
        return (client, server)
    }

    private func isSentAway(_ server: Peer) -> Bool {
        let client = Peer(.client)
        // SETTINGS first, as a server's first frame must be.
        client.receive(frame(4) + server.outbound())
        return client.goAways.contains { $0.code == .enhanceYourCalm }
    }

    @Test(
        "A flood ends the session, whatever frame it is made of",
        arguments: [
            ("PING", frame(6, [UInt8](repeating: 0, count: 8))),
            ("PING acknowledged", frame(6, flags: 1, [UInt8](repeating: 0, count: 8))),
            ("SETTINGS", frame(4)),
            ("PRIORITY", frame(2, stream: 1, [0, 0, 0, 0, 1])),
            ("WINDOW_UPDATE", frame(8, [0, 0, 0, 1])),
            ("empty DATA", frame(0, stream: 1)),
            ("unknown", frame(0xbe, stream: 1, [1, 2, 3])),
            ("WINDOW_UPDATE of a stream that is over", frame(8, stream: 1, [0, 0, 0, 1])),
        ] as [(String, [UInt8])])
    func flood(name: String, bytes: [UInt8]) {
        let (_, server) = connected()
        for _ in 0..<50 { server.receive(bytes) }
        #expect(server.failure == nil, "fifty are honest")
        #expect(!isSentAway(server), "fifty are honest")
        for _ in 0..<100 { server.receive(bytes) }
        #expect(server.failure != nil || isSentAway(server))
    }

    @Test("The same frames, slowly, are honest")
    func slow() {
        let (_, server) = connected()
        for second in 1...100 {
            server.now = Int64(second) * Self.second
            for _ in 0..<8 { server.receive(frame(6, [UInt8](repeating: 0, count: 8))) }
        }
        #expect(server.failure == nil)
        #expect(!isSentAway(server))
    }

    @Test("Streams that are opened and reset at once end the session")
    func rapidReset() {
        let (client, server) = connected()
        for _ in 0..<100 {
            let sent = client.request()
            server.receive(client.outbound())
            client.session.reset(sent.id, .cancel)
            server.receive(client.outbound())
        }
        #expect(isSentAway(server))
    }

    @Test("Streams that the server is made to reset end the session sooner")
    func provokedResets() {
        let (client, server) = connected()
        // A field that HTTP/2 forbids makes a request malformed (RFC 9113, 8.2.2): a stream error.
        let malformed = Peer.requestFields + [HeaderField(name: "connection", value: "close")]
        var streams = 0
        while streams < 100, client.goAways.isEmpty {
            client.request(malformed)
            pump(client, server)
            streams += 1
        }
        #expect(client.goAways.map(\.code) == [.enhanceYourCalm])
        #expect(client.exchanges[1].closed == .protocolError)
        #expect(streams < 20)
    }

    @Test("Thousands of answered calls, with a ping and a window update each, are honest")
    func honest() {
        let (client, server) = connected()
        server.onHeaders = { server, exchange in
            exchange.trailers = [HeaderField(name: "grpc-status", value: "0")]
            exchange.body = [1]
            server.respond(exchange)
        }
        for _ in 0..<3_000 {
            client.request(body: [1])
            client.session.ping()
            pump(client, server)
            server.receive(frame(8, [0, 0, 0, 1]))
        }
        #expect(client.goAways.isEmpty)
        #expect(client.exchanges.dropFirst().allSatisfy { $0.closed == .noError })
    }

    @Test("More entries in a SETTINGS frame than there are settings end the session")
    func manySettings() {
        let (_, server) = connected()
        server.receive(frame(4, (0..<33).flatMap { _ in [0, 4, 0, 0, 0xff, 0xff] as [UInt8] }))
        #expect(server.failure != nil || server.session.wantsToSend)
        let client = Peer(.client)
        client.receive(frame(4) + server.outbound())
        #expect(server.failure != nil || client.goAways.contains { $0.code != .noError })
    }
}

struct AbusePolicyTests {
    private var limits: AbusePolicy.Limits {
        var limits = AbusePolicy.Limits()
        limits.capacity = 10
        limits.refillPerSecond = 1_000
        return limits
    }

    @Test("The budget is spent frame by frame, and what is useful costs nothing")
    func frames() {
        var policy = AbusePolicy(limits: limits, now: 0)
        policy.received(frames: 10)
        #expect(!policy.isExhausted)
        policy.usefulReceived()
        policy.received(frames: 1)
        #expect(!policy.isExhausted)
        policy.received(frames: 1)
        #expect(policy.isExhausted)
    }

    @Test("Resets cost more, and those that we are made to send the most")
    func resets() {
        var peer = AbusePolicy(limits: limits, now: 0)
        for _ in 0..<5 { peer.peerReset() }
        #expect(!peer.isExhausted)
        peer.peerReset()
        #expect(peer.isExhausted)
        var provoked = AbusePolicy(limits: limits, now: 0)
        provoked.provokedReset()
        #expect(!provoked.isExhausted)
        provoked.provokedReset()
        #expect(provoked.isExhausted)
    }

    @Test("What we send gives back, up to the capacity")
    func sent() {
        var policy = AbusePolicy(limits: limits, now: 0)
        for _ in 0..<100 { policy.usefulSent() }
        policy.received(frames: 10)
        #expect(!policy.isExhausted)
        policy.usefulSent()
        policy.received(frames: 4)
        #expect(!policy.isExhausted)
        policy.received(frames: 1)
        #expect(policy.isExhausted)
    }

    @Test("Time gives back, and no part of it is lost or counted twice")
    func time() {
        var policy = AbusePolicy(limits: limits, now: 0)
        policy.received(frames: 15)
        policy.refill(now: 999_999)
        #expect(policy.isExhausted)
        policy.refill(now: 5_000_000)
        #expect(!policy.isExhausted)
        policy.received(frames: 1)
        #expect(policy.isExhausted)
        policy.refill(now: 5_000_000)
        #expect(policy.isExhausted)
        // A century gives back no more than the capacity.
        policy.refill(now: 3_155_760_000_000_000_000)
        policy.received(frames: 10)
        #expect(!policy.isExhausted)
        policy.received(frames: 1)
        #expect(policy.isExhausted)
    }
}
