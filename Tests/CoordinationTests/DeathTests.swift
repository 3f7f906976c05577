import Coordination
import Testing

@Suite struct DeathTests {
    /// The agent `a` holds, leads, stands and waits; the others wait for what it has.
    private func stage() -> Scene {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.register(b, c, ttl: 1000)
        for command: Command in [
            .create("task1"), .create("task2"),
            .acquire("lease2", a),  // #1
            .claimTask(a),  // #2, task1
            .acquire("lease1", a),  // #3
            .claimTask(a),  // #4, task2
            .acquire("elsewhere", b),  // #5
            .campaign("zoo", a), .campaign("zoo", b), .campaign("ark", a), .campaign("ark", c), .campaign("empty", a),
            .campaign("other", b), .campaign("other", a),
        ] {
            scene.say(command)
        }
        for (command, outcome): (Command, String) in [
            (.acquire("elsewhere", a, waitMilliseconds: 100_000), "waiting 1"),
            (.acquire("lease1", a, waitMilliseconds: 100_000), "waiting 2"),
            (.claimTask(a), "waiting 3"),
            (.acquire("lease1", b, waitMilliseconds: 100_000), "waiting 4"),
            (.claimTask(c), "waiting 5"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        _ = scene.events
        return scene
    }

    private let sequel = [
        "agent.died a dead",
        "lease.expired lease2 a #1 until 60s",
        "lease.expired lease1 a #3 until 60s",
        "task.requeued task1 pending (a)",
        "task.requeued task2 pending (a)",
        "leader.changed ark c term 2 (a)",
        "leader.changed empty nobody term 2 (a)",
        "leader.changed zoo b term 2 (a)",
    ]

    @Test func `Death ends all that the agent had, in order, before others gain by it`() {
        let scene = stage()
        #expect(scene.say(.deregister(a)) == "done")
        #expect(
            scene.events
                == sequel + ["lease.acquired lease1 b #6 until 60s", "task.claimed task1 claimed c"])
        #expect(
            scene.settled == [
                "1: dead agent a", "2: dead agent a", "3: dead agent a",
                "4: has lease1 b #6 until 60s", "5: claimed task1 #7 until 60s",
            ])
    }

    @Test func `Death by silence is the same step`() {
        let scene = stage()
        scene.wait(until: 10.5)
        #expect(scene.events == ["agent.unreachable a unreachable"])
        #expect(scene.settled == [])
        scene.wait(until: 20.5)
        #expect(
            scene.events
                == sequel + ["lease.acquired lease1 b #6 until 80.5s", "task.claimed task1 claimed c"])
        #expect(scene.settled.count == 5)
        #expect(scene.read { $0.counts.agentsDiedBySilence } == 1)
    }

    @Test func `What a dead agent held is free`() {
        let scene = stage()
        scene.say(.deregister(a))
        #expect(scene.say(.renew("lease2", a, 1)) == "no lease lease2")
        #expect(scene.say(.release("lease2", a, 1)) == "no lease lease2")
        #expect(scene.say(.acquire("lease2", c)) == "has lease2 c #8 until 60s")
        #expect(scene.say(.complete("task2", a)) == "task2 is pending")
        #expect(scene.say(.complete("task1", a)) == "task1 is with c, not a")
    }

    @Test func `Tasks that come back go to the longest-waiting claimers, the oldest first`() {
        let scene = Scene()
        scene.register(a, b, c)
        scene.say(.create("young", tools: []))
        scene.say(.claimTask(a))
        // The older task is claimed last: it failed and went back before.
        scene.say(.create("old", retries: 1))
        scene.say(.create("older", retries: 1))
        for _ in 0..<2 { scene.say(.claimTask(a)) }
        scene.say(.fail("old", a))
        scene.say(.claimTask(a))
        #expect(scene.say(.claimTask(c)) == "waiting 1")
        #expect(scene.say(.claimTask(b)) == "waiting 2")
        _ = scene.events
        scene.say(.deregister(a))
        #expect(
            scene.events == [
                "agent.died a dead",
                "task.requeued young pending (a)",
                "task.requeued older pending (a)",
                "task.requeued old pending retry 1 (a)",
                "task.claimed young claimed c",
                "task.claimed old claimed b retry 1",
            ])
    }
}
