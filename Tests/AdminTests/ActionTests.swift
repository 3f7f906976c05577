import Coordination
import NIOHTTP1
import Testing

@testable import Admin

@Suite struct ActionTests {
    private static let token = "0123456789abcdef0123456789abcdef"

    private func post(
        _ client: RawClient, _ action: String, _ body: String, origin: String? = "http://localhost",
        token: String? = token, type: String = "application/json", more: String = ""
    ) throws -> Reply {
        var fields = "Content-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n\(more)"
        if let origin { fields += "Origin: \(origin)\r\n" }
        if let token { fields += "X-AgentKeeper-Token: \(token)\r\n" }
        try client.send("POST /api/v1/actions/\(action) HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n\(body)")
        return try client.reply()
    }

    @Test func `An operator ends what others hold, and each is an event that says so`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna")
        let lease = try #require(core.acquire("t", anna))
        core.perform(.createTask(.init(newID: TaskID("job"), type: "sum")))
        core.perform(.claimTask(anna))
        let policy = Policy(id: PolicyID("p"), subject: "a", action: "b", resource: "c", effect: .allow)
        core.perform(.setPolicy(policy))
        try await withServer(core: core, actionToken: Self.token) { port in
            let client = try RawClient(port: port)
            #expect(try client.get("/api/v1/session").body == "{\"actions\":true,\"token\":\"\(Self.token)\"}\n")
            let first = core.coordinator.read(at: core.now) { $0.lastSequence }.result
            let actions = [
                ("release-lease", "{\"task_id\": \"t\", \"token\": \(lease.token.value)}"),
                ("requeue-task", "{\"task_id\": \"job\"}"),
                ("delete-policy", "{\"id\": \"p\"}"),
                ("deregister-agent", "{\"agent_id\": \"\(anna)\"}"),
            ]
            for (index, (action, body)) in actions.enumerated() {
                let trace = "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
                let reply = try post(client, action, body, more: trace)
                #expect(reply.status == 200, "\(reply.body)")
                #expect(reply.body == "{\"done\":true,\"sequence\":\(first.value + UInt64(index) + 1)}\n")
            }
            let events = try core.coordinator.events(
                after: first, matching: EventFilter(), limit: 100, scanning: 100, at: core.now
            ).events
            #expect(events.map(\.topic) == [.leaseExpired, .taskRequeued, .policyDeleted, .agentDied])
            #expect(events.allSatisfy { $0.reason == .forced })
            #expect(events.allSatisfy { $0.origin?.peer?.hasPrefix("127.0.0.1:") == true })
            #expect(events.allSatisfy { $0.trace?.traceID == "4bf92f3577b34da6a3ce929d0e0e4736" })
        }
    }

    @Test func `A trace that is given twice is none`() {
        let one = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        func trace(_ values: [String]) -> TraceContext? {
            ActionCredentials(HTTPHeaders(values.map { ("traceparent", $0) }), peer: nil).trace
        }
        #expect(trace([one]) == TraceContext(one) && trace([one]) != nil)
        #expect(trace([one, other]) == nil && trace([one, one]) == nil && trace([]) == nil)
    }

    @Test func `Without the operator's leave nothing can be done`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna")
        try await withServer(core: core) { port in
            let client = try RawClient(port: port)
            #expect(try client.get("/api/v1/session").body == "{\"actions\":false,\"token\":null}\n")
            let reply = try post(client, "deregister-agent", "{\"agent_id\": \"\(anna)\"}")
            #expect(reply.status == 403 && reply.body.contains("--dashboard-actions"))
            #expect(core.coordinator.read(at: core.now) { $0.agent(anna)?.status }.result == .alive)
        }
    }

    @Test func `Nobody but the page itself is let in`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna")
        let body = "{\"agent_id\": \"\(anna)\"}"
        try await withServer(core: core, actionToken: Self.token) { port in
            let client = try RawClient(port: port)
            let refused = [
                try post(client, "deregister-agent", body, origin: nil),
                try post(client, "deregister-agent", body, origin: "http://evil.example"),
                try post(client, "deregister-agent", body, origin: "http://localhost:1"),
                try post(client, "deregister-agent", body, origin: "https://localhost"),
                try post(client, "deregister-agent", body, origin: "null"),
                try post(client, "deregister-agent", body, more: "Sec-Fetch-Site: cross-site\r\n"),
                try post(client, "deregister-agent", body, token: nil),
                try post(client, "deregister-agent", body, token: ""),
                try post(client, "deregister-agent", body, token: Self.token.uppercased()),
            ]
            #expect(refused.map(\.status) == Array(repeating: 403, count: refused.count))
            #expect(try post(client, "deregister-agent", body, type: "text/plain").status == 400)
            let get = try client.get("/api/v1/actions/deregister-agent")
            #expect(get.status == 405 && get.fields["allow"] == "POST")
            #expect(core.coordinator.read(at: core.now) { $0.agent(anna)?.status }.result == .alive)
        }
    }

    @Test func `A client that waits to be asked for the body of an action is asked for it`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna")
        let body = "{\"agent_id\": \"\(anna)\"}"
        try await withServer(core: core, actionToken: Self.token) { port in
            let client = try RawClient(port: port)
            func head(_ length: Int, _ expectation: String) -> String {
                "POST /api/v1/actions/deregister-agent HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
                    + "X-AgentKeeper-Token: \(Self.token)\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(length)\r\nExpect: \(expectation)\r\n\r\n"
            }
            try client.send(head(body.utf8.count, "100-Continue"))
            #expect(try client.head() == "HTTP/1.1 100 Continue\r\n\r\n")
            try client.send(body)
            #expect(try client.reply().status == 200)
            // One that is too large is not asked for.
            try client.send(head(9_000, "100-continue"))
            #expect(try client.reply().status == 413)
            let other = try RawClient(port: port)
            try other.send(head(body.utf8.count, "200-ok"))
            #expect(try other.reply().status == 417)
        }
    }

    static let mistakes: [(String, String, Int, String)] = [
        ("release-lease", "", 400, "task_id (a text) and token (a number)"),
        ("release-lease", "[]", 400, "task_id (a text) and token (a number)"),
        ("release-lease", "{\"task_id\": \"t\"}", 400, "task_id (a text) and token (a number)"),
        ("release-lease", "{\"task_id\": \"t\", \"token\": -1}", 400, "found"),
        ("release-lease", "{\"task_id\": \"t\", \"token\": 99}", 409, "token"),
        ("release-lease", "{\"task_id\": \"other\", \"token\": 1}", 404, "nobody holds a lease"),
        ("deregister-agent", "{\"agent_id\": \"anna\"}", 400, "32 lowercase hex digits"),
        ("deregister-agent", "{\"agent_id\": \"00000000000000000000000000000009\"}", 404, "agent"),
        ("requeue-task", "{\"task_id\": \"job\"}", 409, "PENDING"),
        ("requeue-task", "{\"task_id\": \"none\"}", 404, "task"),
        ("delete-policy", "{\"id\": \"none\"}", 404, "policy"),
        ("explode", "{}", 404, "GET /api/v1"),
        ("delete-policy", "{\"id\": \"\(String(repeating: "a", count: 9_000))\"}", 413, "too large"),
    ]

    @Test(arguments: mistakes)
    func `An action that can't be is told why`(
        action: String, body: String, status: Int, message: String
    ) async throws {
        let core = TestCore()
        let anna = core.register(1, "anna")
        _ = core.acquire("t", anna)
        core.perform(.createTask(.init(newID: TaskID("job"), type: "sum")))
        try await withServer(core: core, actionToken: Self.token) { port in
            let reply = try post(try RawClient(port: port), action, body)
            #expect(reply.status == status && reply.body.contains(message), "\(reply.status) \(reply.body)")
        }
    }
}
