import Testing

@testable import Coordination

@Suite struct ListTests {
    @Test func `Agents are listed in the order of registration, with how long until they are lost`() {
        let scene = Scene()
        scene.register(b, a, ttl: 10)
        scene.turn(to: 4)
        scene.register(c, tools: ["browser"], ttl: 30)
        scene.say(.heartbeat(a))
        scene.wait(until: 11)
        let listed = scene.read { $0.agents(matching: AgentFilter(), after: 0, limit: 10, scanning: 10) }
        #expect(
            listed.found.map(\.value).map { agent in
                "\(agent.info.id.letter) \(agent.info.status) ttl \(seconds(agent.ttl)) "
                    + "silent \(seconds(agent.silence)) change in \(agent.untilChange.map(seconds) ?? "never")"
            } == [
                "b unreachable ttl 10s silent 11s change in 9.5s", "a alive ttl 10s silent 7s change in 3.5s",
                "c alive ttl 30s silent 7s change in 23.5s",
            ])
        #expect(listed.isLast)
        scene.say(.deregister(c))
        #expect(scene.read { $0.agentDetails(c)?.untilChange } == nil)
    }

    @Test func `Agents are filtered by status, by all of the tools, and by the beginning of the name`() {
        let scene = Scene()
        scene.register(a, tools: ["x", "y"])
        scene.register(b, tools: ["x"])
        scene.register(c)
        scene.say(.deregister(b))
        let table: [(AgentFilter, String)] = [
            (AgentFilter(), "abc"), (AgentFilter(statuses: [.alive]), "ac"),
            (AgentFilter(statuses: [.alive, .dead]), "abc"), (AgentFilter(statuses: [.unreachable]), ""),
            (AgentFilter(tools: ["x"]), "ab"), (AgentFilter(tools: ["y", "x"]), "a"), (AgentFilter(tools: ["X"]), ""),
            (AgentFilter(namePrefix: "b"), "b"), (AgentFilter(namePrefix: "bb"), ""),
            (AgentFilter(statuses: [.dead], tools: ["x"], namePrefix: "b"), "b"),
        ]
        for (filter, expected) in table {
            let found = scene.read { $0.agents(matching: filter, after: 0, limit: 10, scanning: 10).found }
            #expect(found.map(\.value.info.id.letter).joined() == expected, "\(filter)")
        }
    }

    @Test func `A list goes on where it stopped, whether it had found enough or looked at enough`() {
        let scene = Scene()
        scene.register(a, b)
        for number in 0..<10 { scene.say(.acquire(TaskID("t\(number)"), number % 5 == 0 ? a : b)) }
        func read(_ filter: LeaseFilter, after: UInt64, limit: Int, scanning: Int) -> String {
            do throws(Refusal) {
                let stretch = try scene.read { machine throws(Refusal) in
                    try machine.leases(matching: filter, after: after, limit: limit, scanning: scanning)
                }
                let tasks = stretch.found.map(\.value.lease.task.text).joined(separator: " ")
                return "\(tasks) to \(stretch.examined)\(stretch.isLast ? ", the last" : "")"
            } catch {
                return describe(error)
            }
        }
        let all = LeaseFilter()
        #expect(read(all, after: 0, limit: 3, scanning: 100) == "t0 t1 t2 to 3")
        #expect(read(all, after: 3, limit: 3, scanning: 2) == "t3 t4 to 5")
        #expect(read(all, after: 7, limit: 3, scanning: 100) == "t7 t8 t9 to 10, the last")
        #expect(read(all, after: 10, limit: 3, scanning: 100) == " to 10, the last")
        #expect(read(all, after: .max, limit: 3, scanning: 100) == " to \(UInt64.max), the last")
        #expect(read(LeaseFilter(taskPrefix: "t5"), after: 0, limit: 3, scanning: 4) == " to 4")
        #expect(read(LeaseFilter(taskPrefix: "t5"), after: 4, limit: 3, scanning: 4) == "t5 to 8")
        #expect(read(LeaseFilter(holder: a), after: 0, limit: 1, scanning: 4) == "t0 to 1")
        #expect(read(LeaseFilter(holder: a), after: 1, limit: 1, scanning: 4) == "t5 to 6, the last")
        #expect(read(LeaseFilter(holder: d), after: 0, limit: 1, scanning: 4) == "unknown agent d")
        scene.say(.release("t5", a, 6))
        scene.say(.release("t8", b, 9))
        #expect(read(all, after: 4, limit: 3, scanning: 100) == "t4 t6 t7 to 8")
        #expect(read(all, after: 8, limit: 3, scanning: 100) == "t9 to 10, the last")
    }

    @Test func `A lease tells its rest, its kind and who waits for it`() {
        let scene = Scene()
        scene.register(a, b, c)
        scene.say(.acquire("t", a, ttl: 20))
        scene.say(.acquire("t", b, waitMilliseconds: 9000))
        scene.say(.acquire("t", c, waitMilliseconds: 9000))
        scene.say(.create("work"))
        scene.say(.claimTask(a))
        scene.wait(until: 5)
        let lease = scene.read { $0.leaseDetails("t", waiting: 10) }
        #expect(lease?.waiting == [b, c] && lease?.lease.waitingCalls == 2)
        #expect(scene.read { $0.leaseDetails("t", waiting: 1) }?.waiting == [b])
        #expect(lease.map { seconds($0.lease.remaining) } == "15s" && lease?.lease.isClaim == false)
        #expect(lease?.lease.ttlSeconds == 20)
        let claim = scene.read { $0.leaseDetails("work", waiting: 10) }
        #expect(claim?.lease.isClaim == true && claim?.lease.lease.holder == a)
        #expect(scene.read { $0.leaseDetails("none", waiting: 10) } == nil)
        // Renewed, the deadline moves, though its place in the queue does not yet.
        scene.say(.renew("t", a, 1, ttl: 60))
        #expect(scene.read { $0.leaseDetails("t", waiting: 10) }.map { seconds($0.lease.remaining) } == "60s")
    }

    @Test func `An election tells its candidates in the order in which they will lead`() {
        let scene = Scene()
        scene.register(a, b, c)
        for agent in [b, a, c] { scene.say(.campaign("g", agent)) }
        scene.say(.campaign("h", c))
        scene.say(.resign("h", c))
        let election = scene.read { $0.electionDetails("g", candidates: 10) }
        #expect(election?.candidates == [b, a, c] && election?.election.candidates == 3)
        #expect(scene.read { $0.electionDetails("g", candidates: 2) }?.candidates == [b, a])
        #expect(scene.read { $0.electionDetails("h", candidates: 2) }?.candidates == [])
        #expect(scene.read { $0.electionDetails("i", candidates: 2) } == nil)
        for (prefix, candidate, expected) in [
            ("", nil, ["g b term 1", "h nobody term 2"]), ("h", nil, ["h nobody term 2"]), ("", c, ["g b term 1"]),
            ("h", c, []),
        ] as [(String, AgentID?, [String])] {
            let found = try? scene.read { machine throws(Refusal) in
                try machine.elections(groupPrefix: prefix, candidate: candidate, after: 0, limit: 9, scanning: 9)
            }
            #expect(found?.found.map { describe($0.value.state) } == expected)
        }
    }

    @Test func `Finished tasks are listed from the last one on, page by page, though others finish meanwhile`() {
        let scene = Scene()
        scene.register(a)
        for number in 1...6 { scene.say(.create(TaskID("t\(number)"))) }
        for _ in 1...6 { scene.say(.claimTask(a)) }
        // Three at one moment, and not in the order in which they were created.
        for number in [2, 1, 3] { scene.say(.complete(TaskID("t\(number)"), a)) }
        scene.turn(to: 1)
        scene.say(.fail("t5", a))
        func page(_ filter: TaskFilter = TaskFilter(), after: UInt64, limit: Int, scanning: Int = 10) -> (
            String, UInt64
        ) {
            let page = scene.read {
                $0.tasks(matching: filter, in: .finished, after: after, limit: limit, scanning: scanning)
            }
            let names = page.found.map(\.value.id.text).joined(separator: " ")
            return (names + (page.isLast ? ", the last" : ""), page.examined)
        }
        #expect(page(after: 0, limit: 10).0 == "t5 t3 t1 t2, the last")
        let (first, place) = page(after: 0, limit: 2)
        #expect(first == "t5 t3")
        scene.say(.complete("t4", a))
        #expect(page(after: place, limit: 2).0 == "t1 t2, the last")
        #expect(page(after: 0, limit: 1).0 == "t4")
        #expect(page(TaskFilter(statuses: [.dead]), after: 0, limit: 10).0 == "t5, the last")
        #expect(page(TaskFilter(statuses: [.dead]), after: 0, limit: 10, scanning: 1).0 == "")
        #expect(page(TaskFilter(statuses: [.pending]), after: 0, limit: 10).0 == ", the last")
        // What is put back into the queue is not finished, and comes in front when it is again.
        scene.say(.forceRequeue("t5"))
        #expect(page(after: 0, limit: 10).0 == "t4 t3 t1 t2, the last")
        scene.say(.claimTask(a))
        scene.say(.complete("t5", a))
        #expect(page(after: 0, limit: 10).0 == "t5 t4 t3 t1 t2, the last")
    }

    @Test func `Several statuses of tasks are listed together`() {
        let scene = Scene()
        scene.register(a)
        for number in 1...4 { scene.say(.create(TaskID("t\(number)"))) }
        for _ in 1...3 { scene.say(.claimTask(a)) }
        scene.say(.complete("t1", a))
        scene.say(.fail("t3", a))
        for (statuses, expected) in [
            ([], "t1 t2 t3 t4"), ([.pending, .claimed], "t2 t4"), ([.completed, .dead], "t1 t3"), ([.dead], "t3"),
        ] as [([QueuedTask.Status], String)] {
            let found = scene.read {
                $0.tasks(matching: TaskFilter(statuses: statuses), after: 0, limit: 9, scanning: 9).found
            }
            #expect(found.map(\.value.id.text).joined(separator: " ") == expected)
        }
    }

    @Test func `An order is read page by page without loss or repeat while others come and go`() {
        var random = SeededRandom(seed: testSeed)
        for _ in 0..<50 {
            var order = CreationOrder<Int>()
            var there: [UInt64: Int32] = [:]
            var next: UInt64 = 0
            func come() {
                next += UInt64.random(in: 1...3, using: &random)
                order.append(Slot(index: Int32(next)), serial: next)
                there[next] = Int32(next)
            }
            func go(_ serial: UInt64) {
                order.remove(serial: serial)
                there[serial] = nil
            }
            for _ in 0..<Int.random(in: 1...60, using: &random) { come() }
            let stayers = Set(there.keys.sorted().filter { _ in Bool.random(using: &random) })
            var seen: [UInt64] = []
            var position: UInt64 = 0
            while true {
                let limit = Int.random(in: 1...8, using: &random)
                let page = order.stretch(after: position, limit: limit, scanning: 5) { $0.index }
                #expect(page.found.count <= limit && page.found.allSatisfy { UInt64($0.value) == $0.serial })
                seen += page.found.map(\.serial)
                position = page.examined
                if page.isLast { break }
                for _ in 0..<3 {
                    if Int.random(in: 0..<6, using: &random) == 0 { come() }
                    if let leaver = there.keys.sorted().filter({ !stayers.contains($0) }).randomElement(using: &random)
                    {
                        go(leaver)
                    }
                }
                #expect(order.count == there.count, "seed \(testSeed)")
            }
            #expect(seen == seen.sorted() && Set(seen).count == seen.count, "seed \(testSeed)")
            #expect(stayers.isSubset(of: seen), "seed \(testSeed)")
        }
    }
}

private func seconds(_ span: Span) -> String { seconds(WallTime(nanoseconds: span.nanoseconds)) }
