import Coordination
import Testing

@testable import Admin

@Suite struct TargetTests {
    private func resource(_ text: String) throws(Problem) -> Resource {
        let target = Target("/" + text)
        return try Resource(segments: try target.segments(), parameters: try target.parameters())
    }

    private static let page = Resource.Page(after: 0, limit: 100)
    private static let agent = AgentID(high: 0, low: 7)

    static let addresses: [(String, Resource)] = [
        ("", .index),
        ("status", .status),
        ("agents", .agents(AgentFilter(), page)),
        ("agents/", .agents(AgentFilter(), page)),
        (
            "agents?status=alive&status=dead&tool=a&tool=b&name_prefix=an%20na&limit=7&page=12",
            .agents(
                AgentFilter(statuses: [.alive, .dead], tools: ["a", "b"], namePrefix: "an na"),
                Resource.Page(after: 12, limit: 7))
        ),
        ("agents?status=&query=&limit=", .agents(AgentFilter(), page)),
        ("agents?query=read+reports", .search(query: "read reports", tools: [], limit: 100)),
        ("agents/\(agent)", .agent(agent)),
        ("leases?holder=\(agent)&kind=claim", .leases(LeaseFilter(holder: agent, claims: true), page)),
        ("leases/a%2Fb%00c", .lease(TaskID("a/b\u{0}c"))),
        ("leases/%C3%A4", .lease(TaskID("ä"))),
        ("tasks?status=dead&type=x", .tasks(TaskFilter(statuses: [.dead], type: "x"), .created, page)),
        (
            "tasks?order=finished&status=dead&status=completed",
            .tasks(TaskFilter(statuses: [.dead, .completed]), .finished, page)
        ),
        ("watchers?status=slow&page=3&limit=7", .watchers([.slow], Resource.Page(after: 3, limit: 7))),
        ("policies?page=b%26c", .policies(subjectPrefix: "", after: PolicyID("b&c"), limit: 100)),
        ("check?subject=a:b&action=*&resource=", .check(subject: "a:b", action: "*", resource: "")),
        (
            "events?before=10&topic=task.&exclude=task.renewed",
            .events(
                EventFilter(topics: ["task."], excludedTopics: ["task.renewed"]),
                Resource.EventPage(direction: .before(Sequence(10)), limit: 100))
        ),
    ]

    @Test(arguments: addresses)
    func `An address says what is wanted`(text: String, wanted: Resource) throws {
        #expect(try resource(text) == wanted)
    }

    static let mistakes: [(String, Int, String)] = [
        ("agents?stauts=alive", 400, "there is no parameter \"stauts\" here; there are tool, query, status,"),
        ("status?x=1", 400, "there is no parameter \"x\" here; there are none"),
        ("agents?status=gone", 400, "status must be one of alive, unreachable, dead, found \"gone\""),
        ("agents?limit=0", 400, "limit must be a whole number from 1 to 1000, found \"0\""),
        ("agents?limit=1001", 400, "found \"1001\""),
        ("agents?limit=5&limit=6", 400, "limit may be given once, found 2 times"),
        ("agents?page=-1", 400, "page must be a whole number from 0, found \"-1\""),
        ("agents?query=a&status=alive", 400, "query ranks the ALIVE agents on one page"),
        ("agents?" + String(repeating: "tool=a&", count: 65), 400, "tool may be given 64 times at the most"),
        ("agents/XY", 400, "the agent's id must be 32 lowercase hex digits, found \"XY\""),
        ("leases?holder=me", 400, "holder must be 32 lowercase hex digits, found \"me\""),
        ("leases?task_prefix=%ff", 400, "parameters must be UTF-8, percent-encoded"),
        ("leases/%2", 400, "the path must be UTF-8, percent-encoded"),
        ("events?after=1&before=2", 400, "after and before exclude each other"),
        ("agents/a/b", 404, "GET /api/v1 lists"),
        ("leases//", 404, "GET /api/v1 lists"),
        ("nothing", 404, "GET /api/v1 lists"),
    ]

    @Test(arguments: mistakes)
    func `A mistake in an address is named`(text: String, status: Int, message: String) {
        do {
            let found = try resource(text)
            Issue.record("\(text) is \(found)")
        } catch {
            #expect(Int(error.status.code) == status && error.text.contains(message), "\(error.text)")
        }
    }

    @Test(arguments: [
        "/api/v1/agents?tool=%ff", "/api/v1/leases/%2", "/api/v1/live?q=%ff", "/events?after=%zz",
        "/%61pi/v1/tasks?type=%", "/api/v1/agents?limit=0", "/api/%ff",
    ])
    func `A program that is mistaken is told so as a program reads it`(target: String) async throws {
        try await withServer { port in
            let reply = try RawClient(port: port).get(target)
            #expect(reply.status == 400 && reply.fields["content-type"] == "application/json")
            #expect(reply.body.hasPrefix(#"{"error":{"status":400,"code":"invalid_argument","message":""#))
        }
    }

    @Test func `The index names every list and every parameter`() throws {
        for (address, _, parameters) in Resource.addresses where !address.contains("/") {
            guard address != "live", address != "session" else { continue }
            for name in parameters {
                let value = ["holder", "candidate", "agent"].contains(name) ? "\(Self.agent)" : ""
                #expect(throws: Never.self, "\(address)?\(name)") { _ = try resource("\(address)?\(name)=\(value)") }
            }
            #expect(throws: Problem.self) { _ = try resource("\(address)?nonsense=1") }
        }
    }
}
