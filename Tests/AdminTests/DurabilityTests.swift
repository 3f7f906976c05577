import Coordination
import Testing

@testable import Admin

/// What would wait for ever fails by the time limit.
@Suite(.timeLimit(.minutes(15))) struct DurabilityTests {
    @Test func `A disk that hangs is told, and nobody is left waiting for it`() async throws {
        let core = try TestCore(journaling: ())
        core.register(1, "anna")
        var limits = AdminLimits.patient
        limits.durablePatience = .milliseconds(50)
        try await withServer(limits: limits, core: core, actionToken: "token") { port in
            let client = try RawClient(port: port)
            for path in ["status", "agents", "overview", "policies/x"] {
                let reply = try client.get("/api/v1/" + path)
                #expect(reply.status == 503 && reply.body.contains("The disk has taken nothing for 0.05 seconds"))
            }
            #expect(core.coordinator.durableLineLength == 0)
            let body = "{\"agent_id\": \"\(AgentID(high: 0, low: 1))\"}"
            try client.send(
                "POST /api/v1/actions/deregister-agent HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
                    + "X-AgentKeeper-Token: token\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            let done = try client.reply()
            #expect(done.status == 503 && done.body.contains("lasts if the disk answers again"))
            // What needs no word of the disk's is told.
            #expect(try client.get("/healthz").body == "ok")
            #expect(try client.get("/api/v1").status == 200)
            core.commit()
            #expect(try client.get("/api/v1/status").status == 200)
        }
    }

    @Test func `A live stream says that the disk hangs, and that it no longer does`() async throws {
        let core = try TestCore(journaling: ())
        core.register(1, "anna")
        var limits = AdminLimits.patient
        limits.durablePatience = .milliseconds(50)
        try await withServer(limits: limits, core: core) { port in
            let stream = try StreamClient(port: port, "/api/v1/live?q=agents&q=policies")
            for index in 0...1 { #expect(try stream.next().data.hasPrefix("{\"q\":\(index),\"status\":503,")) }
            core.commit()
            for (index, answer) in try stream.answers(to: 2).enumerated() {
                #expect(answer.hasPrefix("{\"q\":\(index),\"status\":200,"))
            }
        }
    }
}
