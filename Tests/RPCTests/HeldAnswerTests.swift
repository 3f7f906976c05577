// Answers that wait for a number, as for a disk, and all that may happen meanwhile.

import HTTP2
import NIOCore
import RPC
import Synchronization
import Testing

/// How many calls of a method have ended, how many of them with this code, and how many are open.
private func counted(_ server: Server, _ path: String, _ code: Status.Code) -> (Int64, Int64, open: Int64) {
    guard let method = server.snapshot().methods.first(where: { $0.path == path }) else { return (-1, -1, -1) }
    return (method.finished, method.byCode[Int(code.rawValue)], method.open)
}

@Suite("Held answers", .timeLimit(.minutes(15)))
struct HeldAnswerTests {
    private let held = Mailbox<CallHandle>()
    private let interrupted = Mailbox<ServerCall.Interruption>()

    /// Holds its answer until the number that the request's bytes are, one after the other; says that it has answered.
    private var unary: Method {
        .unary("/test.Held/Unary") { [held] call, bytes in
            for number in bytes { call.holdAnswer(until: UInt64(number)) }
            call.send(message: [UInt8]("answer"))
            call.finish(.ok)
            held.put(call.handle)
        }
    }

    private var failing: Method {
        .unary("/test.Held/Fail") { [held] call, bytes in
            call.holdAnswer(until: UInt64(bytes[0]))
            var trailers = Metadata()
            trailers.add("why", "because")
            call.finish(Status(.notFound, "nothing is there"), trailers: trailers)
            held.put(call.handle)
        }
    }

    /// Holds and never finishes.
    private var open: Method {
        .unary("/test.Held/Open") { [held, interrupted] call, bytes in
            call.onInterruption = { _, why in interrupted.put(why) }
            call.holdAnswer(until: UInt64(bytes[0]))
            call.send(message: [UInt8]("part"))
            held.put(call.handle)
        }
    }

    private func withHeld(_ body: (Fixture) async throws -> Void) async throws {
        try await withFixture(Echo.all + [unary, failing, open], body)
    }

    /// Waits for a call's end to be counted, which follows what the client sees of it.
    private func expectCounted(_ fixture: Fixture, _ path: String, _ code: Status.Code) async throws {
        while counted(fixture.server, path, code) != (1, 1, open: 0) { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test("An answer leaves with its number, and with no smaller one")
    func answer() async throws {
        try await withHeld { fixture async throws in
            fixture.server.releaseAnswers(upTo: 6)
            async let reply = fixture.client.unary("/test.Held/Unary", [7])
            _ = try await held.take()
            // Another call of the same connection is not held up.
            _ = try await fixture.client.unary("/test.Echo/Unary", [1])
            #expect(counted(fixture.server, "/test.Held/Unary", .ok) == (0, 0, open: 1))
            fixture.server.releaseAnswers(upTo: 7)
            #expect(try await reply.message == [UInt8]("answer"))
            try await expectCounted(fixture, "/test.Held/Unary", .ok)
        }
    }

    @Test("A status that is no OK waits as well, with all that goes with it")
    func status() async throws {
        try await withHeld { fixture async throws in
            async let ended = failureWithTrailers(fixture)
            _ = try await held.take()
            _ = try await fixture.client.unary("/test.Echo/Unary", [1])
            #expect(counted(fixture.server, "/test.Held/Fail", .notFound) == (0, 0, open: 1))
            fixture.server.releaseAnswers(upTo: 3)
            let failure = try #require(await ended)
            #expect(failure.status == Status(.notFound, "nothing is there"))
            #expect(failure.trailers["why"] == "because")
            try await expectCounted(fixture, "/test.Held/Fail", .notFound)
        }
    }

    private func failureWithTrailers(_ fixture: Fixture) async -> CallFailure? {
        do {
            _ = try await fixture.client.unary("/test.Held/Fail", [3])
            return nil
        } catch {
            return error
        }
    }

    @Test("A number that was released before anybody waited for it holds nothing")
    func releasedBefore() async throws {
        try await withHeld { fixture async throws in
            fixture.server.releaseAnswers(upTo: 9)
            #expect(try await fixture.client.unary("/test.Held/Unary", [9]).message == [UInt8]("answer"))
            #expect(try await fixture.client.unary("/test.Held/Unary", [5, 9]).message == [UInt8]("answer"))
        }
    }

    @Test("A number that is released while it begins to be waited for is not missed")
    func race() async throws {
        let number = Atomic<UInt64>(0)
        let waited = Mailbox<UInt64>()
        let method = Method.unary("/test.Held/Race") { call, bytes in
            let next = number.add(1, ordering: .sequentiallyConsistent).newValue
            waited.put(next)
            call.holdAnswer(until: next)
            call.send(bytes)
            call.finish(.ok)
        }
        try await withFixture([method]) { fixture async throws in
            let releasing = Task {
                for _ in 0..<2_000 { fixture.server.releaseAnswers(upTo: try await waited.take()) }
            }
            for _ in 0..<2_000 { _ = try await fixture.client.unary("/test.Held/Race", [1]) }
            try await releasing.value
        }
    }

    @Test("A later number takes the place of an earlier one")
    func later() async throws {
        try await withHeld { fixture async throws in
            async let reply = fixture.client.unary("/test.Held/Unary", [3, 8])
            _ = try await held.take()
            fixture.server.releaseAnswers(upTo: 3)
            _ = try await fixture.client.unary("/test.Echo/Unary", [1])
            #expect(counted(fixture.server, "/test.Held/Unary", .ok) == (0, 0, open: 1))
            fixture.server.releaseAnswers(upTo: 8)
            #expect(try await reply.message == [UInt8]("answer"))
        }
    }

    @Test("What a stream sends is held and comes in order, and it may go on and be held again")
    func stream() async throws {
        let calls = Mailbox<CallHandle>()
        let method = Method.serverStreaming("/test.Held/Stream") { call, _ in
            call.send(message: [1])
            call.holdAnswer(until: 5)
            call.send(message: [2])
            call.send(message: [3])
            calls.put(call.handle)
        }
        try await withFixture(Echo.all + [method]) { fixture async throws in
            let server = fixture.server
            let received = Mailbox<[UInt8]>()
            let client = fixture.client
            let reading = Task {
                for try await message in client.serverStreaming("/test.Held/Stream", []).replies {
                    received.put(message)
                }
            }
            let handle = try await calls.take()
            server.releaseAnswers(upTo: 5)
            for number in 1...3 as ClosedRange<UInt8> { #expect(try await received.take() == [number]) }
            handle.later { call in
                call.holdAnswer(until: 6)
                call.send(message: [4])
                call.finish(.ok)
            }
            handle.later { _ in server.releaseAnswers(upTo: 6) }
            #expect(try await received.take() == [4])
            try await reading.value
        }
    }

    @Test("A client that cancels is not waited for, and the call is counted as CANCELLED")
    func cancelled() async throws {
        for path in ["/test.Held/Unary", "/test.Held/Fail", "/test.Held/Open"] {
            try await withHeld { fixture async throws in
                let client = fixture.client
                let call = Task { await failure { _ = try await client.unary(path, [9]) } }
                _ = try await held.take()
                call.cancel()
                #expect(await call.value?.code == .cancelled)
                try await expectCounted(fixture, path, .cancelled)
                // Its number finds nobody, and the connection is well.
                fixture.server.releaseAnswers(upTo: 9)
                _ = try await fixture.client.unary("/test.Echo/Unary", [1])
            }
        }
    }

    @Test("A deadline that passes meanwhile is the client's end of it")
    func deadline() async throws {
        try await withHeld { fixture async throws in
            var options = CallOptions()
            options.timeout = .milliseconds(200)
            let status = await failure { _ = try await fixture.client.unary("/test.Held/Open", [9], options) }
            #expect(status?.code == .deadlineExceeded)
            fixture.server.releaseAnswers(upTo: 9)
            _ = try await fixture.client.unary("/test.Echo/Unary", [1])
            while counted(fixture.server, "/test.Held/Open", .ok).open > 0 {
                try await Task.sleep(for: .milliseconds(1))
            }
        }
    }

    @Test("A connection that is closed takes its held answers with it")
    func closed() async throws {
        try await withHeld { fixture async throws in
            let client = fixture.newClient()
            async let ended = failure { _ = try await client.unary("/test.Held/Unary", [9]) }
            _ = try await held.take()
            await client.close(grace: .zero)
            #expect(await ended != nil)
            try await expectCounted(fixture, "/test.Held/Unary", .cancelled)
            fixture.server.releaseAnswers(upTo: 9)
            _ = try await fixture.client.unary("/test.Echo/Unary", [1])
        }
    }

    @Test("A server that drains waits for held answers, and they are what the client gets")
    func drain() async throws {
        let server = Server(methods: [unary, open], limits: .patient, group: testGroup)
        let port = try #require(try await server.start(host: "127.0.0.1", port: 0).port)
        let client = Client(host: "127.0.0.1", port: port, eventLoop: testGroup.next())
        async let answered = client.unary("/test.Held/Unary", [9])
        _ = try await held.take()
        async let waiting = failure { _ = try await client.unary("/test.Held/Open", [9]) }
        _ = try await held.take()
        async let drained: Void = server.drain()
        // The status that the drain ends it with is held, too.
        #expect(try await interrupted.take() == .shuttingDown)
        server.releaseAnswers(upTo: 8)
        server.releaseAnswers(upTo: 9)
        #expect(try await answered.message == [UInt8]("answer"))
        #expect(await waiting?.code == .unavailable)
        await drained
        await client.close(grace: .zero)
    }
}
