// What a client makes of servers that don't do as our own does: other words for the end of a call,
// refusals, goodbyes, silence.

import HTTP2
import NIOCore
import NIOPosix
import RPC
import Testing

@Suite("Answers of strange servers", .timeLimit(.minutes(15)))
struct ClientAnswersTests {
    private static let grpc = [(":status", "200"), ("content-type", "application/grpc")]

    /// How a call ends that is answered with this.
    private func end(
        _ fields: [(String, String)], _ body: [UInt8] = [], _ trailers: [(String, String)]? = nil
    ) async throws -> Status? {
        var status: Status?
        try await withScript { connection, request in
            if request.isComplete { connection.respond(request, fields, body, trailers) }
        } _: { client in
            status = await failure { _ = try await client.unary("/a/b", [1]) }
        }
        return status
    }

    @Test(
        "HTTP that is not gRPC becomes a status",
        arguments: [
            ("400", .internal), ("401", .unauthenticated), ("403", .permissionDenied), ("404", .unimplemented),
            ("429", .unavailable), ("431", .internal), ("502", .unavailable), ("503", .unavailable),
            ("504", .unavailable), ("302", .unknown), ("500", .unknown), ("200", .unknown),
        ] as [(String, Status.Code)])
    func http(status: String, code: Status.Code) async throws {
        let ended = try await end([(":status", status), ("content-type", "text/html")], [UInt8]("<p>Sorry</p>"))
        #expect(ended?.code == code)
    }

    @Test("grpc-status goes before the HTTP status")
    func statusFirst() async throws {
        let ended = try await end([(":status", "503"), ("grpc-status", "5"), ("grpc-message", "no%20such%2")])
        #expect(ended == Status(.notFound, "no such%2"))
    }

    @Test("Trailers without a status, no trailers at all, and codes that nobody knows are UNKNOWN")
    func unknown() async throws {
        #expect(try await end(Self.grpc, [0, 0, 0, 0, 0], [("a", "b")])?.code == .unknown)
        #expect(try await end(Self.grpc, [0, 0, 0, 0, 0])?.code == .unknown)
        #expect(try await end(Self.grpc)?.code == .unknown)
        #expect(try await end(Self.grpc, [], [("grpc-status", "77")])?.code == .unknown)
        #expect(try await end(Self.grpc, [], [("grpc-status", "x"), ("grpc-message", "m")]) == Status(.unknown, "m"))
    }

    @Test("Broken framing of messages is INTERNAL, whatever the trailers say")
    func framing() async throws {
        let ok = [("grpc-status", "0")]
        #expect(try await end(Self.grpc, [0, 0, 0, 0, 9, 1], ok)?.code == .internal)
        #expect(try await end(Self.grpc, [0, 0, 0], ok)?.code == .internal)
        #expect(try await end(Self.grpc, [2, 0, 0, 0, 0], ok)?.code == .internal)
        #expect(try await end(Self.grpc, [1, 0, 0, 0, 1, 9], ok)?.code == .internal)
        #expect(try await end(Self.grpc + [("grpc-encoding", "gzip")], [1, 0, 0, 0, 1, 9], ok)?.code == .internal)
        #expect(try await end(Self.grpc, [0, 255, 255, 255, 255], ok)?.code == .resourceExhausted)
    }

    @Test("An OK without headers of its own is an OK")
    func trailersOnlyOK() async throws {
        try await withScript { connection, request in
            if request.isComplete { connection.respond(request, Self.grpc + [("grpc-status", "0"), ("a", "b")]) }
        } _: { client async throws in
            let call = client.serverStreaming("/a/b", [])
            #expect(try await call.metadata() == Metadata())
            #expect(try await call.nextReply() == nil)
            #expect(await call.trailers()["a"] == "b")
        }
    }

    @Test("Interim responses are passed over")
    func interim() async throws {
        try await withScript { connection, request in
            guard request.isComplete else { return }
            // HEADERS with END_HEADERS: a literal `:status: 103` of index 8 (RFC 7541, 6.2.2).
            connection.sendRaw([0, 0, 5, 1, 4, 0, 0, 0, UInt8(request.id), 0x08, 3] + [UInt8]("103"))
            connection.reply(request, [7])
        } _: { client async throws in
            #expect(try await client.unary("/a/b", []).message == [7])
        }
    }

    @Test("Response headers arrive before any message, and with their metadata")
    func headersFirst() async throws {
        try await withScript { connection, request in
            if !request.isComplete { connection.respond(request, Self.grpc + [("a", "b")], [], [("grpc-status", "0")]) }
        } _: { client async throws in
            let call = client.bidirectional("/a/b")
            #expect(try await call.metadata()["a"] == "b")
            #expect(try await call.nextReply() == nil)
        }
    }

    @Test("Headers above the limit are RESOURCE_EXHAUSTED")
    func largeHeaders() async throws {
        let ended = try await end(Self.grpc + [("a", String(repeating: "x", count: 20_000))], [0, 0, 0, 0, 0])
        #expect(ended?.code == .resourceExhausted)
    }

    @Test(
        "Resets become the status that gRPC gives them",
        arguments: [
            (.noError, .internal), (.protocolError, .internal), (.internalError, .internal),
            (.flowControlError, .internal), (.refusedStream, .unavailable), (.cancel, .cancelled),
            (.enhanceYourCalm, .resourceExhausted), (.inadequateSecurity, .permissionDenied),
        ] as [(HTTP2ErrorCode, Status.Code)])
    func resets(code: HTTP2ErrorCode, expected: Status.Code) async throws {
        try await withScript { connection, request in
            if request.isComplete { connection.session.reset(request.id, code) }
        } _: { client in
            let status = await failure { _ = try await client.unary("/a/b", []) }
            #expect(status?.code == expected)
        }
    }

    @Test("What the client asks for is what gRPC asks for")
    func requestHeaders() async throws {
        let seen = Mailbox<[HeaderField]>()
        try await withScript { connection, request in
            guard request.isComplete else { return }
            seen.put(request.fields)
            connection.reply(request, [])
        } _: { client async throws in
            var options = CallOptions()
            options.compressesRequests = true
            options.metadata.add("a", "b")
            _ = try await client.unary("/a/b", [], options)
            let fields = try await seen.take()
            let authority = fields.first { $0.name == ":authority" }
            #expect(authority?.value.hasPrefix("127.0.0.1:") == true)
            let agent = fields.first { $0.name == "user-agent" }
            #expect(agent?.value.hasPrefix("grpc-swift-nghttp2/") == true)
            #expect(
                fields.filter { $0 != authority && $0 != agent } == [
                    HeaderField(name: ":method", value: "POST"), HeaderField(name: ":scheme", value: "http"),
                    HeaderField(name: ":path", value: "/a/b"), HeaderField(name: "te", value: "trailers"),
                    HeaderField(name: "content-type", value: "application/grpc"),
                    HeaderField(name: "grpc-accept-encoding", value: "identity,gzip"),
                    HeaderField(name: "grpc-encoding", value: "gzip"), HeaderField(name: "a", value: "b"),
                ])
        }
    }
}
