import Coordination
import Testing

@Suite struct RetryTests {
    @Test func `A lease won under a request id is found again as long as it is held`() {
        let scene = Scene()
        scene.register(a, b, ttl: 10_000)
        for (command, outcome): (Command, String) in [
            (.acquire("t", a, ttl: 0, id: "1"), "has t a #1 until 60s"),
            (.acquire("t", a, ttl: 60, id: "1"), "has t a #1 until 60s"),
            (.acquire("t", a, waitMilliseconds: 500, id: "1"), "has t a #1 until 60s"),
            (.acquire("t", a, id: "2"), "held t a #1 until 60s"),
            (.acquire("t", a), "held t a #1 until 60s"),
            (.acquire("t", b, id: "1"), "reused 1"),
            (.acquire("u", a, id: "1"), "reused 1"),
            (.acquire("t", a, ttl: 61, id: "1"), "reused 1"),
            (.create("task", id: "1"), "reused 1"),
            (.release("t", a, 1), "done"),
            // No longer held: a new request, which wins anew.
            (.acquire("t", a, id: "1"), "has t a #2 until 60s"),
            (.acquire("t", a, id: "1"), "has t a #2 until 60s"),
            (.release("t", a, 2), "done"),
            (.acquire("t", b), "has t b #3 until 60s"),
            (.acquire("t", a, id: "1"), "held t b #3 until 60s"),
            (.release("t", b, 3), "done"),
            // A loss is not remembered.
            (.acquire("t", a, id: "2"), "has t a #4 until 60s"),
        ] {
            #expect(scene.say(command) == outcome)
        }
    }

    @Test func `Request ids are remembered for ten minutes`() {
        let scene = Scene()
        scene.register(a, ttl: 10_000)
        scene.say(.acquire("t", a, ttl: 5000, id: "1"))
        scene.turn(to: 599)
        #expect(scene.say(.acquire("t", a, ttl: 5000, id: "1")) == "has t a #1 until 5000s")
        #expect(scene.say(.acquire("u", a, id: "1")) == "reused 1")
        scene.turn(to: 600)
        #expect(scene.say(.acquire("t", a, ttl: 5000, id: "1")) == "held t a #1 until 5000s")
        #expect(scene.say(.acquire("u", a, id: "1")) == "has u a #2 until 660s")
    }

    @Test func `A request id that was used again is remembered from then on`() {
        let scene = Scene()
        scene.register(a, ttl: 10_000)
        scene.say(.acquire("t", a, ttl: 5000, id: "1"))
        scene.say(.release("t", a, 1))
        scene.turn(to: 500)
        scene.say(.acquire("t", a, ttl: 5000, id: "1"))
        scene.turn(to: 700)
        #expect(scene.say(.acquire("t", a, ttl: 5000, id: "1")) == "has t a #2 until 5500s")
    }

    @Test func `So many request ids are remembered, the latest`() {
        var limits = Limits()
        limits.maxRequestIDs = 2
        let scene = Scene(limits: limits)
        scene.register(a)
        for id in ["1", "2", "3"] { scene.say(.acquire(TaskID(id), a, id: id)) }
        #expect(scene.say(.acquire("2", a, id: "2")) == "has 2 a #2 until 60s")
        #expect(scene.say(.acquire("1", a, id: "1")) == "held 1 a #1 until 60s")
    }

    @Test func `Register answers a retry with the agent that the first made`() {
        let scene = Scene()
        func register(_ id: AgentID, _ card: AgentCard, ttl: UInt32 = 30) -> String {
            scene.say(.register(.init(newID: id, card: card, ttlSeconds: ttl, requestID: RequestID("1"))))
        }
        #expect(register(a, card("x", tools: ["saw"])) == "registered a")
        #expect(register(b, card("x", tools: ["saw"])) == "registered a")
        #expect(register(b, card("x", tools: ["saw"]), ttl: 0) == "registered a")
        #expect(register(b, card("x", tools: ["axe"])) == "reused 1")
        #expect(register(b, card("y", tools: ["saw"])) == "reused 1")
        #expect(register(b, card("x", tools: ["saw"]), ttl: 31) == "reused 1")
        scene.say(.deregister(a))
        #expect(register(b, card("x", tools: ["saw"])) == "registered a")
        #expect(scene.events == ["agent.registered a alive", "agent.died a dead"])
    }

    @Test func `CreateTask answers a retry with the task that the first made, as it is now`() {
        var limits = Limits()
        limits.maxFinishedTasks = 0
        let scene = Scene(limits: limits)
        scene.register(a)
        for (command, outcome): (Command, String) in [
            (.create("t1", input: "x", id: "1"), "t1 pending"),
            (.create("t2", input: "x", id: "1"), "t1 pending"),
            (.create("t2", input: "y", id: "1"), "reused 1"),
            (.create("t2", tools: ["saw"], input: "x", id: "1"), "reused 1"),
            (.create("t2", retries: 1, input: "x", id: "1"), "reused 1"),
            (.claimTask(a), "claimed t1 #1 until 60s"),
            (.create("t2", input: "x", id: "1"), "t1 claimed a"),
            (.complete("t1", a), "done"),
            // Finished and forgotten: there is nothing to show, but nothing is made twice.
            (.create("t2", input: "x", id: "1"), "unknown task t1"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(scene.events.filter { $0.hasPrefix("task.created") }.count == 1)
    }

    @Test func `A lease granted under a request id waits for the retry`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.acquire("t", a))
        #expect(scene.say(.acquire("t", b, waitMilliseconds: 5000, id: "1")) == "waiting 1")
        scene.say(.release("t", a, 1))
        #expect(scene.settled == ["1: has t b #2 until 60s"])
        #expect(scene.say(.returnGrant("t", FencingToken(2))) == "done")
        #expect(scene.say(.acquire("t", b, id: "1")) == "has t b #2 until 60s")
    }

    @Test func `A retry that waits beside its first attempt wins with it`() {
        let scene = Scene()
        scene.register(a, b, c)
        scene.say(.acquire("t", a))
        scene.say(.acquire("t", b, waitMilliseconds: 5000, id: "1"))
        scene.say(.acquire("t", c, waitMilliseconds: 5000))
        scene.say(.acquire("t", b, waitMilliseconds: 4000, id: "1"))
        scene.say(.release("t", a, 1))
        #expect(scene.settled == ["1: has t b #2 until 60s", "3: has t b #2 until 60s"])
        scene.say(.release("t", b, 2))
        #expect(scene.settled == ["2: has t c #3 until 60s"])
    }
}
