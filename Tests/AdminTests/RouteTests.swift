import Foundation
import Testing

@testable import Admin

@Suite struct RouteTests {
    @Test func `Health says ok, and nothing more`() async throws {
        try await withServer { port in
            let reply = try RawClient(port: port).get("/healthz")
            #expect(reply.status == 200 && reply.body == "ok")
            #expect(reply.fields["content-type"] == "text/plain; charset=utf-8")
        }
    }

    @Test(arguments: [(true, 200, "ready"), (false, 503, "not ready")])
    func `Readiness says what it is told`(isReady: Bool, status: Int, body: String) async throws {
        try await withServer(isReady: { isReady }) { port in
            let reply = try RawClient(port: port).get("/readyz")
            #expect(reply.status == status && reply.body == body)
        }
    }

    @Test func `Metrics are written by each source in turn, anew at each scrape`() async throws {
        let scrapes = Counter()
        let sources: [MetricsSource] = [
            { $0.gauge("first", "First.", scrapes.next()) },
            { $0.gauge("second", "Second.", 7) },
        ]
        try await withServer(sources: sources) { port in
            let client = try RawClient(port: port)
            for scrape in 1...2 {
                let reply = try client.get("/metrics")
                #expect(reply.status == 200)
                #expect(reply.fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
                #expect(
                    reply.body == """
                        # HELP first First.
                        # TYPE first gauge
                        first \(scrape)
                        # HELP second Second.
                        # TYPE second gauge
                        second 7

                        """)
            }
        }
    }

    @Test func `Many scrapes at once are each answered in full`() async throws {
        let source: MetricsSource = { writer in
            writer.family("rows", .gauge, "Rows.", labels: ["row"]) { rows in
                for row in 0..<2_000 { rows.add(["\(row)"], row) }
            }
        }
        try await withServer(sources: [source]) { port in
            let clients = try (0..<20).map { _ in try RawClient(port: port) }
            for client in clients { try client.send("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n") }
            for client in clients { #expect(try client.reply().body.hasSuffix("rows{row=\"1999\"} 1999\n")) }
        }
    }

    @Test(arguments: ["/", "/agents", "/leases/a%2Fb", "/log", "/policies/x?tab=1"])
    func `Each view of the page has an address of its own`(path: String) async throws {
        try await withServer { port in
            let reply = try RawClient(port: port).get(path)
            #expect(reply.status == 200 && reply.fields["content-type"] == "text/html; charset=utf-8")
            #expect(reply.body.contains("<title>AgentKeeper</title>"))
        }
    }

    @Test func `A browser that is lost sees the page, and a program a line`() async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            let page = try client.get("/nowhere", fields: "Accept: text/html,*/*\r\n")
            #expect(page.status == 404 && page.body.contains("<title>AgentKeeper</title>"))
            #expect(try client.get("/nowhere", fields: "Accept: */*\r\n").body.hasPrefix("Nothing is here."))
        }
    }

    @Test func `The page may load what is here, and nothing from elsewhere`() async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            let page = try client.get("/")
            #expect(page.fields["content-security-policy"]?.hasPrefix("default-src 'none'; script-src 'self';") == true)
            #expect(!page.body.contains("//"))
            for name in Asset.all.keys { #expect(try client.get("/dashboard/\(name)").status == 200) }
        }
    }

    @Test func `A file that the browser has already is not sent again`() async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            let tag = try #require(try client.get("/").fields["etag"])
            let known = [
                tag, "W/" + tag, "\"other\", \(tag)", "\"other\" ,W/\(tag),\"third\"", "*",
                "\"other\"\r\nIf-None-Match: \(tag)",
            ]
            for tags in known {
                let again = try client.get("/", fields: "If-None-Match: \(tags)\r\n")
                #expect(again.status == 304 && again.body.isEmpty && again.fields["etag"] == tag, "\(tags)")
                #expect(again.fields["content-type"] == nil && again.fields["content-length"] == nil)
            }
            for tags in ["\"other\"", "W/\"other\"", ""] {
                #expect(try client.get("/", fields: "If-None-Match: \(tags)\r\n").status == 200, "\(tags)")
            }
        }
    }

    @Test func `Every file of the dashboard is compiled in as it is`() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../dashboard")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false))
        #expect(Set(names) == Set(Asset.all.keys))
        for name in names {
            let bytes = try Data(contentsOf: folder.appending(path: name))
            #expect(Asset.all[name].map { Data($0.body.readableBytesView) } == bytes, "\(name)")
        }
    }

    @Test(arguments: ["/", "/api/v1/status", "/events", "/dashboard/icon.svg"])
    func `A host name that is not this machine's is turned away`(path: String) async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            let strangers = [
                "evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example",
                "[evil.example]", "[", "[]", "[::1", "[::1]evil.example", "[::1]@evil.example", "[127.0.0.1]", "::1",
                "localhost:80@evil.example", "localhost:x", "evil@a.localhost", "127.0.0.1:80:80", "127.1",
            ]
            for host in strangers {
                #expect(try client.get(path, method: "HEAD", host: host).status == 421, "\(host)")
            }
            let own = ["localhost", "LOCALHOST:9090", "a.localhost", "127.0.0.1:1", "[::1]:9090", "[::1]", "10.0.0.1"]
            for host in own {
                #expect(try client.get(path, method: "HEAD", host: host).status == 200, "\(host)")
            }
        }
    }

    @Test(arguments: ["/healthz", "/readyz", "/metrics"])
    func `A scraper may call this machine as it likes`(path: String) async throws {
        try await withServer { port in
            let reply = try RawClient(port: port).get(path, host: "keeper.example")
            #expect(reply.status == 200)
        }
    }

    @Test(arguments: ["/", "/healthz", "/metrics", "/nothing"])
    func `Every answer carries the fields that keep it safe`(path: String) async throws {
        try await withServer { port in
            let fields = try RawClient(port: port).get(path).fields
            #expect(fields["x-content-type-options"] == "nosniff")
            #expect(fields["cache-control"] == (path == "/" ? "no-cache" : "no-store"))
            #expect(fields["referrer-policy"] == "no-referrer")
            #expect(fields["date"]?.wholeMatch(of: /\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/) != nil)
        }
    }

    @Test(arguments: ["/", "/healthz", "/readyz", "/metrics", "/nothing"])
    func `HEAD is answered as GET is, without the body`(path: String) async throws {
        try await withServer(sources: [{ $0.gauge("one", "One.", 1) }]) { port in
            let client = try RawClient(port: port)
            let head = try client.get(path, method: "HEAD")
            let get = try client.get(path)
            #expect(head.status == get.status && head.body.isEmpty && !get.body.isEmpty)
            #expect(head.fields["content-length"] == String(get.body.utf8.count))
            #expect(head.fields["content-type"] == get.fields["content-type"])
        }
    }

    @Test func `An unknown path is told where to go`() async throws {
        try await withServer { port in
            let reply = try RawClient(port: port).get("/nothing")
            #expect(reply.status == 404)
            for path in ["/healthz", "/readyz", "/metrics"] { #expect(reply.body.contains(path)) }
        }
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
    func `Other methods are told which are allowed`(method: String) async throws {
        try await withServer { port in
            let client = try RawClient(port: port)
            let reply = try client.get("/metrics", method: method)
            #expect(reply.status == 405 && reply.fields["allow"] == "GET, HEAD")
            #expect(try client.get("/healthz").body == "ok")
        }
    }

    @Test(arguments: ["/healthz?verbose=1", "http://here/healthz", "HTTP://here:9090/healthz?x"])
    func `The path is found in every form of target`(target: String) async throws {
        try await withServer { port in
            let reply = try RawClient(port: port).get(target)
            #expect(reply.body == "ok")
        }
    }
}
