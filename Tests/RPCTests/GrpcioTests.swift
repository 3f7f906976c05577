// The client against a server that is not ours: grpcio's.
//
// AGENTKEEPER_PYTHON names a Python that has grpcio; `make test` sets it. Without it these are skipped.

import Foundation
import NIOCore
import NIOPosix
import RPC
import Testing

private let python = ProcessInfo.processInfo.environment["AGENTKEEPER_PYTHON"]

@Suite(
    "Calls to grpcio's server", .timeLimit(.minutes(15)),
    .enabled(if: python != nil, "AGENTKEEPER_PYTHON does not name a Python with grpcio"))
struct GrpcioTests {
    /// Runs `body` with a client of a fresh server; `stop` begins the server's graceful end.
    private func withServer(_ body: (Client, _ stop: @escaping @Sendable () throws -> Void) async throws -> Void)
        async throws
    {
        let process = Process()
        let input = Pipe()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: try #require(python))
        process.arguments = [
            URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("Support/grpcio_server.py").path
        ]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        defer { process.terminate() }
        let line = try await NIOThreadPool.singleton.runIfActive {
            String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        }
        let port = try #require(
            Int(line.trimmingCharacters(in: .whitespacesAndNewlines)), "the server did not start: \(line)")
        let client = Client(host: "127.0.0.1", port: port, eventLoop: testGroup.next())
        let writer = input.fileHandleForWriting
        let result: Result<Void, any Error>
        do {
            try await body(client) { try writer.write(contentsOf: Data("240\n".utf8)) }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await client.close(grace: .zero)
        try result.get()
    }

    @Test("All four kinds of call work")
    func kinds() async throws {
        try await withServer { client, _ async throws in
            for size in [0, 1, 100_000, 4_000_000] {
                #expect(try await client.unary("/test.Echo/Unary", .noise(size)).message == .noise(size))
            }
            var received: [UInt8] = []
            for try await message in client.serverStreaming("/test.Echo/Count", [0x0b, 0xb8]).replies {
                received += message
            }
            #expect(
                received == (0..<3_000).flatMap { number in withUnsafeBytes(of: UInt32(number).bigEndian, Array.init) })

            let sum = try await client.clientStreaming("/test.Echo/Collect") { requests in
                for _ in 0..<100 { await requests.send(.noise(10_000)) }
            }
            #expect(sum.message == [UInt8]("1000000"))

            let chat = client.bidirectional("/test.Echo/Chat")
            for size in [0, 5, 500_000] {
                #expect(await chat.requests.send(.noise(size)))
                #expect(try await chat.nextReply() == .noise(size))
            }
            chat.requests.finish()
            #expect(try await chat.nextReply() == nil)
        }
    }

    @Test("Metadata goes both ways, ahead of the reply and behind it")
    func metadata() async throws {
        try await withServer { client, _ async throws in
            var options = CallOptions()
            options.metadata.add("x-text", "a, b")
            options.metadata.add("x-bytes-bin", bytes: .noise(33))
            let reply = try await client.unary("/test.Echo/Unary", [], options)
            #expect(reply.metadata["initial"] == "yes")
            #expect(reply.metadata.bytes("initial-bin") == [[0, 255]])
            #expect(reply.trailers["x-text"] == "a, b")
            #expect(reply.trailers.bytes("x-bytes-bin") == [.noise(33)])
        }
    }

    @Test("Every status arrives with its message and its trailers")
    func statuses() async throws {
        try await withServer { client, _ async throws in
            for code in Status.Code.allCases where code != .ok {
                do throws(CallFailure) {
                    _ = try await client.unary("/test.Echo/Fail", [code.rawValue] + [UInt8]("100 % 日本\n"))
                    Issue.record("the call ended with OK")
                } catch {
                    #expect(error.status == Status(code, "100 % 日本\n"))
                    #expect(error.trailers.bytes("reason-bin") == [[0, 255]])
                }
            }
            let status = await failure { _ = try await client.unary("/test.Echo/Nothing", []) }
            #expect(status?.code == .unimplemented)
        }
    }

    @Test("gzip is understood in both directions")
    func gzip() async throws {
        try await withServer { client, _ async throws in
            let message = [UInt8](repeating: 65, count: 100_000)
            var options = CallOptions()
            options.compressesRequests = true
            #expect(try await client.unary("/test.Echo/Gzipped", message, options).message == message)
            #expect(try await client.unary("/test.Echo/Gzipped", message).message == message)
        }
    }

    @Test("The server is told of deadlines, and of cancellation")
    func ends() async throws {
        try await withServer { client, _ async throws in
            var options = CallOptions()
            options.timeout = .seconds(1_000)
            let left = try await client.unary("/test.Echo/Left", [], options).message
            #expect((900...1_000).contains(try #require(Int(String(decoding: left, as: UTF8.self)))))

            let task = Task { await failure { _ = try await client.unary("/test.Echo/Wait", []) } }
            _ = try await client.unary("/test.Echo/Ends", [])
            task.cancel()
            #expect(await task.value?.code == .cancelled)
            _ = try await client.unary("/test.Echo/Ends", [])

            options.timeout = .milliseconds(100)
            let status = await failure { _ = try await client.unary("/test.Echo/Wait", [], options) }
            #expect(status?.code == .deadlineExceeded)
        }
    }

    @Test("More calls than the server takes at once wait their turn")
    func streamLimit() async throws {
        try await withServer { client, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<300 {
                    group.addTask {
                        let message = [UInt8]("call \(number)")
                        let reply = try await client.unary("/test.Echo/Unary", message)
                        #expect(reply.message == message)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("A server that stops gracefully finishes what it has begun, and takes no more")
    func gracefulStop() async throws {
        try await withServer { client, stop async throws in
            let chat = client.bidirectional("/test.Echo/Chat")
            #expect(await chat.requests.send([1]))
            #expect(try await chat.nextReply() == [1])
            try stop()
            // Until the goodbye is here, calls are still answered. One that comes just then grpcio may lose, and answer its
            // own client no more either: that one is given up.
            var end: Status?
            while end == nil || end?.code == .deadlineExceeded { end = await endOfUnary(client) }
            #expect(end?.code == .unavailable || end?.code == .cancelled, "\(end!)")
            #expect(await chat.requests.send([2]))
            #expect(try await chat.nextReply() == [2])
            chat.requests.finish()
            #expect(try await chat.nextReply() == nil)
        }
    }

    private func endOfUnary(_ client: Client) async -> Status? {
        var options = CallOptions()
        options.timeout = .seconds(5)
        do throws(CallFailure) {
            _ = try await client.unary("/test.Echo/Unary", [], options)
            return nil
        } catch {
            return error.status
        }
    }
}
