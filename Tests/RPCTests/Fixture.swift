// A server of ours with methods to try, a client of ours, and words that pass between their threads.

import HTTP2
import NIOCore
import NIOPosix
import RPC
import Synchronization
import Testing

/// Things that one thread says and a test waits for, in order.
final class Mailbox<Value: Sendable>: Sendable {
    private let stream: AsyncStream<Value>
    private let continuation: AsyncStream<Value>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    func put(_ value: Value) { continuation.yield(value) }

    func take() async throws -> Value {
        for await value in stream { return value }
        throw CancellationError()
    }
}

let testGroup = MultiThreadedEventLoopGroup.singleton

struct Fixture: Sendable {
    let server: Server
    let client: Client
    let port: Int

    func newClient(_ options: ClientOptions = ClientOptions()) -> Client {
        Client(host: "127.0.0.1", port: port, options: options, eventLoop: testGroup.next())
    }
}

extension RPCLimits {
    /// Nothing is ended for having taken long.
    static var patient: RPCLimits {
        var limits = RPCLimits()
        limits.requestTimeoutSeconds = 3_600
        limits.drainSeconds = 3_600
        return limits
    }
}

/// Runs `body` beside a server on a free port.
func withFixture(
    _ methods: [Method], limits: RPCLimits = RPCLimits(), http2: HTTP2Limits = HTTP2Limits(),
    options: ClientOptions = ClientOptions(), _ body: (Fixture) async throws -> Void
) async throws {
    let server = Server(methods: methods, limits: limits, http2: http2, group: testGroup)
    let port = try #require(try await server.start(host: "127.0.0.1", port: 0).port)
    let client = Client(host: "127.0.0.1", port: port, options: options, eventLoop: testGroup.next())
    do {
        try await body(Fixture(server: server, client: client, port: port))
    } catch {
        await client.close(grace: .zero)
        await server.drain()
        throw error
    }
    await client.close(grace: .zero)
    await server.drain()
}

/// What the call ended with, which must not be OK.
func failure(_ body: () async throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) async -> Status? {
    do {
        try await body()
        Issue.record("the call ended with OK", sourceLocation: sourceLocation)
        return nil
    } catch let failure as CallFailure {
        return failure.status
    } catch {
        Issue.record("\(error) is no end of a call", sourceLocation: sourceLocation)
        return nil
    }
}

extension ServerCall {
    func send(message: [UInt8]) {
        message.withUnsafeBytes { send($0) }
    }
}

extension [UInt8] {
    init(_ text: String) { self = Array(text.utf8) }

    /// Bytes that gzip can't make much of, the same for the same count.
    static func noise(_ count: Int) -> [UInt8] {
        var state: UInt64 = 88_172_645_463_325_252
        return (0..<count).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state)
        }
    }
}

/// Methods that do one simple thing each.
enum Echo {
    static let unary = Method.unary("/test.Echo/Unary") { call, bytes in
        call.send(bytes)
        call.finish(.ok)
    }

    /// Answers with the request's metadata, as metadata of the trailers.
    static let metadata = Method.unary("/test.Echo/Metadata") { call, bytes in
        call.send(bytes)
        call.finish(.ok, trailers: call.metadata)
    }

    /// Sends the four bytes of the request as often as they say, big-endian, until it is asked no more.
    static let count = Method.serverStreaming("/test.Echo/Count") { call, bytes in
        let count = bytes.loadUnaligned(as: UInt32.self).bigEndian
        let next = Mutex<UInt32>(0)
        let produce: @Sendable (ServerCall) -> Void = { call in
            while call.isOpen, call.isWritable {
                let value = next.withLock { value in
                    defer { value += 1 }
                    return value
                }
                guard value < count else { return call.finish(.ok) }
                withUnsafeBytes(of: value.bigEndian) { call.send($0) }
            }
        }
        call.onWritable = produce
        produce(call)
    }

    /// The number of bytes in all messages, as text.
    static let collect = Method.clientStreaming("/test.Echo/Collect") { call in
        let total = Mutex(0)
        call.onMessage = { _, bytes in total.withLock { $0 += bytes.count } }
        call.onHalfClose = { call in
            call.send(message: [UInt8](String(total.withLock { $0 })))
            call.finish(.ok)
        }
    }

    static let chat = Method.bidirectional("/test.Echo/Chat") { call in
        call.onMessage = { call, bytes in
            call.send(bytes)
            if !call.isWritable { call.pauseReading() }
        }
        call.onWritable = { $0.resumeReading() }
        call.onHalfClose = { $0.finish(.ok) }
    }

    /// Ends with the code that the request's first byte is, and the rest as the message.
    static let fail = Method.unary("/test.Echo/Fail") { call, bytes in
        var trailers = Metadata()
        trailers.add("reason-bin", bytes: [0, 255])
        call.finish(
            Status(Status.Code(rawValue: bytes[0])!, String(decoding: bytes.dropFirst(), as: UTF8.self)),
            trailers: trailers)
    }

    /// Never answers; tells who asked, and how it ended.
    static func wait(began: Mailbox<CallHandle>, interrupted: Mailbox<ServerCall.Interruption>) -> Method {
        .unary("/test.Echo/Wait") { call, _ in
            call.onInterruption = { _, why in interrupted.put(why) }
            began.put(call.handle)
        }
    }

    static let all = [unary, metadata, count, collect, chat, fail]
}
