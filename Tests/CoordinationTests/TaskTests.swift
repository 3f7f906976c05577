import Coordination
import Testing

@Suite struct TaskTests {
    @Test func `A task is created, claimed and completed`() {
        let scene = Scene()
        scene.register(a, b)
        for (command, outcome): (Command, String) in [
            (.create("t", ttl: 0, input: "in"), "t pending"),
            (.claimTask(a), "claimed t #1 until 60s"),
            (.complete("t", a, output: "out"), "done"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(
            scene.events.suffix(3) == [
                "task.created t pending", "task.claimed t claimed a", "task.completed t completed a",
            ])
        let task = scene.read { $0.task("t") }
        #expect(task?.output == Array("out".utf8) && task?.specification.input == Array("in".utf8))
        #expect(task?.specification.ttlSeconds == 60 && task?.finishedAt != nil && task?.claimedAt != nil)
        #expect(scene.read { $0.counts.leases } == 0)
        #expect(scene.read { $0.task("u")?.id } == nil)
    }

    @Test func `The age of the queue is that of its oldest task, whatever tools it requires, and however it came back`()
    {
        let scene = Scene()
        func age() -> Int64? { scene.read { $0.oldestPendingAge }.map { $0.nanoseconds / 1_000_000_000 } }
        scene.register(a, ttl: 3_600)
        #expect(age() == nil)
        scene.turn(to: 10)
        scene.say(.create("t", ttl: 60))
        scene.turn(to: 15)
        scene.say(.create("rare", tools: ["rare"]))
        scene.turn(to: 20)
        #expect(age() == 10)
        #expect(scene.say(.claimTask(a)) == "claimed t #1 until 80s")
        #expect(age() == 5)
        scene.wait(until: 80)
        #expect(age() == 70)
        scene.say(.claimTask(a))
        scene.say(.complete("t", a))
        #expect(age() == 65)
    }

    @Test func `Only the claimer finishes, only what is claimed, and the same again is no error`() {
        let scene = Scene()
        scene.register(a, b)
        for (command, outcome): (Command, String) in [
            (.complete("t", a), "unknown task t"),
            (.fail("t", a), "unknown task t"),
            (.create("t"), "t pending"),
            (.complete("t", a), "t is pending"),
            (.fail("t", a), "t is pending"),
            (.claimTask(a), "claimed t #1 until 60s"),
            (.complete("t", b), "t is with a, not b"),
            (.fail("t", b), "t is with a, not b"),
            (.complete("t", a, token: 2), "stale token t #2, now #1"),
            (.fail("t", a, token: 2), "stale token t #2, now #1"),
            (.complete("t", a, token: 1, output: "first"), "done"),
            (.complete("t", a, output: "second"), "done"),
            (.complete("t", a, token: 1), "done"),
            (.complete("t", a, token: 2), "stale token t #2, now #1"),
            (.complete("t", b), "t is completed"),
            (.fail("t", a), "t is completed"),
            (.fail("t", b), "t is completed"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(scene.events.filter { $0.hasPrefix("task.completed") }.count == 1)
        #expect(scene.read { $0.task("t")?.output } == Array("first".utf8))
    }

    @Test func `A failed task goes back while retries are left, and is dead then`() {
        let scene = Scene()
        scene.register(a, b)
        for (command, outcome): (Command, String) in [
            (.create("t", retries: 1), "t pending"),
            (.claimTask(a), "claimed t #1 until 60s"),
            (.fail("t", a, reason: "once"), "done"),
            (.fail("t", a, reason: "again"), "done"),
            (.fail("t", a, token: 1), "done"),
            (.fail("t", b), "t is pending"),
            (.complete("t", a), "t is pending"),
            (.claimTask(b), "claimed t #2 until 60s"),
            // Claimed again: no repeat any more.
            (.fail("t", a), "t is with b, not a"),
            (.fail("t", b, reason: "twice"), "done"),
            (.fail("t", b), "done"),
            (.fail("t", a), "t is dead"),
            (.complete("t", b), "t is dead"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(
            scene.events.suffix(5) == [
                "task.created t pending", "task.claimed t claimed a", "task.failed t pending retry 1 (a)",
                "task.claimed t claimed b retry 1", "task.dead t dead b retry 1",
            ])
        let task = scene.read { $0.task("t") }
        #expect(task?.failureReason == "twice" && task?.finishedAt != nil)
    }

    @Test func `An old worker of the same agent cannot end a new claim`() {
        let scene = Scene()
        scene.register(a, ttl: 1000)
        scene.say(.create("t", ttl: 5))
        scene.say(.claimTask(a))
        scene.turn(to: 5)
        #expect(scene.say(.claimTask(a)) == "claimed t #2 until 10s")
        #expect(scene.say(.complete("t", a, token: 1)) == "stale token t #1, now #2")
        #expect(scene.say(.fail("t", a, token: 1)) == "stale token t #1, now #2")
        #expect(scene.say(.complete("t", a, token: 2)) == "done")
    }

    @Test func `A claim that runs out goes back, and no retry is spent`() {
        let scene = Scene()
        scene.register(a, b, ttl: 1000)
        scene.say(.create("t", ttl: 5))
        scene.say(.claimTask(a))
        #expect(scene.say(.claimTask(b)) == "waiting 1")
        _ = scene.events
        scene.wait(until: 4.9)
        #expect(scene.events == [])
        scene.wait(until: 5)
        #expect(scene.events == ["task.requeued t pending (a)", "task.claimed t claimed b"])
        #expect(scene.settled == ["1: claimed t #2 until 10s"])
        #expect(scene.say(.complete("t", a)) == "t is with b, not a")
        scene.wait(until: 10)
        #expect(scene.say(.complete("t", b)) == "t is pending")
        #expect(scene.read { $0.task("t")?.claimedAt } == nil)
        #expect(scene.read { $0.counts.claimsLost } == 2)
    }

    @Test func `A claim is a lease: renewed like one, but neither released nor acquired`() {
        let scene = Scene()
        scene.register(a, b, ttl: 1000)
        for (command, outcome): (Command, String) in [
            (.create("t", ttl: 10), "t pending"),
            (.acquire("t", b), "t is queued, pending"),
            (.renew("t", a, 1), "no lease t"),
            (.release("t", a, 1), "no lease t"),
            (.claimTask(a), "claimed t #1 until 10s"),
            (.acquire("t", b), "t is queued, claimed"),
            (.acquire("t", a, waitMilliseconds: 1000), "t is queued, claimed"),
            (.release("t", a, 1), "t is a claim"),
            (.release("t", b, 1), "t is a claim"),
            (.renew("t", b, 1), "t is held by a, not b"),
            (.renew("t", a, 2), "stale token t #2, now #1"),
            (.renew("t", a, 1, ttl: 30), "has t a #1 until 30s"),
            (.renew("t", a, 1), "has t a #1 until 30s"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(scene.read { ($0.counts.leases, $0.counts.claims) } == (1, 1))
        scene.wait(until: 29.9)
        #expect(scene.say(.complete("t", a)) == "done")
        #expect(!scene.events.contains { $0.hasPrefix("lease.") })
        // A finished task's id is free text again.
        #expect(scene.say(.acquire("t", b)) == "has t b #2 until 89.9s")
        #expect(scene.say(.release("t", b, 2)) == "done")
    }

    @Test func `Renewing a claim tells of the task`() {
        let scene = Scene()
        scene.register(a)
        scene.say(.create("t"))
        scene.say(.claimTask(a))
        scene.say(.renew("t", a, 1))
        #expect(scene.events.last == "task.renewed t claimed a")
    }

    @Test func `Tasks are listed oldest first, page by page, by status`() {
        let scene = Scene()
        scene.register(a)
        for name in ["one", "two", "three", "four"] { scene.say(.create(TaskID(name))) }
        scene.say(.claimTask(a))
        scene.say(.complete("one", a))
        scene.say(.claimTask(a))
        func list(_ status: QueuedTask.Status?, after: UInt64 = 0, limit: Int = .max) -> [String] {
            scene.read { $0.tasks(status: status, after: after, limit: limit) }.map { "\($0.serial) \($0.task.id)" }
        }
        #expect(list(nil) == ["1 one", "2 two", "3 three", "4 four"])
        #expect(list(nil, limit: 2) == ["1 one", "2 two"])
        #expect(list(nil, after: 2) == ["3 three", "4 four"])
        #expect(list(nil, after: .max) == [])
        #expect(list(.pending) == ["3 three", "4 four"])
        #expect(list(.pending, after: 3) == ["4 four"])
        #expect(list(.claimed) == ["2 two"])
        #expect(list(.completed) == ["1 one"])
        #expect(list(.dead) == [])
    }

    @Test func `Finished tasks are kept for a day, so many, and so many bytes of them`() {
        var limits = Limits()
        limits.maxFinishedTasks = 3
        limits.maxFinishedTaskBytes = 1000
        let scene = Scene(limits: limits)
        scene.register(a, ttl: 604_800)
        func finish(_ name: String, output: Int) {
            scene.say(.create(TaskID(name)))
            scene.say(.claimTask(a))
            scene.say(.complete(TaskID(name), a, output: String(repeating: "x", count: output)))
        }
        func kept() -> [String] {
            scene.read { $0.tasks(status: nil, after: 0, limit: .max) }.map(\.task.id.text)
        }
        scene.say(.create("open", tools: ["none"]))
        for name in ["1", "2", "3", "4"] { finish(name, output: 10) }
        #expect(kept() == ["open", "2", "3", "4"])
        finish("5", output: 980)
        #expect(kept() == ["open", "4", "5"])
        #expect(scene.say(.complete("3", a)) == "unknown task 3")
        scene.turn(to: 86_399)
        #expect(kept() == ["open", "4", "5"])
        scene.turn(to: 86_400)
        #expect(kept() == ["open"])
    }

    @Test func `Input and output together fit into a message`() {
        var limits = Limits()
        limits.maxTaskPayloadBytes = 10
        let scene = Scene(limits: limits)
        scene.register(a)
        scene.say(.createTask(.init(newID: "t", type: "x", input: [1, 2, 3, 4])))
        scene.say(.claimTask(a))
        let seven = [UInt8](repeating: 0, count: 7)
        #expect(
            scene.say(.completeTask(.init(task: "t", agent: a), output: seven))
                == "invalid: output and the task's input must be at most 10 bytes together, found 7 and 4")
        #expect(scene.say(.completeTask(.init(task: "t", agent: a), output: [UInt8](seven.dropLast()))) == "done")
    }

    @Test func `Fields have their ranges`() {
        let scene = Scene()
        scene.register(a)
        let long = String(repeating: "x", count: 16_385)
        let many = [String](repeating: "x", count: 1025)
        for (command, outcome): (Command, String) in [
            (.createTask(.init(newID: "t", type: "")), "type must not be empty"),
            (.create("t", ttl: 604_801), "ttl_seconds must be at most 604800 (7 days), found 604801"),
            (
                .createTask(.init(newID: "t", type: "x", input: [UInt8](repeating: 0, count: 3_932_161))),
                "input must be at most 3932160 bytes, found 3932161"
            ),
            (.create("t", tools: many), "required_tools must have at most 1024 entries, found 1025"),
            (.complete("", a), "task_id must not be empty"),
            (.fail("", a), "task_id must not be empty"),
            (.fail("t", a, reason: long), "reason must be at most 16384 bytes, found 16385: \"\(long.prefix(200))…\""),
        ] {
            #expect(scene.say(command) == "invalid: " + outcome)
        }
    }

    @Test func `There are only so many open tasks, and so many bytes of them`() {
        var limits = Limits()
        limits.maxOpenTasks = 2
        limits.maxTaskBytes = 100
        let scene = Scene(limits: limits)
        scene.register(a)
        #expect(scene.say(.create("t1", input: String(repeating: "x", count: 80))) == "t1 pending")
        #expect(scene.say(.create("t2", input: "0123456789")).hasPrefix("limit: the unfinished tasks have 86 bytes"))
        #expect(scene.say(.create("t2")) == "t2 pending")
        #expect(scene.say(.create("t3")) == "limit: there are 2 unfinished tasks, the most there may be")
        scene.say(.claimTask(a))
        scene.say(.complete("t1", a))
        #expect(scene.say(.create("t3", input: String(repeating: "x", count: 80))) == "t3 pending")
    }
}
