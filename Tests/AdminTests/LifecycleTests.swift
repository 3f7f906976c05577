import Admin
import NIOCore
import Synchronization
import Testing

/// What would wait for ever fails by the time limit.
@Suite(.timeLimit(.minutes(15))) struct LifecycleTests {
    @Test func `A port that is taken is an error`() async throws {
        let first = makeServer()
        let port = try #require(try await first.start(host: "127.0.0.1", port: 0).port)
        let second = makeServer()
        await #expect(throws: IOError.self) { try await second.start(host: "127.0.0.1", port: port) }
        await second.stop()
        await first.stop()
    }

    @Test func `Connections over the limit are told so, many more are closed`() async throws {
        var limits = AdminLimits.patient
        limits.maxConnections = 2
        limits.maxRefusals = 1
        limits.lingerTimeout = .hours(1)
        try await withServer(limits: limits) { port in
            var served = [try RawClient(port: port), try RawClient(port: port)]
            for client in served { #expect(try client.get("/healthz").body == "ok") }
            do {
                let refused = try RawClient(port: port)
                let reply = try refused.reply()
                #expect(reply.status == 503 && reply.fields["connection"] == "close")
                #expect(try refused.rest() == "")
                #expect(try RawClient(port: port).rest() == "")
                for client in served { #expect(try client.get("/healthz").body == "ok") }
            }
            served.removeAll()
            #expect(isServedAtLast(port))
        }
    }

    @Test func `A request that dawdles is told so`() async throws {
        var limits = AdminLimits.patient
        limits.requestTimeout = .milliseconds(50)
        try await withServer(limits: limits) { port in
            let head = "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
            for start in ["G", String(head.dropLast(2)), head + "12345678"] {
                let client = try RawClient(port: port)
                try client.send(start)
                #expect(try client.reply().status == 408)
                #expect(try client.rest() == "")
            }
        }
    }

    @Test func `An idle connection is closed without a word, before and after a request`() async throws {
        var limits = AdminLimits.patient
        limits.idleTimeout = .milliseconds(50)
        try await withServer(limits: limits) { port in
            #expect(try RawClient(port: port).rest() == "")
            // Its first request may come too late already.
            while true {
                let client = try RawClient(port: port)
                guard let reply = try? client.get("/healthz") else { continue }
                #expect(reply.body == "ok")
                #expect(try client.rest() == "")
                return
            }
        }
    }

    @Test func `A peer that neither reads to the end nor closes is left after a while`() async throws {
        var limits = AdminLimits.patient
        limits.lingerTimeout = .milliseconds(50)
        limits.maxConnections = 1
        limits.maxRefusals = 0
        try await withServer(limits: limits) { port in
            let silent = try RawClient(port: port)
            #expect(try silent.get("/healthz", fields: "Connection: close\r\n").body == "ok")
            #expect(isServedAtLast(port))
            withExtendedLifetime(silent) {}
        }
    }

    // A loopback address of its own: nobody else is given the port that is free again.
    @Test func `Stopping closes idle connections and finishes the answer under way`() async throws {
        // More than both ends' sockets hold: while nobody reads it, the answer is under way. A source that waits would do
        // the same, but on one of the threads that all tests share, and there may be two.
        let source: MetricsSource = { $0.gauge("one", String(repeating: "x", count: 6 << 20), 1) }
        var limits = AdminLimits.patient
        limits.drainTimeout = .hours(1)
        let server = makeServer(limits: limits, sources: [source])
        let port = try #require(try await server.start(host: "127.0.0.76", port: 0).port)
        let idle = try RawClient(port: port, host: 76)
        let scraper = try RawClient(port: port, host: 76, buffer: 65_536)
        try await blocking {
            #expect(try idle.get("/healthz").body == "ok")
            try scraper.send("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
            #expect(try scraper.head().hasPrefix("HTTP/1.1 200 "))
        }
        let stopped = Mutex(false)
        async let stop: Void = {
            await server.stop()
            stopped.withLock { $0 = true }
        }()
        try await blocking {
            let end = try idle.rest()
            #expect(end == "")
            #expect(stopped.withLock { $0 } == false)
            let body = try scraper.rest()
            #expect(body.utf8.count > 6 << 20 && body.hasSuffix("\none 1\n"))
        }
        // Our end is the last that the server waits for.
        try await blocking { scraper.closeOutput() }
        await stop
        #expect(throws: Fault.self) { try RawClient(port: port, host: 76) }
    }

    // A loopback address of its own: nobody else is given the port that is free again.
    @Test func `Stopping does not wait for ever`() async throws {
        var limits = AdminLimits.patient
        limits.drainTimeout = .milliseconds(50)
        limits.lingerTimeout = .hours(1)
        let server = makeServer(limits: limits)
        let port = try #require(try await server.start(host: "127.0.0.77", port: 0).port)
        let silent = try RawClient(port: port, host: 77)
        let reply = try await blocking { try silent.get("/healthz", fields: "Connection: close\r\n") }
        #expect(reply.body == "ok")
        await server.stop()
        #expect(throws: Fault.self) { try RawClient(port: port, host: 77) }
        withExtendedLifetime(silent) {}
    }
}

/// Whether a new connection is served in the end: a server hears of the ends of others in its own time.
private func isServedAtLast(_ port: Int, host: UInt32 = 1) -> Bool {
    for _ in 0..<100_000 {
        do {
            if try RawClient(port: port, host: host).get("/healthz").status == 200 { return true }
        } catch {
            continue  // Refused, or closed without a word.
        }
    }
    return false
}
