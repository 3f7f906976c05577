import Coordination
import Testing

@Suite struct ClaimTests {
    @Test func `The oldest task goes first, the longest-waiting claimer is first`() {
        let scene = Scene()
        scene.register(a, b)
        for (command, outcome): (Command, String) in [
            (.create("t1"), "t1 pending"),
            (.create("t2"), "t2 pending"),
            (.claimTask(a), "claimed t1 #1 until 60s"),
            (.claimTask(a), "claimed t2 #2 until 60s"),
            (.claimTask(b), "waiting 1"),
            (.claimTask(a), "waiting 2"),
            (.claimTask(b), "waiting 3"),
            (.create("t3"), "t3 pending"),
            (.create("t4"), "t4 pending"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(scene.settled == ["1: claimed t3 #3 until 60s", "2: claimed t4 #4 until 60s"])
        #expect(
            scene.events.suffix(4) == [
                "task.created t3 pending", "task.claimed t3 claimed b", "task.created t4 pending",
                "task.claimed t4 claimed a",
            ])
    }

    @Test func `A claimer gets only what it has all the tools for`() {
        let scene = Scene()
        scene.register(a, tools: ["saw", "axe", "saw"])
        scene.register(b, tools: ["saw"])
        scene.register(c)
        for (command, outcome): (Command, String) in [
            (.create("both", tools: ["axe", "saw"]), "both pending"),
            (.create("saw", tools: ["saw", "saw"]), "saw pending"),
            (.create("axe", tools: ["axe"]), "axe pending"),
            (.create("drill", tools: ["drill"]), "drill pending"),
            (.create("any"), "any pending"),
            (.claimTask(c), "claimed any #1 until 60s"),
            (.claimTask(c), "waiting 1"),
            (.claimTask(b), "claimed saw #2 until 60s"),
            (.claimTask(b), "waiting 2"),
            (.claimTask(a), "claimed both #3 until 60s"),
            (.claimTask(a), "claimed axe #4 until 60s"),
            (.claimTask(a), "waiting 3"),
            (.create("axe2", tools: ["axe"]), "axe2 pending"),
            (.create("saw2", tools: ["saw"]), "saw2 pending"),
            (.create("any2"), "any2 pending"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(
            scene.settled == [
                "3: claimed axe2 #5 until 60s", "2: claimed saw2 #6 until 60s", "1: claimed any2 #7 until 60s",
            ])
    }

    @Test func `A claimer that has one of two tools is passed over, however long it waits`() {
        let scene = Scene()
        scene.register(a, tools: ["saw"])
        scene.register(b, tools: ["axe"])
        scene.register(c, tools: ["axe", "drill", "saw"])
        for agent in [a, b, c] { scene.say(.claimTask(agent)) }
        scene.say(.create("both", tools: ["axe", "saw"]))
        #expect(scene.settled == ["3: claimed both #1 until 60s"])
        scene.say(.create("again", tools: ["axe", "saw"]))
        scene.say(.create("saw", tools: ["saw"]))
        #expect(scene.settled == ["1: claimed saw #2 until 60s"])
    }

    @Test func `Tools are told apart by their bytes`() {
        let scene = Scene()
        // One character, written in two ways that Swift's String takes for the same.
        scene.register(a, tools: ["caf\u{e9}"])
        scene.say(.create("t", tools: ["cafe\u{301}"]))
        #expect(scene.say(.claimTask(a)) == "waiting 1")
        scene.say(.create("u", tools: ["caf\u{e9}"]))
        #expect(scene.settled == ["1: claimed u #1 until 60s"])
    }

    @Test func `A task that went back keeps its age`() {
        let scene = Scene()
        scene.register(a, ttl: 1000)
        scene.say(.create("old", ttl: 5))
        scene.say(.create("young"))
        #expect(scene.say(.claimTask(a)) == "claimed old #1 until 5s")
        scene.wait(until: 5)
        #expect(scene.say(.claimTask(a)) == "claimed old #2 until 10s")
    }

    @Test func `An unreachable claimer gets nothing until it is alive, and keeps its place`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.register(b, ttl: 1000)
        #expect(scene.say(.claimTask(a)) == "waiting 1")
        scene.wait(until: 10.5)
        #expect(scene.say(.claimTask(b)) == "waiting 2")
        #expect(scene.say(.claimTask(a)) == "waiting 3")
        scene.say(.create("t1"))
        #expect(scene.settled == ["2: claimed t1 #1 until 70.5s"])
        #expect(scene.say(.claimTask(b)) == "waiting 4")
        scene.say(.heartbeat(a))
        scene.say(.create("t2"))
        #expect(scene.settled == ["1: claimed t2 #2 until 70.5s"])
        scene.say(.create("t3"))
        #expect(scene.settled == ["3: claimed t3 #3 until 70.5s"])
    }

    @Test func `A claimer that is alive again takes what has come meanwhile`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.say(.claimTask(a))
        scene.say(.claimTask(a))
        scene.wait(until: 10.5)
        scene.say(.create("t1"))
        #expect(scene.say(.claimTask(a)) == "waiting 3")
        _ = scene.events
        scene.say(.heartbeat(a))
        #expect(scene.events == ["agent.recovered a alive", "task.claimed t1 claimed a"])
        #expect(scene.settled == ["1: claimed t1 #1 until 70.5s"])
        scene.say(.create("t2"))
        #expect(scene.settled == ["2: claimed t2 #2 until 70.5s"])
    }

    @Test func `A claimer that dies while it waits is told, and one that went away is forgotten`() {
        let scene = Scene()
        scene.register(a, b)
        #expect(scene.say(.claimTask(a)) == "waiting 1")
        #expect(scene.say(.claimTask(b)) == "waiting 2")
        scene.say(.deregister(a))
        #expect(scene.settled == ["1: dead agent a"])
        #expect(scene.say(.cancelWait(scene.waiter(2))) == "done")
        #expect(scene.say(.cancelWait(scene.waiter(1))) == "done")
        scene.say(.create("t"))
        #expect(scene.settled == [])
        #expect(scene.say(.claimTask(b)) == "claimed t #1 until 60s")
        #expect(scene.read { $0.counts.taskWaiters } == 0)
    }

    @Test func `A claim that did not reach its client goes to the next`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.claimTask(a))
        scene.say(.claimTask(b))
        scene.say(.create("t"))
        #expect(scene.settled == ["1: claimed t #1 until 60s"])
        _ = scene.events
        #expect(scene.say(.returnGrant("t", FencingToken(1))) == "done")
        #expect(scene.events == ["task.requeued t pending (a)", "task.claimed t claimed b"])
        #expect(scene.settled == ["2: claimed t #2 until 60s"])
        #expect(scene.say(.returnGrant("t", FencingToken(1))) == "done")
        #expect(scene.events == [])
        #expect(scene.say(.complete("t", b)) == "done")
        #expect(scene.say(.returnGrant("t", FencingToken(2))) == "done")
        #expect(scene.read { $0.task("t")?.status } == .completed)
    }

    @Test func `There are only so many different sets of tools`() {
        var limits = Limits()
        limits.maxToolSets = 3
        let scene = Scene(limits: limits)
        scene.register(a, tools: ["x"])
        scene.register(b, tools: ["x"])
        #expect(scene.say(.create("t1", tools: ["y"])) == "t1 pending")
        #expect(
            scene.say(.create("t2", tools: ["z"]))
                == "limit: there are 3 different sets of tools, the most there may be")
        scene.say(.deregister(a))
        scene.say(.deregister(b))
        #expect(scene.say(.create("t2", tools: ["z"])) == "t2 pending")
    }
}
