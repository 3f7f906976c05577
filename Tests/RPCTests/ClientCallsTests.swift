// The client against our server, over real sockets: the four kinds of call, and how they end.

import HTTP2
import RPC
import Synchronization
import Testing

@Suite("Calls between our client and our server", .timeLimit(.minutes(15)))
struct ClientCallsTests {
    @Test("A unary call brings its reply", arguments: [0, 1, 511, 70_000, 4 << 20])
    func unary(size: Int) async throws {
        try await withFixture(Echo.all) { fixture async throws in
            let reply = try await fixture.client.unary("/test.Echo/Unary", .noise(size))
            #expect(reply.message == .noise(size))
        }
    }

    @Test("Calls of many tasks share one connection")
    func multiplexed() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<500 {
                    group.addTask {
                        let message = [UInt8]("call \(number)")
                        return try await fixture.client.unary("/test.Echo/Unary", message).message == message
                    }
                }
                for try await isRight in group { #expect(isRight) }
            }
            #expect(fixture.server.snapshot().acceptedConnections == 1)
        }
    }

    @Test("A server's stream arrives whole and in order")
    func serverStreaming() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            var expected: UInt32 = 0
            let call = fixture.client.serverStreaming("/test.Echo/Count", [0, 0, 0x27, 0x10])
            for try await message in call.replies {
                #expect(message == withUnsafeBytes(of: expected.bigEndian) { Array($0) })
                expected += 1
            }
            #expect(expected == 10_000)
        }
    }

    @Test("A client's stream arrives whole")
    func clientStreaming() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            let reply = try await fixture.client.clientStreaming("/test.Echo/Collect") { requests in
                for size in 0..<1_000 { await requests.send([UInt8](repeating: 7, count: size)) }
            }
            #expect(String(decoding: reply.message, as: UTF8.self) == "499500")
        }
    }

    @Test("Both sides of a bidirectional call speak in turn")
    func bidirectional() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            let call = fixture.client.bidirectional("/test.Echo/Chat")
            for number in 0..<100 {
                #expect(await call.requests.send([UInt8]("\(number)")))
                #expect(try await call.nextReply() == [UInt8]("\(number)"))
            }
            call.requests.finish()
            #expect(try await call.nextReply() == nil)
            #expect(await !call.requests.send([1]))
        }
    }

    @Test("An empty stream of requests, and one of replies, are streams too")
    func emptyStreams() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            let reply = try await fixture.client.clientStreaming("/test.Echo/Collect") { _ in }
            #expect(reply.message == [UInt8]("0"))
            let call = fixture.client.serverStreaming("/test.Echo/Count", [0, 0, 0, 0])
            #expect(try await call.nextReply() == nil)
        }
    }

    @Test(
        "A status arrives with its code, its message in any script, and its trailers", arguments: Status.Code.allCases)
    func statuses(code: Status.Code) async throws {
        guard code != .ok else { return }
        try await withFixture(Echo.all) { fixture async throws in
            let text = "50 % weg: \n日本 \u{1F980}\u{7f}"
            do throws(CallFailure) {
                _ = try await fixture.client.unary("/test.Echo/Fail", [code.rawValue] + Array(text.utf8))
                Issue.record("the call ended with OK")
            } catch {
                #expect(error.status == Status(code, text))
                #expect(error.trailers.bytes("reason-bin") == [[0, 255]])
            }
        }
    }

    @Test("OK without a reply, and a reply too many, are refused by the client")
    func cardinality() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            for count in [UInt8(0), 2] {
                let status = await failure { _ = try await fixture.client.unary("/test.Echo/Count", [0, 0, 0, count]) }
                #expect(status?.code == .unimplemented)
            }
        }
    }

    @Test("An unknown method is UNIMPLEMENTED, and the connection goes on")
    func unknownMethod() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            let status = await failure { _ = try await fixture.client.unary("/test.Echo/Nothing", []) }
            #expect(status == Status(.unimplemented, "unknown method: \"/test.Echo/Nothing\""))
            #expect(try await fixture.client.unary("/test.Echo/Unary", [1]).message == [1])
            #expect(fixture.server.snapshot().acceptedConnections == 1)
        }
    }

    @Test("Metadata goes there and comes back, text and bytes, keys that repeat in order")
    func metadata() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            var options = CallOptions()
            options.metadata.add("trace", "one")
            options.metadata.add("trace", "two, with a comma")
            options.metadata.add("key-bin", bytes: .noise(100))
            options.metadata.add("empty-bin", bytes: [])
            let reply = try await fixture.client.unary("/test.Echo/Metadata", [], options)
            #expect(reply.trailers.fields.filter { $0.key == "trace" }.map(\.value) == ["one", "two, with a comma"])
            #expect(reply.trailers.bytes("key-bin") == [.noise(100)])
            #expect(reply.trailers["empty-bin"] == "")
        }
    }

    @Test("Metadata may be as large as the server allows, and larger is RESOURCE_EXHAUSTED")
    func largeMetadata() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            var options = CallOptions()
            options.metadata.add("large", String(repeating: "x", count: 15_000))
            let reply = try await fixture.client.unary("/test.Echo/Metadata", [], options)
            #expect(reply.trailers["large"]?.count == 15_000)
            options.metadata.add("more", String(repeating: "y", count: 15_000))
            let status = await failure { _ = try await fixture.client.unary("/test.Echo/Metadata", [], options) }
            #expect(status?.code == .resourceExhausted)
            // Larger than HTTP/2 can send.
            options.metadata.add("most", String(repeating: "z", count: 100_000))
            let unsent = await failure { _ = try await fixture.client.unary("/test.Echo/Metadata", [], options) }
            #expect(unsent?.code == .resourceExhausted)
            #expect(try await fixture.client.unary("/test.Echo/Unary", [1]).message == [1])
        }
    }

    @Test("A path that HTTP/2 can't send ends its call, and no other")
    func endlessPath() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            let path = "/" + String(repeating: "x", count: 100_000)
            let status = await failure { _ = try await fixture.client.unary(path, []) }
            #expect(status?.code == .resourceExhausted)
            #expect(try await fixture.client.unary("/test.Echo/Unary", [1]).message == [1])
        }
    }

    @Test("Metadata that no header can carry does not leave the client")
    func brokenMetadata() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            for (key, value) in [
                ("Upper", "x"), ("", "x"), ("a b", "x"), ("grpc-status", "0"), ("key", "a\nb"), ("k", "ü"),
            ] {
                var options = CallOptions()
                options.metadata.add(key, value)
                let status = await failure { _ = try await fixture.client.unary("/test.Echo/Unary", [], options) }
                #expect(status?.code == .internal)
            }
            #expect(fixture.server.snapshot().acceptedConnections == 0)
        }
    }

    @Test("Requests as gzip are understood and answered as gzip", arguments: [10, 100_000])
    func gzip(size: Int) async throws {
        try await withFixture(Echo.all) { fixture async throws in
            var options = CallOptions()
            options.compressesRequests = true
            let message = [UInt8](repeating: 65, count: size)
            #expect(try await fixture.client.unary("/test.Echo/Unary", message, options).message == message)
            #expect(fixture.server.snapshot().sentBytes < 5_000)
            #expect(fixture.server.snapshot().receivedBytes < 5_000)
        }
    }

    @Test("A reply above the client's limit is RESOURCE_EXHAUSTED, and the connection goes on")
    func replyTooLong() async throws {
        var options = ClientOptions()
        options.maxReplyBytes = 1_000
        try await withFixture(Echo.all, options: options) { fixture async throws in
            #expect(try await fixture.client.unary("/test.Echo/Unary", .noise(1_000)).message.count == 1_000)
            let status = await failure { _ = try await fixture.client.unary("/test.Echo/Unary", .noise(1_001)) }
            #expect(status?.code == .resourceExhausted)
            #expect(try await fixture.client.unary("/test.Echo/Unary", [1]).message == [1])
        }
    }

    @Test("A request above the server's limit is RESOURCE_EXHAUSTED, told from its prefix")
    func requestTooLong() async throws {
        try await withFixture(Echo.all) { fixture async throws in
            let status = await failure { _ = try await fixture.client.unary("/test.Echo/Unary", .noise(4 << 20 | 1)) }
            #expect(status?.code == .resourceExhausted)
            #expect(try await fixture.client.unary("/test.Echo/Unary", [1]).message == [1])
        }
    }

    @Test("A server's metadata come with the headers, ahead of any message")
    func serverMetadata() async throws {
        let method = Method.serverStreaming("/test.Echo/Named") { call, _ in
            var metadata = Metadata()
            metadata.add("name", "anna")
            metadata.add("bytes-bin", bytes: [1, 2])
            call.sendHeaders(metadata)
        }
        try await withFixture([method]) { fixture async throws in
            let call = fixture.client.serverStreaming("/test.Echo/Named", [])
            let metadata = try await call.metadata()
            #expect(metadata["name"] == "anna" && metadata.bytes("bytes-bin") == [[1, 2]])
            call.cancel()
        }
    }
}
