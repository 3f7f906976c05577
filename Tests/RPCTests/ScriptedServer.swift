// A server that answers what a test tells it to, right or wrong: HTTP/2 as it should be, gRPC as it likes.

import HTTP2
import NIOCore
import NIOPosix
import Synchronization

@testable import RPC

/// One request that a scripted server has got; lives on its event loop.
final class ScriptedRequest {
    let id: Int32
    /// The number of the connection that it came on, from 1.
    let connection: Int
    fileprivate(set) var fields: [HeaderField] = []
    fileprivate(set) var body: [UInt8] = []
    fileprivate(set) var isComplete = false
    fileprivate var answer: [UInt8] = []
    fileprivate var trailers: [HeaderField]?

    fileprivate init(id: Int32, connection: Int) {
        self.id = id
        self.connection = connection
    }

    subscript(_ name: String) -> String? { fields.first { $0.name == name }?.value }
}

final class ScriptedConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    /// Runs when a request's headers are in, and again when its body is.
    typealias Script = @Sendable (ScriptedConnection, ScriptedRequest) -> Void

    private(set) var session: HTTP2Session!
    private var context: ChannelHandlerContext!
    private var requests: [Int32: ScriptedRequest] = [:]
    private let number: Int
    private let script: Script

    init(number: Int, limits: HTTP2Limits, script: @escaping Script) {
        self.number = number
        self.script = script
        session = HTTP2Session(
            role: .server, limits: limits, pool: AllocationPool(), delegate: self, now: MonotonicClock.now())
    }

    func respond(
        _ request: ScriptedRequest, _ fields: [(String, String)], _ body: [UInt8] = [],
        _ trailers: [(String, String)]? = nil
    ) {
        request.answer = body
        request.trailers = trailers.map(Self.fields)
        session.submitResponse(
            request.id, Self.fields(fields), hasBody: !body.isEmpty || trailers != nil, stream: request)
    }

    /// What a gRPC server answers.
    func reply(_ request: ScriptedRequest, _ message: [UInt8]) {
        var framed = ByteQueue()
        message.withUnsafeBytes { framed.appendMessage($0, gzip: false) }
        respond(
            request, [(":status", "200"), ("content-type", "application/grpc")], Array(framed.bytes),
            [("grpc-status", "0")])
    }

    /// Bytes past the session, such as a GOAWAY that it would not send.
    func sendRaw(_ bytes: [UInt8]) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }

    func close() { context.close(promise: nil) }

    private static func fields(_ list: [(String, String)]) -> [HeaderField] {
        list.map { HeaderField(name: $0.0, value: $0.1) }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        session = nil
    }

    func channelActive(context: ChannelHandlerContext) { flush() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { bytes in
            do throws(HTTP2Session.Failure) {
                try session.receive(bytes, now: MonotonicClock.now())
            } catch {
                context.close(promise: nil)
            }
        }
        flush()
    }

    /// What comes stays where it is, as behind a router that has forgotten the connection.
    func stopReading() { _ = context.channel.setOption(.autoRead, value: false) }

    private func flush() {
        do throws(HTTP2Session.Failure) {
            try session.send { bytes in
                context.write(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
                return true
            }
            context.flush()
        } catch {
            context.close(promise: nil)
        }
    }
}

extension ScriptedConnection: HTTP2Delegate {
    func streamOpened(_ id: Int32) -> AnyObject {
        let request = ScriptedRequest(id: id, connection: number)
        requests[id] = request
        return request
    }

    func headerField(_ stream: AnyObject, name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        request(stream).fields.append(HeaderField(name: name.text, value: value.text))
    }

    func headersEnded(_ stream: AnyObject, kind: HeaderBlockKind, tooLarge: Bool) {
        script(self, request(stream))
    }

    func dataReceived(_ stream: AnyObject, _ bytes: UnsafeRawBufferPointer) {
        request(stream).body += bytes
        session.consume(request(stream).id, bytes.count)
    }

    func remoteEnded(_ stream: AnyObject) {
        request(stream).isComplete = true
        script(self, request(stream))
    }

    func fillBody(_ stream: AnyObject, _ buffer: UnsafeMutableRawBufferPointer) -> BodyPiece {
        let request = request(stream)
        let count = min(buffer.count, request.answer.count)
        buffer.copyBytes(from: request.answer.prefix(count))
        request.answer.removeFirst(count)
        guard request.answer.isEmpty else { return .bytes(count) }
        guard let trailers = request.trailers else { return .last(count) }
        session.submitTrailers(request.id, trailers)
        return .lastBeforeTrailers(count)
    }

    func localEnded(_ stream: AnyObject) {}
    func streamClosed(_ stream: AnyObject, _ code: HTTP2ErrorCode) { requests[request(stream).id] = nil }
    func settingsReceived() {}
    func pingAcknowledged() {}
    func goAwayReceived(lastStream: Int32, code: HTTP2ErrorCode) {}

    private func request(_ stream: AnyObject) -> ScriptedRequest { unsafeDowncast(stream, to: ScriptedRequest.self) }
}

/// Runs `body` with a client of a scripted server.
func withScript(
    http2: HTTP2Limits = HTTP2Limits(), options: ClientOptions = ClientOptions(),
    _ script: @escaping ScriptedConnection.Script, _ body: (Client) async throws -> Void
) async throws {
    let number = Mutex(0)
    let channel = try await ServerBootstrap(group: testGroup)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                let number = number.withLock { number in
                    number += 1
                    return number
                }
                try channel.pipeline.syncOperations.addHandler(
                    ScriptedConnection(number: number, limits: http2, script: script))
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
    let client = Client(
        host: "127.0.0.1", port: channel.localAddress!.port!, options: options, eventLoop: testGroup.next())
    let result: Result<Void, any Error>
    do {
        try await body(client)
        result = .success(())
    } catch {
        result = .failure(error)
    }
    await client.close(grace: .zero)
    try await channel.close().get()
    try result.get()
}
