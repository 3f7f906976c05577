import Admin
import Testing

@Suite struct ConnectionTests {
    @Test func `A connection serves one request after another`() async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            for _ in 0..<50 {
                let reply = try client.get("/healthz")
                #expect(reply.status == 200 && reply.fields["connection"] == "keep-alive")
            }
        }
    }

    @Test func `Pipelined requests are answered in their order, quick and slow ones`() async throws {
        try await withServer(sources: [{ $0.gauge("one", "One.", 1) }]) { port in
            let client = try RawClient(port: port)
            let paths = ["/metrics", "/healthz", "/nothing", "/metrics", "/readyz"]
            try client.send(paths.map { "GET \($0) HTTP/1.1\r\nHost: here\r\n\r\n" }.joined())
            let replies = try paths.map { _ in try client.reply() }
            #expect(replies.map(\.status) == [200, 200, 404, 200, 200])
            #expect(replies[1].body == "ok" && replies[3].body.contains("one 1") && replies[4].body == "ready")
        }
    }

    @Test func `Pipelining beyond the bound ends the connection after what was taken`() async throws {
        var limits = AdminLimits.patient
        limits.maxPipelinedRequests = 4
        try await withServer(limits: limits, sources: [{ $0.gauge("one", "One.", 1) }]) { port in
            let client = try RawClient(port: port)
            try client.send(String(repeating: "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n", count: 20))
            for _ in 1...4 { #expect(try client.reply().fields["connection"] == "keep-alive") }
            #expect(try client.reply().fields["connection"] == "close")
            #expect(try client.rest() == "")
        }
    }

    @Test func `A request may come byte by byte`() async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            let post = "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhello"
            for byte in post.utf8 { try client.send([byte]) }
            #expect(try client.reply().status == 405)
            for byte in "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n".utf8 { try client.send([byte]) }
            #expect(try client.reply().body == "ok")
        }
    }

    @Test func `A client that wants to close is heeded`() async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            #expect(try client.get("/healthz", fields: "Connection: close\r\n").fields["connection"] == "close")
            #expect(try client.rest() == "")
        }
    }

    @Test(arguments: [("", "close"), ("Connection: keep-alive\r\n", "keep-alive")])
    func `HTTP 1.0 closes unless asked to stay`(field: String, connection: String) async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            try client.send("GET /healthz HTTP/1.0\r\n\(field)\r\n")
            let reply = try client.reply()
            #expect(reply.body == "ok" && reply.fields["connection"] == connection)
            if connection == "close" { #expect(try client.rest() == "") }
        }
    }

    @Test func `A client that has closed its side still gets its answers`() async throws {
        try await withServer(sources: [{ $0.gauge("one", "One.", 1) }]) { port in
            let client = try RawClient(port: port)
            try client.send("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\nGET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
            client.closeOutput()
            #expect(try client.reply().body.contains("one 1"))
            #expect(try client.reply().body == "ok")
            #expect(try client.rest() == "")
        }
    }

    @Test func `Small bodies are ignored, whole and in chunks`() async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            try client.send("GET /healthz HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhello")
            #expect(try client.reply().body == "ok")
            try client.send("GET /healthz HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
            try client.send("5\r\nhello\r\n0\r\nX: y\r\n\r\n")
            #expect(try client.reply().body == "ok")
            #expect(try client.get("/healthz").body == "ok")
        }
    }

    @Test func `An upgrade is not granted, and the request answered`() async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            let reply = try client.get("/healthz", fields: "Connection: Upgrade\r\nUpgrade: h2c\r\n")
            #expect(reply.body == "ok" && reply.fields["connection"] == "close")
            #expect(try client.rest() == "")
        }
    }

    @Test func `What follows the last answer is dropped, and does not destroy it`() async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            try client.send("GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            try client.send([UInt8](repeating: UInt8(ascii: "x"), count: 200_000))
            #expect(try client.reply().body == "ok")
            #expect(try client.rest() == "")
        }
    }

    /// What is sent, and the status it deserves.
    static let malformed: [(String, Int)] = [
        ("hello\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", 400),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        ("GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET /\(String(repeating: "a", count: 20_000)) HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 20_000))\r\n\r\n", 431),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\(String(repeating: "X: y\r\n", count: 101))\r\n", 431),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 413),
        (
            "POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + String(repeating: "1000\r\n\(String(repeating: "a", count: 4_096))\r\n", count: 17), 413
        ),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", 417),
    ]

    @Test(arguments: malformed)
    func `Malformed and huge requests are told so, and end the connection`(bytes: String, status: Int) async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            try client.send(bytes)
            let reply = try client.reply()
            #expect(reply.status == status && reply.fields["connection"] == "close")
            #expect(try client.rest() == "")
            #expect(try RawClient(port: port).get("/healthz").body == "ok")
        }
    }

    @Test func `A malformed request behind good ones is answered in its turn`() async throws {
        try await withServer(sources: [{ $0.gauge("one", "One.", 1) }]) { port in
            let client = try RawClient(port: port)
            try client.send("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n???\r\n\r\n")
            #expect(try client.reply().body.contains("one 1"))
            #expect(try client.reply().status == 400)
            #expect(try client.rest() == "")
        }
    }

    @Test func `Random bytes never take the server down`() async throws {
        try await withServer { port in
            var random = SplitMix(state: 1)
            let start = "GET / HTTP/1.1\r\n"
            let starts = ["", start, start + "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"]
            for round in 0..<200 {
                let client = try RawClient(port: port)
                let count = Int.random(in: 1...300, using: &random)
                let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                try client.send(Array(starts[round % starts.count].utf8) + noise)
                client.closeOutput()
                let answer = try client.rest()
                #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 "))
            }
            #expect(try RawClient(port: port).get("/healthz").body == "ok")
        }
    }
}
