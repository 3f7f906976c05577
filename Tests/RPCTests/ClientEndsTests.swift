// How calls end before their time: deadlines, cancellation, drains, lost connections.

import HTTP2
import NIOCore
import RPC
import Synchronization
import Testing

@Suite("Ends of calls", .timeLimit(.minutes(15)))
struct ClientEndsTests {
    private let began = Mailbox<CallHandle>()
    private let interrupted = Mailbox<ServerCall.Interruption>()

    private var methods: [Method] { Echo.all + [Echo.wait(began: began, interrupted: interrupted)] }

    @Test("A deadline ends the call at the client and at the server")
    func deadline() async throws {
        let hasBegun = Atomic(false)
        let method = Method.unary("/test.Echo/Wait") { [interrupted] call, _ in
            hasBegun.store(true, ordering: .relaxed)
            call.onInterruption = { _, why in interrupted.put(why) }
        }
        try await withFixture(Echo.all + [method]) { fixture async throws in
            var options = CallOptions()
            var milliseconds = 20
            // On a busy machine a deadline may pass before the server hears of the call: then a later one.
            repeat {
                options.timeout = .milliseconds(milliseconds)
                milliseconds *= 2
                let status = await failure { _ = try await fixture.client.unary("/test.Echo/Wait", [], options) }
                #expect(status?.code == .deadlineExceeded)
                // What was sent before this has arrived.
                _ = try await fixture.client.unary("/test.Echo/Unary", [1])
            } while !hasBegun.load(ordering: .relaxed)
            // Whichever of the two was faster.
            #expect([.deadlineExceeded, .cancelled].contains(try await interrupted.take()))
        }
    }

    @Test("A deadline that has passed already sends nothing", arguments: [Duration.zero, .seconds(-5)])
    func passedDeadline(timeout: Duration) async throws {
        try await withFixture(methods) { fixture async throws in
            var options = CallOptions()
            options.timeout = timeout
            let status = await failure { _ = try await fixture.client.unary("/test.Echo/Unary", [], options) }
            #expect(status?.code == .deadlineExceeded)
            #expect(fixture.server.snapshot().acceptedConnections == 0)
        }
    }

    @Test("The server is told how long the client waits")
    func timeoutIsSent() async throws {
        let left = Mailbox<Int64?>()
        let method = Method.unary("/test.Echo/Left") { call, _ in
            left.put(call.deadlineNanoseconds.map { $0 - MonotonicClock.now() })
            call.send(message: [])
            call.finish(.ok)
        }
        try await withFixture([method]) { fixture async throws in
            var options = CallOptions()
            _ = try await fixture.client.unary("/test.Echo/Left", [], options)
            #expect(try await left.take() == nil)
            options.timeout = .seconds(3_600)
            _ = try await fixture.client.unary("/test.Echo/Left", [], options)
            let seconds = try #require(try await left.take()) / 1_000_000_000
            #expect(seconds > 3_000 && seconds < 3_600)
        }
    }

    @Test("A cancelled task ends its call with CANCELLED, and the server learns of it")
    func cancellation() async throws {
        try await withFixture(methods) { fixture async throws in
            let task = Task {
                await failure { _ = try await fixture.client.unary("/test.Echo/Wait", []) }
            }
            _ = try await began.take()
            task.cancel()
            #expect(await task.value?.code == .cancelled)
            #expect(try await interrupted.take() == .cancelled)
        }
    }

    @Test("A call that is made in a cancelled task is over at once")
    func cancelledBefore() async throws {
        try await withFixture(methods) { fixture async throws in
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return await failure { _ = try await fixture.client.unary("/test.Echo/Unary", []) }
            }
            #expect(await task.value?.code == .cancelled)
        }
    }

    @Test("Who breaks off reading, and lets go of the call, cancels it")
    func abandoned() async throws {
        let method = Method.serverStreaming("/test.Echo/Forever") { [interrupted] call, _ in
            call.onInterruption = { _, why in interrupted.put(why) }
            call.send(message: [])
        }
        try await withFixture([method]) { fixture async throws in
            for try await _ in fixture.client.serverStreaming("/test.Echo/Forever", []).replies { break }
            #expect(try await interrupted.take() == .cancelled)
        }
    }

    @Test("A producer of requests that fails cancels its call")
    func producerFails() async throws {
        struct Mishap: Error {}
        let method = Method.clientStreaming("/test.Echo/Forever") { [began, interrupted] call in
            call.onInterruption = { _, why in interrupted.put(why) }
            call.onMessage = { call, _ in began.put(call.handle) }
        }
        try await withFixture([method]) { fixture async throws in
            await #expect(throws: Mishap.self) {
                _ = try await fixture.client.clientStreaming("/test.Echo/Forever") { requests in
                    await requests.send([1])
                    _ = try await began.take()
                    throw Mishap()
                }
            }
            #expect(try await interrupted.take() == .cancelled)
        }
    }

    @Test("A server may answer before the requests are at their end; the writer is told to stop")
    func earlyAnswer() async throws {
        let method = Method.clientStreaming("/test.Echo/Enough") { call in
            call.onMessage = { call, _ in
                call.send(message: [])
                call.finish(.ok)
            }
        }
        try await withFixture([method]) { fixture async throws in
            let reply = try await fixture.client.clientStreaming("/test.Echo/Enough") { requests in
                while await requests.send(.noise(10_000)) {}
            }
            #expect(reply.message == [])
        }
    }

    @Test("A server that drains ends the calls that wait with UNAVAILABLE")
    func drain() async throws {
        try await withFixture(methods) { fixture async throws in
            let task = Task { await failure { _ = try await fixture.client.unary("/test.Echo/Wait", []) } }
            _ = try await began.take()
            await fixture.server.drain()
            #expect(await task.value == Status(.unavailable, "the server is shutting down"))
            #expect(try await interrupted.take() == .shuttingDown)
        }
    }

    @Test("A call on its way in when the server drains is still answered")
    func arrivesWhileDraining() async throws {
        try await withFixture(methods, limits: .patient) { fixture async throws in
            // Half a request: the call is known to the server, and not executing.
            let call = fixture.client.bidirectional("/test.Echo/Unary")
            #expect(await call.requests.send([1]))
            _ = try await fixture.client.unary("/test.Echo/Unary", [])
            async let drained: Void = fixture.server.drain()
            let status = await failure { while true { _ = try await fixture.client.unary("/test.Echo/Unary", []) } }
            #expect(status?.code == .unavailable)
            call.requests.finish()
            #expect(try await call.nextReply() == [1])
            #expect(try await call.nextReply() == nil)
            await drained
        }
    }

    @Test("Closing the client lets calls finish, and takes no more")
    func closeGracefully() async throws {
        try await withFixture(methods) { fixture async throws in
            let call = Task { try await fixture.client.unary("/test.Echo/Wait", []).message }
            let handle = try await began.take()
            let close = Task { await fixture.client.close(grace: .seconds(60)) }
            // Refused as soon as `close` has begun.
            while true {
                do throws(CallFailure) {
                    _ = try await fixture.client.unary("/test.Echo/Unary", [])
                } catch {
                    #expect(error.status.code == .unavailable)
                    break
                }
            }
            handle.later { call in
                call.send(message: [])
                call.finish(.ok)
            }
            #expect(try await call.value == [])
            await close.value
        }
    }

    @Test("Closing the client without grace ends its calls with UNAVAILABLE")
    func closeAtOnce() async throws {
        try await withFixture(methods) { fixture async throws in
            let task = Task { await failure { _ = try await fixture.client.unary("/test.Echo/Wait", []) } }
            _ = try await began.take()
            await fixture.client.close(grace: .zero)
            #expect(await task.value?.code == .unavailable)
            #expect(try await interrupted.take() == .cancelled)
            await fixture.client.close()
        }
    }

    @Test("Cancelling the close ends its grace")
    func closeCancelled() async throws {
        try await withFixture(methods) { fixture async throws in
            let task = Task { await failure { _ = try await fixture.client.unary("/test.Echo/Wait", []) } }
            _ = try await began.take()
            let close = Task { await fixture.client.close(grace: .seconds(3_600)) }
            close.cancel()
            await close.value
            #expect(await task.value?.code == .unavailable)
        }
    }

    @Test("onDelivery says whether the answer reached the operating system")
    func delivery() async throws {
        let delivered = Mailbox<Bool>()
        let began = Mailbox<CallHandle>()
        let answered = Method.unary("/test.Echo/Answered") { call, _ in
            call.onDelivery = { delivered.put($0) }
            call.send(message: [])
            call.finish(.ok)
        }
        let late = Method.unary("/test.Echo/Late") { call, _ in
            call.onDelivery = { delivered.put($0) }
            call.onInterruption = { _, _ in }
            began.put(call.handle)
        }
        try await withFixture([answered, late]) { fixture async throws in
            _ = try await fixture.client.unary("/test.Echo/Answered", [])
            #expect(try await delivered.take())
            let task = Task { await failure { _ = try await fixture.client.unary("/test.Echo/Late", []) } }
            _ = try await began.take()
            task.cancel()
            #expect(try await !delivered.take())
            _ = await task.value
        }
    }
}
