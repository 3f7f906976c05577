import Coordination
import Foundation
import Testing

@testable import Admin

/// What would wait for ever fails by the time limit.
@Suite(.timeLimit(.minutes(15))) struct StreamTests {
    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test func `A live address is answered at once, and again when its answer changes`() async throws {
        let core = TestCore()
        try await withServer(core: core) { port in
            let stream = try StreamClient(port: port, "/api/v1/live?q=agents&q=agents%3Fstatus%3Ddead&q=nonsense")
            for (index, status) in [200, 200, 404].enumerated() {
                let answer = try object(try stream.next().data)
                #expect(answer["q"] as? Int == index && answer["status"] as? Int == status)
            }
            core.register(1, "anna")
            // The other list has another total.
            let answers = try stream.answers(to: 2)
            let answer = try object(answers[0])
            let items = (answer["body"] as? [String: Any])?["items"] as? [[String: Any]]
            #expect(items?.compactMap { $0["name"] as? String } == ["anna"])
            // Nothing changes any more, though the clock goes on.
            core.pass(.seconds(1))
            #expect(try stream.next().name == "alive")
        }
    }

    @Test func `However much happens, a live address is answered twice a second at the most`() async throws {
        let core = TestCore()
        try await withServer(core: core) { port in
            let stream = try StreamClient(port: port, "/api/v1/live?q=agents")
            _ = try stream.next()
            let begun = ContinuousClock.now
            var answers = 0
            var number: UInt64 = 0
            while answers < 5 {
                // Something has happened before each, so that there is always an answer to be had.
                for _ in 1...20 {
                    number += 1
                    core.register(number, "agent \(number)")
                }
                if try stream.next().name == "answer" { answers += 1 }
            }
            // The first comes at once, and each of the others half a second after the one before, or later.
            #expect(begun.duration(to: .now) >= LiveStream.interval * 3)
        }
    }

    @Test func `What is no event is seen in a live answer too`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna")
        try await withServer(core: core) { port in
            let stream = try StreamClient(port: port, "/api/v1/live?q=agents")
            let before = try stream.next()
            core.pass(.seconds(2))
            core.perform(.heartbeat(anna))
            var event = try stream.next()
            while event.name == "alive" { event = try stream.next() }
            #expect(event.data.contains("\"heard_clock_ms\":3000") && before.data.contains("\"heard_clock_ms\":1000"))
        }
    }

    @Test(arguments: ["", "?q=agents&x=1", "?" + String(repeating: "q=agents&", count: 9)])
    func `A live stream of nothing, or of too much, is refused`(query: String) async throws {
        try await withServer { port in
            let reply = try RawClient(port: port).get("/api/v1/live" + query, fields: "Connection: close\r\n")
            #expect(reply.status == 400 && reply.body.contains("invalid_argument"))
        }
    }

    @Test func `Events come with ids from which a client goes on`() async throws {
        let core = TestCore()
        for number in 1...3 { core.register(UInt64(number), "agent \(number)") }
        try await withServer(core: core) { port in
            let first = try StreamClient(port: port, "/events?after=0")
            #expect(try first.next().name == "hello")
            for number in 1...3 {
                let event = try first.next()
                #expect(event.name == "message" && event.id == "abc-\(number)")
                #expect(try object(event.data)["sequence"] as? Int == number)
            }
            core.register(4, "agent 4")
            #expect(try first.next().id == "abc-4")
            let second = try StreamClient(port: port, "/events", fields: "Last-Event-ID: abc-2\r\n")
            #expect(try second.next().name == "hello")
            #expect(try second.next().id == "abc-3")
            #expect(try second.next().id == "abc-4")
        }
    }

    @Test func `Without a beginning a stream begins with what is to come`() async throws {
        let core = TestCore()
        core.register(1, "anna")
        try await withServer(core: core) { port in
            let stream = try StreamClient(port: port, "/events?topic=agent.")
            #expect(try stream.next().name == "hello")
            core.register(2, "ben")
            #expect(try stream.next().id == "abc-2")
        }
    }

    @Test func `A client that is cut off before the first event misses none that comes meanwhile`() async throws {
        let core = TestCore()
        core.register(1, "anna")
        try await withServer(core: core) { port in
            let hello = try StreamClient(port: port, "/events").next()
            #expect(hello.name == "hello")
            core.register(2, "ben")
            let lastID = try #require(hello.id)
            let again = try StreamClient(port: port, "/events", fields: "Last-Event-ID: \(lastID)\r\n")
            #expect(try again.next().id == hello.id)
            #expect(try again.next().id == "abc-2")
        }
    }

    @Test(arguments: [("abc-1", false), ("xyz-1", true), ("abc-99", true)])
    func `What is gone is told`(lastID: String, isOther: Bool) async throws {
        var limits = Limits()
        limits.maxEvents = 3
        let core = TestCore(limits: limits)
        for number in 1...8 { core.register(UInt64(number), "agent \(number)") }
        try await withServer(core: core) { port in
            let stream = try StreamClient(port: port, "/events", fields: "Last-Event-ID: \(lastID)\r\n")
            let hello = try stream.next()
            #expect(hello.name == "hello" && hello.id == nil)
            let gap = try stream.next()
            #expect(gap.name == "gap" && gap.id == "abc-5" && gap.data.contains("\"history_changed\":\(isOther)"))
            #expect(gap.data.contains("\"oldest_kept_sequence\":6"))
            #expect(try stream.next().id == "abc-6")
        }
    }

    @Test func `No more streams than may be, and a place is free when one has gone`() async throws {
        var limits = AdminLimits.patient
        limits.maxStreams = 1
        try await withServer(limits: limits) { port in
            do {
                let stream = try StreamClient(port: port, "/events")
                #expect(try stream.next().name == "hello")
                let reply = try RawClient(port: port).get("/events")
                #expect(reply.status == 503 && reply.body.contains("1 streams are open"))
            }
            for _ in 0..<12_000 {
                if let stream = try? StreamClient(port: port, "/events") {
                    #expect(try stream.next().name == "hello")
                    return
                }
                usleep(5_000)
            }
            Issue.record("the place was never free again")
        }
    }

    @Test func `A client that sends on and on while it is streamed to is left`() async throws {
        let core = TestCore()
        try await withServer(core: core) { port in
            let client = try RawClient(port: port)
            try client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for _ in 0..<30_000 {
                guard (try? client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")) != nil else { return }
                usleep(1_000)
            }
            Issue.record("it was listened to for ever")
        }
    }

    @Test(arguments: ["/events", "/api/v1/live?q=policies"])
    func `HTTP 1.0 is streamed to without chunks, until the connection ends`(path: String) async throws {
        let server = makeServer()
        let port = try #require(try await server.start(host: "127.0.0.1", port: 0).port)
        let client = try await blocking {
            let client = try RawClient(port: port)
            try client.send("GET \(path) HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            let head = try client.head().lowercased()
            #expect(!head.contains("transfer-encoding") && head.contains("connection: close\r\n"))
            #expect(try client.text(through: "}\n\n").hasPrefix("retry: 1000\n\nevent: "))
            return client
        }
        await server.stop()
        #expect(try await blocking { try client.rest() }.contains("\r") == false)
    }

    @Test func `Stopping ends the streams`() async throws {
        var limits = AdminLimits.patient
        limits.drainTimeout = .hours(1)
        let server = makeServer(limits: limits)
        let port = try #require(try await server.start(host: "127.0.0.1", port: 0).port)
        let client = try await blocking {
            let client = try RawClient(port: port)
            try client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            _ = try client.head()
            return client
        }
        await server.stop()
        // With the last chunk (RFC 9112, section 7.1), so that nothing looks cut off, and with one. It may be the only one.
        let rest = try await blocking { try client.rest() }
        #expect(rest == "0\r\n\r\n" || rest.hasSuffix("\r\n0\r\n\r\n"), "\(rest.debugDescription)")
        #expect(rest.ranges(of: "0\r\n\r\n").count == 1)
    }
}
