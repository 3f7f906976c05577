// Who does not read holds up whoever sends to him, and nobody else; what waits in between is bounded.

import HTTP2
import RPC
import Synchronization
import Testing

@Suite("Backpressure", .timeLimit(.minutes(15)))
struct BackpressureTests {
    private static let messageBytes = 10_000
    private static let messages = 400
    /// The window of a stream, and what one side keeps ready to send, and the message that fills it up.
    private static let bound = Int(HTTP2Limits().streamWindowBytes) + 65_536 + 2 * messageBytes

    @Test("A server that streams to a slow reader waits, and loses nothing")
    func slowClient() async throws {
        let produced = Mutex(0)
        let progress = Mailbox<Int>()
        let method = Method.serverStreaming("/test.Echo/Flood") { call, _ in
            let produce: @Sendable (ServerCall) -> Void = { call in
                while call.isOpen, call.isWritable {
                    let count = produced.withLock { count in
                        count += 1
                        return count
                    }
                    call.send(message: .noise(Self.messageBytes))
                    progress.put(count)
                    if count == Self.messages { call.finish(.ok) }
                }
            }
            call.onWritable = produce
            produce(call)
        }
        try await withFixture(Echo.all + [method]) { fixture async throws in
            let call = fixture.client.serverStreaming("/test.Echo/Flood", [])
            _ = try await call.metadata()
            // The window is full from here on.
            while try await progress.take() * Self.messageBytes < Int(HTTP2Limits().streamWindowBytes) {}
            for _ in 0..<100 { _ = try await fixture.client.unary("/test.Echo/Unary", []) }
            #expect(produced.withLock { $0 } * Self.messageBytes <= Self.bound)

            var received = 0
            for try await message in call.replies {
                #expect(message.count == Self.messageBytes)
                received += 1
            }
            #expect(received == Self.messages)
        }
    }

    @Test("A client that streams to a slow server waits, and loses nothing")
    func slowServer() async throws {
        let began = Mailbox<CallHandle>()
        let method = Method.clientStreaming("/test.Echo/Sip") { call in
            let count = Mutex(0)
            call.pauseReading()
            call.onMessage = { _, _ in count.withLock { $0 += 1 } }
            call.onHalfClose = { call in
                call.send(message: [UInt8](String(count.withLock { $0 })))
                call.finish(.ok)
            }
            began.put(call.handle)
        }
        try await withFixture(Echo.all + [method]) { fixture async throws in
            let sent = Mutex(0)
            let progress = Mailbox<Int>()
            let reply = Task {
                try await fixture.client.clientStreaming("/test.Echo/Sip") { requests in
                    for count in 1...Self.messages {
                        guard await requests.send(.noise(Self.messageBytes)) else { return }
                        sent.withLock { $0 = count }
                        progress.put(count)
                    }
                }
            }
            let call = try await began.take()
            while try await progress.take() * Self.messageBytes < Int(HTTP2Limits().streamWindowBytes) {}
            for _ in 0..<100 { _ = try await fixture.client.unary("/test.Echo/Unary", []) }
            #expect(sent.withLock { $0 } * Self.messageBytes <= Self.bound)

            call.later { $0.resumeReading() }
            #expect(try await reply.value.message == [UInt8](String(Self.messages)))
        }
    }

    @Test("A message longer than the window gets through, both ways")
    func longerThanWindow() async throws {
        var http2 = HTTP2Limits()
        http2.streamWindowBytes = 131_072
        var options = ClientOptions()
        options.http2.streamWindowBytes = 65_535
        try await withFixture(Echo.all, http2: http2, options: options) { fixture async throws in
            let call = fixture.client.bidirectional("/test.Echo/Chat")
            for _ in 0..<3 {
                #expect(await call.requests.send(.noise(1_000_000)))
                #expect(try await call.nextReply() == .noise(1_000_000))
            }
        }
    }

    @Test("A writer that waits is told when the call ends", arguments: [true, false])
    func writerIsFreed(byServer: Bool) async throws {
        let began = Mailbox<CallHandle>()
        let method = Method.clientStreaming("/test.Echo/Deaf") { call in
            call.pauseReading()
            call.onMessage = { _, _ in }
            began.put(call.handle)
        }
        try await withFixture([method]) { fixture async throws in
            let call = fixture.client.bidirectional("/test.Echo/Deaf")
            let writer = Task {
                while await call.requests.send(.noise(Self.messageBytes)) {}
                return true
            }
            let handle = try await began.take()
            if byServer {
                handle.later { $0.finish(Status(.aborted, "enough")) }
            } else {
                call.cancel()
            }
            #expect(await writer.value)
            let status = await failure { _ = try await call.nextReply() }
            #expect(status?.code == (byServer ? .aborted : .cancelled))
        }
    }
}
