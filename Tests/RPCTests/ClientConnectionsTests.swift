// Connections that come and go: refusals, goodbyes, limits, ports where nobody answers.

import HTTP2
import NIOCore
import NIOPosix
import RPC
import Synchronization
import Testing

@Suite("Connections of a client", .timeLimit(.minutes(15)))
struct ClientConnectionsTests {
    /// GOAWAY: streams above `last` were not looked at.
    private static func goAway(last: UInt8, code: UInt8 = 0) -> [UInt8] {
        [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, code]
    }

    /// Waits between attempts that nobody has to wait for.
    private static var impatient: ClientOptions {
        var options = ClientOptions()
        options.backoff.initialNanoseconds = 1_000_000
        options.backoff.maxNanoseconds = 1_000_000
        return options
    }

    @Test("A call that the server refused unseen is sent anew, whole")
    func refusedOnce() async throws {
        let attempts = Mutex(0)
        try await withScript { connection, request in
            guard request.isComplete else { return }
            let attempt = attempts.withLock { attempts in
                attempts += 1
                return attempts
            }
            if attempt == 1 {
                connection.session.reset(request.id, .refusedStream)
            } else {
                connection.reply(request, Array(request.body.dropFirst(5)))
            }
        } _: { client async throws in
            #expect(try await client.unary("/a/b", .noise(100_000)).message == .noise(100_000))
            #expect(attempts.withLock { $0 } == 2)
        }
    }

    @Test("A call that is refused again and again ends with UNAVAILABLE")
    func refusedAgain() async throws {
        var options = ClientOptions()
        options.maxRefusals = 2
        let attempts = Mutex(0)
        try await withScript(options: options) { connection, request in
            guard request.isComplete else { return }
            attempts.withLock { $0 += 1 }
            connection.session.reset(request.id, .refusedStream)
        } _: { client in
            let status = await failure { _ = try await client.unary("/a/b", []) }
            #expect(status?.code == .unavailable)
            #expect(attempts.withLock { $0 } == 3)
        }
    }

    @Test("A call that is too long to be kept is not sent anew")
    func tooLongToKeep() async throws {
        var options = ClientOptions()
        options.maxReplayBytes = 1_000
        let attempts = Mutex(0)
        try await withScript(options: options) { connection, request in
            guard request.isComplete else { return }
            attempts.withLock { $0 += 1 }
            connection.session.reset(request.id, .refusedStream)
        } _: { client in
            let status = await failure { _ = try await client.unary("/a/b", .noise(2_000)) }
            #expect(status?.code == .unavailable)
            #expect(attempts.withLock { $0 } == 1)
        }
    }

    @Test("A goodbye lets the calls finish that the server has seen, and sends the others elsewhere")
    func goAway() async throws {
        let held = Mutex<Int32?>(nil)
        try await withScript(options: Self.impatient) { connection, request in
            guard request.isComplete else { return }
            if request.connection > 1 || request[":path"] == "/first/call" {
                return connection.reply(request, [UInt8(request.connection)])
            }
            // The second call of the first connection is seen, and waits; the third is not.
            if held.withLock({ id in
                defer { id = id ?? request.id }
                return id == nil
            }) {
                return connection.respond(
                    request, [(":status", "200"), ("content-type", "application/grpc")], [0, 0, 0, 0, 1, 77],
                    [("grpc-status", "0")])
            }
            connection.sendRaw(Self.goAway(last: UInt8(request.id - 2)))
        } _: { client async throws in
            #expect(try await client.unary("/first/call", []).message == [1])
            #expect(try await client.unary("/seen/call", []).message == [77])
            #expect(try await client.unary("/unseen/call", []).message == [2])
        }
    }

    @Test("A goodbye with a reason that nothing follows ends calls with UNAVAILABLE and the reason")
    func sentAway() async throws {
        try await withScript { connection, request in
            guard request.isComplete else { return }
            connection.sendRaw(Self.goAway(last: UInt8(request.id), code: 11))
            connection.close()
        } _: { client in
            let status = await failure { _ = try await client.unary("/a/b", []) }
            #expect(status == Status(.unavailable, "the server sent us away: ENHANCE_YOUR_CALM"))
        }
    }

    @Test("A connection that is lost ends its calls with UNAVAILABLE, and the next call gets a new one")
    func lost() async throws {
        try await withScript { connection, request in
            guard request.isComplete else { return }
            if request[":path"] == "/hang/up" { return connection.close() }
            connection.reply(request, [UInt8(request.connection)])
        } _: { client async throws in
            #expect(try await client.unary("/a/b", []).message == [1])
            let status = await failure { _ = try await client.unary("/hang/up", []) }
            #expect(status?.code == .unavailable)
            #expect(try await client.unary("/a/b", []).message == [2])
        }
    }

    @Test("Bytes that are no HTTP/2 end the connection, and the calls with it")
    func garbage() async throws {
        try await withScript { connection, request in
            if request.isComplete { connection.sendRaw([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]) }
        } _: { client in
            let status = await failure { _ = try await client.unary("/a/b", []) }
            #expect(status?.code == .unavailable)
        }
    }

    @Test("Calls above the server's limit of streams wait their turn, in order")
    func streamLimit() async throws {
        var limits = HTTP2Limits()
        limits.maxConcurrentStreams = 1
        let seen = Mutex<[String]>([])
        try await withScript(http2: limits) { connection, request in
            guard request.isComplete else { return }
            seen.withLock { $0.append(request[":path"] ?? "") }
            connection.reply(request, [])
        } _: { client async throws in
            let calls = (0..<100).map { client.serverStreaming("/a/\($0)", []) }
            for call in calls {
                #expect(try await call.nextReply() == [])
                #expect(try await call.nextReply() == nil)
            }
            #expect(seen.withLock { $0 } == (0..<100).map { "/a/\($0)" })
        }
    }

    @Test("The line of calls that wait is bounded, and a call that gives up leaves it")
    func lineIsBounded() async throws {
        var limits = HTTP2Limits()
        limits.maxConcurrentStreams = 1
        var options = ClientOptions()
        options.maxWaitingCalls = 2
        let held = Mailbox<Void>()
        try await withScript(http2: limits, options: options) { connection, request in
            if request.isComplete { held.put(()) }
        } _: { client async throws in
            let first = client.serverStreaming("/a/1", [])
            try await held.take()
            let second = client.serverStreaming("/a/2", [])
            let third = client.serverStreaming("/a/3", [])
            let status = await failure { _ = try await client.unary("/a/4", []) }
            #expect(status?.code == .resourceExhausted)
            second.cancel()
            let fifth = client.serverStreaming("/a/5", [])
            #expect(await fifth.trailers() == Metadata())
            // The stream that is given up makes room for the next in line.
            first.cancel()
            try await held.take()
            third.cancel()
            try await held.take()
            withExtendedLifetime(fifth) {}
        }
    }

    /// A port on which nobody listens, on a loopback address of its own: on the usual one whoever asks the system for any
    /// port may be given this one, in another test too.
    private static let quietPort = 7_070

    private static func quietHost() -> String {
        let serial = nextHost.add(1, ordering: .relaxed).newValue
        return "127.\(64 + Int.random(in: 0..<128)).\(Int.random(in: 0..<256)).\(1 + serial % 250)"
    }

    private static let nextHost = Atomic<Int>(0)

    @Test("Without a server calls end with UNAVAILABLE and the reason")
    func nobodyThere() async throws {
        let (host, port) = (Self.quietHost(), Self.quietPort)
        let client = Client(host: host, port: port, eventLoop: testGroup.next())
        for _ in 0..<3 {
            let status = await failure { _ = try await client.unary("/a/b", []) }
            #expect(status?.code == .unavailable)
            #expect(status?.message.contains("\(host):\(port)") == true)
            #expect(status?.message.contains("onnection refused") == true)
        }
        await client.close()
    }

    @Test("A name that nobody knows is UNAVAILABLE")
    func unknownName() async throws {
        let client = Client(host: "nobody.invalid", port: 1, eventLoop: testGroup.next())
        let status = await failure { _ = try await client.unary("/a/b", []) }
        #expect(status?.code == .unavailable)
        await client.close()
    }

    @Test("A call that waits for a connection gets it when the server comes up")
    func waitsForReady() async throws {
        let (host, port) = (Self.quietHost(), Self.quietPort)
        let client = Client(host: host, port: port, options: Self.impatient, eventLoop: testGroup.next())
        // One failure first, so that the client is between attempts.
        _ = await failure { _ = try await client.unary("/test.Echo/Unary", [7]) }
        var options = CallOptions()
        options.waitsForReady = true
        let call = Task { [options] in try await client.unary("/test.Echo/Unary", [7], options).message }
        let server = Server(methods: Echo.all, group: testGroup)
        _ = try await server.start(host: host, port: port)
        #expect(try await call.value == [7])
        await client.close()
        await server.drain()
    }

    @Test("A call that waits for a connection still has its deadline")
    func waitsUntilDeadline() async throws {
        let client = Client(host: Self.quietHost(), port: Self.quietPort, eventLoop: testGroup.next())
        var options = CallOptions()
        options.waitsForReady = true
        options.timeout = .milliseconds(20)
        do {
            _ = try await client.unary("/a/b", [], options)
            Issue.record("the call ended with OK")
        } catch {
            #expect(error.status.code == .deadlineExceeded)
            // And it says why it had to wait.
            #expect(error.notSentBecause?.code == .unavailable)
        }
        await client.close()
    }

    @Test("A connection on which a call got no answer in time, and a ping none either, is left for another")
    func doubted() async throws {
        var options = Self.impatient
        options.keepalive = ClientKeepalive.Settings()
        options.keepalive?.doubtTimeoutNanoseconds = 1_000_000
        try await withScript(options: options) { connection, request in
            // After its first call the first connection hears nothing any more, a ping neither.
            guard request.isComplete else { return }
            guard request.connection > 1 || request[":path"] == "/a/b" else { return connection.stopReading() }
            connection.reply(request, [9])
        } _: { client in
            _ = try await client.unary("/a/b", [])
            var call = CallOptions()
            call.timeout = .milliseconds(50)
            // Ends when a call is answered, which on the first connection none is.
            while true {
                do throws(CallFailure) {
                    let reply = try await client.unary("/a/c", [], call)
                    #expect(reply.message == [9])
                    return
                } catch {
                    if Task.isCancelled { return }
                }
            }
        }
    }

    @Test("Closing the client while it connects ends its calls")
    func closeWhileConnecting() async throws {
        // A listener that accepts and never says a word.
        let channel = try await ServerBootstrap(group: testGroup).bind(host: "127.0.0.1", port: 0).get()
        let client = Client(
            host: "127.0.0.1", port: try #require(channel.localAddress?.port), eventLoop: testGroup.next())
        var options = CallOptions()
        options.waitsForReady = true
        let call = client.bidirectional("/a/b", options)
        await client.close()
        let status = await failure { _ = try await call.nextReply() }
        #expect(status?.code == .unavailable)
        try await channel.close().get()
    }

    @Test("A client that nobody holds closes its connection, when its calls are over")
    func forgotten() async throws {
        let closed = Mailbox<Void>()
        let held = Mailbox<Void>()
        let channel = try await ServerBootstrap(group: testGroup)
            .childChannelInitializer { channel in
                channel.closeFuture.whenComplete { _ in closed.put(()) }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ScriptedConnection(number: 1, limits: HTTP2Limits()) { connection, request in
                            guard request.isComplete else { return }
                            if request[":path"] == "/hold/on" { held.put(()) } else { connection.reply(request, []) }
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        do {
            let client = Client(host: "127.0.0.1", port: port, eventLoop: testGroup.next())
            _ = try await client.unary("/a/b", [])
        }
        try await closed.take()
        var call: ClientCallHandle?
        do {
            let client = Client(host: "127.0.0.1", port: port, eventLoop: testGroup.next())
            call = client.serverStreaming("/hold/on", [])
            try await held.take()
        }
        #expect(await call?.trailers() == Metadata())
        call = nil
        try await closed.take()
        try await channel.close().get()
    }

    @Test("A server that takes in connections and sends them away is not asked again at once")
    func sentAwayAtOnce() async throws {
        var limits = RPCLimits()
        limits.maxConnections = 0
        var options = ClientOptions()
        options.backoff.initialNanoseconds = 3_600_000_000_000
        try await withFixture(Echo.all, limits: limits, options: options) { fixture in
            for _ in 0..<5 {
                let status = await failure { _ = try await fixture.client.unary("/test.Echo/Unary", []) }
                #expect(status?.code == .unavailable)
            }
            #expect(fixture.server.snapshot().refusedConnections == 1)
        }
    }

    @Test("A server that never answers and sends away every call is not asked again at once")
    func neverProven() async throws {
        var options = ClientOptions()
        options.backoff.initialNanoseconds = 3_600_000_000_000
        let connections = Mutex(0)
        try await withScript(options: options) { connection, request in
            guard request.isComplete else { return }
            connections.withLock { $0 = request.connection }
            connection.sendRaw(Self.goAway(last: 0))
            connection.close()
        } _: { client in
            for _ in 0..<3 {
                let status = await failure { _ = try await client.unary("/a/b", []) }
                #expect(status?.code == .unavailable)
            }
            #expect(connections.withLock { $0 } == 1)
        }
    }

    @Test("After a server's restart calls go on")
    func restart() async throws {
        let first = Server(methods: Echo.all, group: testGroup)
        let (host, port) = (Self.quietHost(), Self.quietPort)
        _ = try await first.start(host: host, port: port)
        let client = Client(host: host, port: port, options: Self.impatient, eventLoop: testGroup.next())
        _ = try await client.unary("/test.Echo/Unary", [])
        await first.drain()
        let second = Server(methods: Echo.all, group: testGroup)
        _ = try await second.start(host: host, port: port)
        var options = CallOptions()
        options.waitsForReady = true
        #expect(try await client.unary("/test.Echo/Unary", [5], options).message == [5])
        await client.close()
        await second.drain()
    }
}
