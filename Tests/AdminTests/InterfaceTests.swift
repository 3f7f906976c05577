// What the addresses answer, over a socket, of a core whose clock the test turns.

import Coordination
import Foundation
import Testing

@testable import Admin

@Suite struct InterfaceTests {
    /// What a client makes of an answer.
    private func object(_ port: Int, _ path: String, status: Int = 200) throws -> [String: Any] {
        let reply = try RawClient(port: port).get("/api/v1/" + path)
        #expect(reply.status == status && reply.fields["content-type"] == "application/json", "\(reply)")
        return try #require(try JSONSerialization.jsonObject(with: Data(reply.body.utf8)) as? [String: Any])
    }

    @Test func `An agent is told with what it holds, on the daemon's clock`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna", tools: ["browser"])
        let lease = try #require(core.acquire("report/7", anna))
        core.perform(.campaign(GroupName("planners"), anna))
        core.pass(.seconds(2))
        try await withServer(core: core) { port in
            let body = try object(port, "agents/\(anna)")
            #expect(body["clock_ms"] as? Int == 3_000)
            let agent = try #require(body["agent"] as? [String: Any])
            #expect(agent["name"] as? String == "anna" && agent["status"] as? String == "alive")
            #expect(agent["heard_clock_ms"] as? Int == 1_000 && agent["status_changes_clock_ms"] as? Int == 31_500)
            #expect(agent["registered_at"] as? String == "2026-01-01T12:00:01.000Z")
            #expect(agent["leases"] as? Int == 1 && agent["candidacies"] as? Int == 1)
            let held = try #require(body["held"] as? [[String: Any]])
            #expect(held.map { $0["task_id"] as? String } == ["report/7"])
            #expect(held[0]["token"] as? UInt64 == lease.token.value && held[0]["expires_clock_ms"] as? Int == 61_000)
            let stands = try #require(body["candidate_in"] as? [[String: Any]])
            #expect(stands.map { $0["leader_name"] as? String } == ["anna"])
            let one = try object(port, "leases/report%2F7")
            #expect((one["lease"] as? [String: Any])?["holder_name"] as? String == "anna")
        }
    }

    @Test func `A list is read page by page, each thing once, in the order of age`() async throws {
        let core = TestCore()
        let names = (1...25).map { "agent-\($0)" }
        for (index, name) in names.enumerated() {
            core.register(UInt64(index), name, tools: index % 5 == 0 ? ["x"] : [])
        }
        try await withServer(core: core) { port in
            var found: [String] = []
            var next: String? = ""
            while let page = next {
                let body = try object(port, "agents?limit=10&page=\(page)")
                #expect(body["total"] as? Int == 25)
                found += try #require(body["items"] as? [[String: Any]]).compactMap { $0["name"] as? String }
                next = body["next"] as? String
            }
            #expect(found == names)
            let some = try #require(try object(port, "agents?tool=x")["items"] as? [[String: Any]])
            #expect(some.compactMap { $0["name"] as? String } == (0..<5).map { "agent-\($0 * 5 + 1)" })
        }
    }

    @Test func `One among many is found on the first page`() async throws {
        let core = TestCore()
        try await withServer(core: core) { port in
            for number in 1...25_000 { core.register(UInt64(number), "agent-\(number)") }
            let items = try object(port, "agents?name_prefix=agent-25000")["items"] as? [[String: Any]]
            #expect(items?.compactMap { $0["name"] as? String } == ["agent-25000"])
        }
    }

    @Test func `Large cards make short pages, and nothing is left out`() async throws {
        let core = TestCore()
        for number in 1...200 {
            let card = AgentCard(name: "agent-\(number)", description: String(repeating: "d", count: 60_000))
            core.perform(.register(.init(newID: AgentID(high: 0, low: UInt64(number)), card: card, ttlSeconds: 30)))
        }
        let names = (1...200).map { "agent-\($0)" }
        try await withServer(core: core) { port in
            var found: [String] = []
            var next: String? = ""
            var pages = 0
            while let page = next {
                let body = try object(port, "agents?limit=1000&page=\(page)")
                found += try #require(body["items"] as? [[String: Any]]).compactMap { $0["name"] as? String }
                next = body["next"] as? String
                pages += 1
            }
            #expect(found == names && pages == 3)
            for start in ["after=0", "before=1000"] {
                var sequences: [Int] = []
                var query: String? = start
                while let address = query {
                    let body = try object(port, "events?limit=1000&\(address)")
                    let items = try #require(body["items"] as? [[String: Any]]).compactMap { $0["sequence"] as? Int }
                    sequences = start == "after=0" ? sequences + items : items + sequences
                    query =
                        start == "after=0"
                        ? (body["newer"] as? Int).flatMap { $0 < 200 ? "after=\($0)" : nil }
                        : (body["older"] as? Int).map { "before=\($0)" }
                }
                #expect(sequences == Array(1...200), "\(start)")
            }
            let stream = try StreamClient(port: port, "/events?after=0")
            for number in 0...200 {
                let event = try stream.next()
                #expect(number == 0 || event.id == "abc-\(number)")
            }
        }
    }

    @Test func `Long policies make short pages, and none is left out`() async throws {
        let core = TestCore()
        let long = String(repeating: "\u{1}", count: 1_000)
        // Each is written as 24 kB of JSON.
        let ids = (100..<400).map { "\($0)" + long }
        for id in ids {
            let policy = Policy(id: PolicyID(id), subject: long, action: long, resource: long, effect: .allow)
            core.perform(.setPolicy(policy))
        }
        try await withServer(core: core) { port in
            var found: [String] = []
            var next: String? = ""
            var pages = 0
            while let page = next {
                let encoded = page.replacing("\u{1}", with: "%01")
                let reply = try RawClient(port: port).get("/api/v1/policies?limit=1000&page=\(encoded)")
                #expect(reply.body.utf8.count < AdminLimits.maxPageBytes + 1_000)
                let body = try #require(
                    try JSONSerialization.jsonObject(with: Data(reply.body.utf8)) as? [String: Any])
                found += try #require(body["items"] as? [[String: Any]]).compactMap { $0["id"] as? String }
                next = body["next"] as? String
                pages += 1
            }
            #expect(found == ids && pages == 2)
        }
    }

    @Test func `Search ranks as Find does`() async throws {
        let core = TestCore()
        core.register(1, "painter")
        core.register(2, "reader of reports")
        try await withServer(core: core) { port in
            let body = try object(port, "agents?query=report")
            let names = try #require(body["items"] as? [[String: Any]]).compactMap { $0["name"] as? String }
            let wanted = core.coordinator.read(at: core.now) { $0.find(query: "report", tools: [], limit: 0) }.result
            #expect(names == wanted.map(\.card.name) && names.first == "reader of reports")
            #expect(body["next"] is NSNull)
        }
    }

    @Test func `Who waits, who stands and who could are told in their order`() async throws {
        let core = TestCore()
        let (anna, ben, cleo) = (
            core.register(1, "anna"), core.register(2, "ben"), core.register(3, "cleo", tools: ["x"])
        )
        _ = core.acquire("t", anna)
        for agent in [cleo, ben] { _ = core.acquire("t", agent, wait: 10_000) }
        for agent in [ben, cleo, anna] { core.perform(.campaign(GroupName("g"), agent)) }
        core.perform(.createTask(.init(newID: TaskID("job"), type: "sum", input: [1, 2], requiredTools: ["x"])))
        try await withServer(core: core) { port in
            let waiting = try object(port, "leases/t")["waiting"] as? [[String: Any]]
            #expect(waiting?.compactMap { $0["name"] as? String } == ["cleo", "ben"])
            let candidates = try object(port, "elections/g")["candidates"] as? [[String: Any]]
            #expect(candidates?.compactMap { $0["name"] as? String } == ["ben", "cleo", "anna"])
            let job = try object(port, "tasks/job")
            #expect(job["capable_agents"] as? Int == 1 && job["claim"] is NSNull)
            #expect((job["task"] as? [String: Any])?["input_bytes"] as? Int == 2)
        }
    }

    @Test func `A check names the policy that decides`() async throws {
        let core = TestCore()
        let policy = Policy(id: PolicyID("p"), subject: "agent:*", action: "call", resource: "*", effect: .deny)
        core.perform(.setPolicy(policy))
        try await withServer(core: core) { port in
            let body = try object(port, "check?subject=agent:a&action=call&resource=tool:x")
            #expect(body["allowed"] as? Bool == false && body["reason"] as? String == "denied by policy \"p\"")
            #expect((body["policy"] as? [String: Any])?["id"] as? String == "p")
            let other = try object(port, "check?subject=a&action=b&resource=c")
            #expect(other["reason"] as? String == "no matching policy (default deny)" && other["policy"] is NSNull)
        }
    }

    @Test(arguments: [
        ("agents/00000000000000000000000000000009", "agent"), ("leases/x", "lease"), ("elections/x", "group"),
        ("tasks/x", "task"), ("policies/x", "policy"),
    ])
    func `What does not exist is named`(path: String, word: String) async throws {
        try await withServer { port in
            let error = try #require(try object(port, path, status: 404)["error"] as? [String: Any])
            #expect(error["code"] as? String == "not_found")
            #expect((error["message"] as? String)?.contains(word) == true)
        }
    }

    @Test func `Events are read upwards, downwards, and filtered, without a gap`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna")
        for round in 1...120 {
            let lease = try #require(core.acquire("t\(round % 3)", anna))
            core.perform(.releaseLease(.init(task: lease.task, agent: anna, token: lease.token)))
        }
        try await withServer(core: core) { port in
            func read(_ query: String) throws -> (sequences: [Int], body: [String: Any]) {
                let body = try object(port, "events?" + query)
                let items = try #require(body["items"] as? [[String: Any]])
                return (items.compactMap { $0["sequence"] as? Int }, body)
            }
            var (down, body) = try read("limit=50")
            #expect(down == Array(192...241))
            while let older = body["older"] as? Int {
                let page = try read("limit=50&before=\(older)")
                down = page.sequences + down
                body = page.body
            }
            #expect(down == Array(1...241))
            var up: [Int] = []
            var cursor = 0
            repeat {
                let page = try read("limit=100&after=\(cursor)")
                up += page.sequences
                cursor = try #require(page.body["newer"] as? Int)
            } while cursor < 241
            #expect(up == down)
            let some = try read("task=t1&topic=lease.released&limit=1000")
            #expect(some.sequences.count == 40 && some.body["older"] is NSNull)
            #expect(
                (try read("agent=\(anna)&topic=agent.&limit=3").body["items"] as? [[String: Any]])?.first?["agent_name"]
                    as? String == "anna")
        }
    }

    @Test func `Filtered events further back than one answer looks are reached with its cursor`() async throws {
        var limits = Limits()
        limits.maxEvents = 100_000
        let core = TestCore(limits: limits)
        let anna = core.register(1, "anna")
        let lease = try #require(core.acquire("t", anna))
        try await withServer(core: core) { port in
            for _ in 1...45_000 {
                core.perform(.renewLease(.init(task: lease.task, agent: anna, token: lease.token), ttlSeconds: 0))
            }
            var before = ""
            var looks = 0
            while true {
                let body = try object(port, "events?topic=agent.registered\(before)")
                looks += 1
                if let item = (body["items"] as? [[String: Any]])?.first {
                    #expect(item["sequence"] as? Int == 1 && body["older"] is NSNull)
                    break
                }
                before = "&before=\(try #require(body["older"] as? Int))"
            }
            #expect(looks == 3)
        }
    }

    @Test func `Events are read without a gap while the history moves on beneath`() async throws {
        var limits = Limits()
        limits.maxEvents = 5_000
        let core = TestCore(limits: limits)
        let anna = core.register(1, "anna")
        let happen = { @Sendable (count: Int) in
            for _ in 0..<count {
                guard let lease = core.acquire("t", anna) else { return }
                core.perform(.releaseLease(.init(task: TaskID("t"), agent: anna, token: lease.token)))
            }
        }
        happen(3_000)
        // Between any two looks.
        let sources = AdminSources(
            coordinator: core.coordinator,
            now: {
                happen(50)
                return core.now
            },
            daemon: core.sources().daemon, isReady: { true }, rpcAddress: { "" })
        let reader = StateReader(sources: sources, recent: Recent())
        for (query, isRare) in [
            ("events?topic=policy.", true), ("events?after=1&topic=policy.", true),
            ("events?before=99999&topic=policy.", true),
            ("events?after=1&limit=1000", false), ("events?limit=1000", false),
            ("events?after=1&topic=lease.released&limit=1000", false),
        ] {
            let target = Target("/" + query)
            let reading = await reader.read(
                try Resource(segments: target.segments(), parameters: target.parameters()))
            #expect(reading.status == .ok, "\(query): \(reading.text)")
            let body = try #require(try JSONSerialization.jsonObject(with: Data(reading.text.utf8)) as? [String: Any])
            let sequences = try #require(body["items"] as? [[String: Any]]).compactMap { $0["sequence"] as? Int }
            #expect(sequences.isEmpty == isRare, "\(query)")
            let step = query.contains("released") ? 2 : 1
            #expect(zip(sequences, sequences.dropFirst()).allSatisfy { $1 == $0 + step }, "\(query)")
        }
    }

    @Test func `A task that failed for good is named, however long ago its events were forgotten`() async throws {
        var limits = Limits()
        limits.maxEvents = 3
        let core = TestCore(limits: limits)
        let anna = core.register(1, "anna")
        core.perform(.createTask(.init(newID: TaskID("buried"), type: "sum")))
        core.perform(.claimTask(anna))
        core.perform(.failTask(.init(task: TaskID("buried"), agent: anna), reason: "no luck"))
        for number in 1...9 { _ = core.acquire("t-\(number)", anna, ttl: 1_000) }
        try await withServer(core: core) { port in
            let kept = try #require(try object(port, "events?topic=task.")["items"] as? [[String: Any]])
            #expect(kept.isEmpty)
            let found = try #require(try object(port, "overview")["attention"] as? [[String: Any]])
            #expect(found.map { $0["kind"] as? String } == ["tasks_dead"] && found.first?["count"] as? Int == 1)
            let items = try #require(found.first?["items"] as? [[String: Any]])
            #expect(items.map { $0["task_id"] as? String } == ["buried"])
            #expect(items.first?["claimer_name"] as? String == "anna")
        }
    }

    @Test func `The series of leases counts what the number beside it counts`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna")
        for number in 1...7 {
            core.perform(.createTask(.init(newID: TaskID("t-\(number)"), type: "sum")))
            core.perform(.claimTask(anna))
        }
        _ = core.acquire("report-7", anna)
        let sources = core.sources()
        let recent = Recent()
        let counts = core.coordinator.read(at: core.now) { $0.counts }.result
        recent.take(Load(), counts, last: Sequence.zero, at: core.now.instant)
        let text = await StateReader(sources: sources, recent: recent).read(.overview).text
        let body = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let told = try #require(body["counts"] as? [String: Any])
        #expect(told["leases"] as? Int == 1 && told["claims"] as? Int == 7)
        #expect((body["history"] as? [String: Any])?["leases"] as? [Int] == [1])
    }

    @Test func `What needs attention is named, and only that`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna", tools: ["x"], ttl: 1_000)
        let create = { @Sendable (id: String, tools: [String], retries: UInt32) in
            _ = core.perform(
                .createTask(.init(newID: TaskID(id), type: "sum", requiredTools: tools, maxRetries: retries)))
        }
        let kinds = { @Sendable (port: Int) in
            try #require(try object(port, "overview")["attention"] as? [[String: Any]])
        }
        try await withServer(core: core) { port in
            let before = try kinds(port)
            #expect(before.isEmpty)
            core.register(2, "ben", ttl: 1)
            create("bouncing", ["x"], 9)
            for _ in 1...3 {
                core.perform(.claimTask(anna))
                core.perform(.failTask(.init(task: TaskID("bouncing"), agent: anna), reason: "no luck"))
            }
            create("buried", ["x"], 0)
            core.perform(.claimTask(anna))
            core.perform(.claimTask(anna))
            core.perform(.failTask(.init(task: TaskID("buried"), agent: anna), reason: "no luck"))
            create("lonely", ["telescope"], 0)
            _ = core.acquire("late", anna, ttl: 10)
            _ = core.acquire("early", anna, ttl: 1_000)
            // Ben is silent for longer than his ttl, and not yet dead.
            core.pass(.milliseconds(2_200))
            core.perform(.advance)
            core.pass(.milliseconds(7_000))
            core.register(3, "cleo", ttl: 2)
            core.pass(.milliseconds(100))
            let found = try kinds(port)
            let counts = Dictionary(uniqueKeysWithValues: found.map { ($0["kind"] as! String, $0["count"] as! Int) })
            #expect(counts == ["leases_expiring": 1, "tasks_returning": 1, "tasks_without_agent": 1, "tasks_dead": 1])
            let items = Dictionary(
                uniqueKeysWithValues: found.map { ($0["kind"] as! String, $0["items"] as! [[String: Any]]) })
            #expect(items["leases_expiring"]?.first?["task_id"] as? String == "late")
            #expect(items["tasks_returning"]?.first?["returns"] as? Int == 3)
            #expect(items["tasks_without_agent"]?.first?["task_id"] as? String == "lonely")
            #expect(items["tasks_dead"]?.first?["task_id"] as? String == "buried")
            core.pass(.milliseconds(2_900))
            let later = try kinds(port).map { $0["kind"] as! String }
            #expect(later.contains("agents_unreachable"), "\(later)")
        }
    }
}
