// Two sessions, one a client and one a server, pumped against each other in memory.

import Testing

@testable import HTTP2

struct SessionTests {
    private func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) } }

    @Test("A request, its response and its trailers arrive as they were sent")
    func exchange() throws {
        let (client, server) = (Peer(.client), Peer(.server))
        let sent = client.request(Peer.requestFields + [HeaderField(name: "a", value: "b")], body: bytes(100_000))
        server.onHeaders = { server, exchange in
            exchange.body = [7, 8]
            exchange.trailers = [HeaderField(name: "grpc-status", value: "0")]
            server.respond(exchange)
        }
        pump(client, server)
        let got = try #require(server.exchanges.first)
        #expect(got.blocks.map(\.fields) == [Peer.requestFields + [HeaderField(name: "a", value: "b")]])
        #expect(got.received == bytes(100_000))
        #expect(got.isRemoteEnded && got.isLocalEnded && got.closed == .noError)
        #expect(
            sent.blocks.map(\.fields) == [
                [HeaderField(name: ":status", value: "200")], [HeaderField(name: "grpc-status", value: "0")],
            ])
        #expect(sent.blocks.map(\.kind) == [.initial, .following])
        #expect(sent.received == [7, 8])
        #expect(sent.isRemoteEnded && sent.isLocalEnded && sent.closed == .noError)
        #expect(client.session.openStreams == 0 && server.session.openStreams == 0)
        #expect(client.settingsReceivedCount == 1 && server.settingsReceivedCount == 1)
    }

    @Test("Bytes may arrive one at a time")
    func oneByOne() throws {
        let (client, server) = (Peer(.client), Peer(.server))
        client.request(body: bytes(50))
        server.onHeaders = { server, exchange in server.respond(exchange) }
        for byte in client.outbound() { server.receive([byte]) }
        for byte in server.outbound() { client.receive([byte]) }
        pump(client, server)
        #expect(server.exchanges.first?.received == bytes(50))
        #expect(client.exchanges.first?.isRemoteEnded == true)
    }

    @Test("Prepared headers are the same on the wire as those made for one message")
    func prepared() {
        func response(_ submit: (Peer, Exchange) -> Void) -> [UInt8] {
            let (client, server) = (Peer(.client), Peer(.server))
            client.request()
            server.receive(client.outbound())
            submit(server, server.exchanges[0])
            return server.outbound()
        }
        let list = [
            (name: ":status", value: "200"), (name: "content-type", value: "application/grpc"), (name: "e", value: ""),
        ]
        let prepared = PreparedHeaders(list)
        let once = response { $0.session.submitResponse($1.id, prepared, hasBody: false, stream: $1) }
        let made = response { $0.respond($1, list.map { HeaderField(name: $0.name, value: $0.value) }) }
        #expect(once == made)
        // And again: they are not used up.
        #expect(response { $0.session.submitResponse($1.id, prepared, hasBody: false, stream: $1) } == once)
    }

    @Test("A body that pauses goes on where it stopped")
    func pause() {
        let (client, server) = (Peer(.client), Peer(.server))
        let sent = client.request(body: [1], heldOpen: true)
        pump(client, server)
        #expect(server.exchanges[0].received == [1])
        #expect(!server.exchanges[0].isRemoteEnded)
        sent.body = [2, 3]
        sent.isHeldOpen = false
        #expect(client.outbound().isEmpty)
        client.session.resumeBody(sent.id)
        pump(client, server)
        #expect(server.exchanges[0].received == [1, 2, 3])
        #expect(server.exchanges[0].isRemoteEnded)
    }

    @Test("A body that can't be completed resets its stream alone")
    func brokenBody() {
        let (client, server) = (Peer(.client), Peer(.server))
        let sent = client.request()
        server.onHeaders = { server, exchange in
            exchange.fails = true
            server.respond(exchange)
        }
        pump(client, server)
        #expect(sent.closed == .internalError)
        server.onHeaders = { server, exchange in server.respond(exchange) }
        let next = client.request()
        pump(client, server)
        #expect(next.closed == .noError)
    }

    @Test("A stream's window holds back who sends, until what arrived is consumed")
    func streamWindow() {
        var limits = HTTP2Limits()
        limits.streamWindowBytes = 65_535
        let (client, server) = (Peer(.client), Peer(.server, limits))
        pump(client, server)
        server.consumes = false
        client.request(body: bytes(200_000))
        pump(client, server)
        let got = server.exchanges[0]
        #expect(got.received.count == 65_535)
        // The others are not held up.
        client.request(body: bytes(1_000))
        pump(client, server)
        #expect(server.exchanges[1].received.count == 1_000)
        var consumed = 0
        while consumed < got.received.count {
            server.session.consume(got.id, got.received.count - consumed)
            consumed = got.received.count
            pump(client, server)
        }
        #expect(got.received == bytes(200_000))
        #expect(got.isRemoteEnded)
    }

    @Test("The connection's window opens by itself, whoever is slow")
    func connectionWindow() {
        var limits = HTTP2Limits()
        limits.connectionWindowBytes = 100_000
        limits.streamWindowBytes = 65_535
        let (client, server) = (Peer(.client), Peer(.server, limits))
        server.consumes = false
        for _ in 0..<10 { client.request(body: bytes(60_000)) }
        pump(client, server)
        #expect(server.exchanges.map(\.received.count) == [Int](repeating: 60_000, count: 10))
    }

    @Test("A goodbye comes in two steps: nothing new, please, and then not above this one")
    func goAway() {
        let (client, server) = (Peer(.client), Peer(.server))
        let first = client.request()
        pump(client, server)
        server.session.announceShutdown()
        server.session.ping()
        // On its way when the first goodbye was sent: still taken in.
        let crossing = client.request()
        let late = client.outbound()
        client.receive(server.outbound())
        #expect(client.goAways.map(\.lastStream) == [Int32.max])
        server.receive(late)
        #expect(server.exchanges.count == 2)
        server.receive(client.outbound())
        #expect(server.pings == 1)
        server.session.refuseNewStreams()
        pump(client, server)
        #expect(client.goAways.map(\.lastStream) == [Int32.max, crossing.id])
        #expect(client.goAways.map(\.code) == [.noError, .noError])
        for exchange in server.exchanges { server.respond(exchange) }
        pump(client, server)
        #expect(first.isRemoteEnded && crossing.isRemoteEnded)
        #expect(client.session.isFinished)
    }

    @Test("Streams above the last that a goodbye names are closed as refused")
    func refused() {
        let (client, server) = (Peer(.client), Peer(.server))
        client.request()
        pump(client, server)
        let unseen = client.request()
        _ = client.outbound()
        client.receive(frame(7, [0, 0, 0, 1, 0, 0, 0, 0]))
        #expect(unseen.closed == .refusedStream)
        #expect(client.exchanges[0].closed == nil)
        // A request that is made after the goodbye never leaves.
        let after = client.request()
        #expect(after.id == 0 || client.outbound().isEmpty)
    }

    @Test("A reset ends the stream on both sides, with its code")
    func reset() {
        let (client, server) = (Peer(.client), Peer(.server))
        let sent = client.request(body: [1], heldOpen: true)
        pump(client, server)
        client.session.reset(sent.id, .cancel)
        pump(client, server)
        #expect(server.exchanges[0].closed == .cancel)
        #expect(sent.closed == .cancel)
        #expect(client.session.openStreams == 0 && server.session.openStreams == 0)
        // What is said to it after that does nothing.
        server.session.consume(server.exchanges[0].id, 1)
        server.respond(server.exchanges[0])
        pump(client, server)
        #expect(sent.blocks.isEmpty)
    }

    @Test("A request that is given up before it was sent costs the server nothing")
    func resetUnsent() {
        let (client, server) = (Peer(.client), Peer(.server))
        pump(client, server)
        let sent = client.request()
        client.session.reset(sent.id, .cancel)
        pump(client, server)
        #expect(sent.closed == .cancel)
        #expect(server.exchanges.isEmpty)
        #expect(client.session.openStreams == 0)
    }

    @Test("Streams above the limit wait at the client")
    func streamLimit() {
        var limits = HTTP2Limits()
        limits.maxConcurrentStreams = 2
        let (client, server) = (Peer(.client), Peer(.server, limits))
        pump(client, server)
        #expect(client.session.maxPeerStreams == 2)
        for _ in 0..<3 { client.request() }
        pump(client, server)
        #expect(server.exchanges.count == 2)
        server.respond(server.exchanges[0])
        pump(client, server)
        #expect(server.exchanges.count == 3)
    }

    @Test("A block of headers above the limit is told, and delivered up to it")
    func headerLimit() {
        let (client, server) = (Peer(.client), Peer(.server))
        client.request(Peer.requestFields + [HeaderField(name: "a", value: String(repeating: "x", count: 10_000))])
        client.request(
            Peer.requestFields
                + (0..<4).map { HeaderField(name: "f\($0)", value: String(repeating: "x", count: 5_000)) })
        pump(client, server)
        #expect(server.exchanges.map { $0.blocks[0].tooLarge } == [false, true])
        let delivered = server.exchanges[1].blocks[0].fields.reduce(0) {
            $0 + $1.name.utf8.count + $1.value.utf8.count + 32
        }
        #expect(delivered <= HTTP2Limits().maxHeaderListBytes)
        // The next block is counted anew.
        client.request()
        pump(client, server)
        #expect(!server.exchanges[2].blocks[0].tooLarge)
    }

    @Test("A block of headers that goes on expanding ends the session")
    func headerBomb() {
        let server = Peer(.server)
        pump(Peer(.client), server)
        // `:method: POST`, `:scheme: http`, `:path: /`, `:authority: h`; a field of 3,900 bytes that enters HPACK's table (RFC
        // 7541, 6.2.1); and that field again, 80 times, a byte each.
        let value = [UInt8](repeating: 0x78, count: 3_900)
        let block: [UInt8] =
            [0x83, 0x86, 0x84, 0x41, 1, 0x68, 0x40, 1, 0x61, 0x7f, 0xbd, 0x1d] + value
            + [UInt8](repeating: 0xbe, count: 80)
        server.receive(frame(1, flags: 5, stream: 1, block))
        #expect(server.exchanges.count == 1)
        #expect(server.exchanges[0].blocks.isEmpty)
        #expect(server.failure != nil)
    }

    @Test("A block that expands less is told, and the session goes on")
    func smallBomb() {
        let server = Peer(.server)
        pump(Peer(.client), server)
        let value = [UInt8](repeating: 0x78, count: 3_900)
        let block: [UInt8] =
            [0x83, 0x86, 0x84, 0x41, 1, 0x68, 0x40, 1, 0x61, 0x7f, 0xbd, 0x1d] + value
            + [UInt8](repeating: 0xbe, count: 40)
        server.receive(frame(1, flags: 5, stream: 1, block))
        #expect(server.exchanges[0].blocks[0].tooLarge)
        #expect(server.failure == nil)
    }

    @Test("A frame that is too long, a wrong preface, and frames on impossible streams end the session")
    func violations() {
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        let attacks: [[UInt8]] = [
            Array("GET / HTTP/1.1\r\nhost: a\r\n\r\n".utf8),
            preface + frame(6, [UInt8](repeating: 0, count: 8)),
            preface + frame(4) + frame(0, stream: 0, [1]),
            preface + frame(4) + [0x00, 0x40, 0x01, 0, 0, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 0x4001),
            preface + frame(4) + frame(8, stream: 0, [0, 0, 0, 0]),
            preface + frame(4) + frame(9, stream: 1),
        ]
        for attack in attacks {
            let server = Peer(.server)
            server.receive(attack)
            let goodbye = server.outbound()
            // Either the bytes are refused as they are, or a GOAWAY with a reason is the last word.
            let client = Peer(.client)
            client.receive(goodbye)
            let saidWhy = client.goAways.contains { $0.code != .noError }
            #expect(server.failure != nil || (saidWhy && server.session.isFinished))
        }
    }

    @Test("Error codes have the names that RFC 9113 gives them")
    func errorNames() {
        #expect(HTTP2ErrorCode.enhanceYourCalm.description == "ENHANCE_YOUR_CALM")
        #expect(HTTP2ErrorCode.http11Required.description == "HTTP_1_1_REQUIRED")
        #expect(HTTP2ErrorCode(rawValue: 99).description == "error code 99")
    }
}
