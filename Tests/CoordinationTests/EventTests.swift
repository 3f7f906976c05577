import Coordination
import Testing

@Suite struct EventTests {
    private func read(
        _ scene: Scene, after: UInt64, _ filter: EventFilter = EventFilter(), limit: Int = .max, scanning: Int = .max
    ) -> String {
        do throws(Refusal) {
            let found = try scene.read { machine throws(Refusal) in
                try machine.events(after: Sequence(after), matching: filter, limit: limit, scanning: scanning)
            }
            return found.events.map { "\($0.sequence.value)" }.joined(separator: " ") + " | \(found.examined.value)"
        } catch {
            return describe(error)
        }
    }

    @Test func `Events are numbered without a gap, and read on from any of them`() {
        let scene = Scene()
        #expect(read(scene, after: 0) == " | 0")
        #expect(read(scene, after: 1) == "future 1, last 0")
        scene.register(a, b, c, d)
        #expect(read(scene, after: 0) == "1 2 3 4 | 4")
        #expect(read(scene, after: 2) == "3 4 | 4")
        #expect(read(scene, after: 4) == " | 4")
        #expect(read(scene, after: 5) == "future 5, last 4")
        #expect(read(scene, after: 0, limit: 2) == "1 2 | 2")
        #expect(read(scene, after: 0, limit: 0) == " | 0")
        #expect(scene.read { ($0.lastSequence, $0.oldestKeptSequence) } == (Sequence(4), Sequence(1)))
    }

    @Test func `A filter's parts must all hold`() {
        let scene = Scene()
        scene.register(a, b)  // 1 2
        scene.say(.acquire("t", a))  // 3
        scene.say(.acquire("u", b))  // 4
        scene.say(.campaign("g", a))  // 5
        scene.say(.campaign("g", b))
        scene.say(.create("q"))  // 6
        scene.say(.claimTask(b))  // 7
        scene.say(.policy("p", "a", "b", "c", .allow))  // 8
        scene.say(.deregister(a))  // 9 died, 10 lease t, 11 b leads
        for (filter, found) in [
            (EventFilter(), "1 2 3 4 5 6 7 8 9 10 11 | 11"),
            (EventFilter(topics: ["lease."]), "3 4 10 | 11"),
            (EventFilter(topics: ["lease.acquired", "policy"]), "3 4 8 | 11"),
            (EventFilter(topics: [""]), "1 2 3 4 5 6 7 8 9 10 11 | 11"),
            (EventFilter(topics: ["leases"]), " | 11"),
            (EventFilter(excludedTopics: ["agent", "task.c"]), "3 4 5 8 10 11 | 11"),
            (EventFilter(topics: ["lease"], excludedTopics: ["lease.expired"]), "3 4 | 11"),
            (EventFilter(agent: a), "1 3 5 9 10 11 | 11"),
            // The last tells of the leader that left and of the one that leads now.
            (EventFilter(agent: b), "2 4 7 11 | 11"),
            (EventFilter(task: "t"), "3 10 | 11"),
            (EventFilter(task: "q"), "6 7 | 11"),
            (EventFilter(group: "g"), "5 11 | 11"),
            (EventFilter(topics: ["lease"], agent: a, task: "u"), " | 11"),
            (EventFilter(agent: b, group: "g"), "11 | 11"),
        ] {
            #expect(read(scene, after: 0, filter) == found, "\(filter)")
        }
    }

    @Test func `A rare event is looked for in portions`() {
        let scene = Scene()
        scene.register(a, b, c, d)
        scene.say(.acquire("t", a))
        let filter = EventFilter(topics: ["lease"])
        #expect(read(scene, after: 0, filter, scanning: 3) == " | 3")
        #expect(read(scene, after: 3, filter, scanning: 3) == "5 | 5")
        #expect(read(scene, after: 3, filter, scanning: 0) == " | 3")
    }

    @Test func `The history is bounded by number`() {
        var limits = Limits()
        limits.maxEvents = 3
        let scene = Scene(limits: limits)
        scene.register(a, b, c, d)
        #expect(read(scene, after: 0) == "gone after 0, oldest 2")
        #expect(read(scene, after: 1) == "2 3 4 | 4")
        #expect(scene.read { $0.counts.eventsKept } == 3)
    }

    @Test func `The history is bounded by bytes`() {
        var limits = Limits()
        limits.maxEventBytes = 5000
        let scene = Scene(limits: limits)
        scene.register(a)
        scene.say(.create("small"))
        scene.say(.create("big", input: String(repeating: "x", count: 4850)))
        #expect(read(scene, after: 1).hasPrefix("gone"))
        #expect(scene.read { $0.counts.eventBytesKept } < 5000)
        #expect(scene.read { $0.oldestKeptSequence } == Sequence(3))
    }

    @Test func `No command drops its own events, and what is too many goes bit by bit`() {
        var limits = Limits()
        limits.maxEvents = 4
        let scene = Scene(limits: limits)
        scene.register(a, b)
        for task: TaskID in ["1", "2", "3", "4", "5", "6"] { scene.say(.acquire(task, a)) }
        scene.say(.deregister(a))  // 9, and six leases
        #expect(read(scene, after: 8) == "9 10 11 12 13 14 15 | 15")
        #expect(scene.read { $0.oldestKeptSequence } == Sequence(9))
        for oldest in [11, 13, 15, 16] as [UInt64] {
            scene.say(.policy("p", "a", "b", "c", .allow))
            #expect(scene.read { $0.oldestKeptSequence } == Sequence(oldest))
        }
    }

    @Test func `What happened is counted by topic`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.acquire("t", a, ttl: 1))
        scene.wait(until: 1)
        let counts = scene.read { $0.counts }
        #expect(counts.eventsEmitted.map(\.topic) == Topic.allCases)
        #expect(
            counts.eventsEmitted.filter { $0.count > 0 }.map { "\($0.topic.rawValue) \($0.count)" } == [
                "agent.registered 2", "lease.acquired 1", "lease.expired 1",
            ])
        #expect(counts.leasesExpired == 1 && counts.tokensGiven == 1 && counts.agentsAlive == 2)
    }

    @Test func `An event keeps what was true just after it`() {
        let scene = Scene()
        scene.turn(to: 3)
        scene.register(a)
        scene.say(.create("t", input: "in"))
        scene.say(.claimTask(a))
        scene.say(.complete("t", a, output: "out"))
        let events = (try? scene.read { try $0.events(after: .zero, matching: EventFilter(), limit: 9, scanning: 9) })?
            .events
        let statuses = events?.compactMap { event in
            if case .task(let task) = event.payload { "\(task.status) \(task.output.count)" } else { nil }
        }
        #expect(statuses == ["pending 0", "claimed 0", "completed 3"])
        #expect(events?.allSatisfy { $0.occurredAt == WallTime(nanoseconds: 3_000_000_000) } == true)
    }
}
