// What an operator does by force.

import Coordination
import Testing

@Suite struct ForcedTests {
    private func release(_ task: TaskID, _ token: UInt64) -> Command { .forceRelease(task, FencingToken(token)) }

    @Test func `A lease that is taken away goes to who waits for it, and its holder is told when it comes back`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.acquire("t", a))
        scene.say(.acquire("t", b, waitMilliseconds: 1_000))
        _ = scene.events
        #expect(scene.say(release("t", 1), trace: 7) == "done by force: event 4")
        #expect(
            scene.stories == [
                "lease.expired t a #1 until 60s: forced /7", "lease.acquired t b #2 until 60s",
            ])
        #expect(scene.settled == ["1: has t b #2 until 60s"])
        #expect(scene.say(.renew("t", a, 1)) == "t is held by b, not a")
        #expect(scene.say(.release("t", a, 1)) == "t is held by b, not a")
    }

    @Test func `A lease is taken away under its token alone`() {
        let scene = Scene()
        scene.register(a)
        #expect(scene.say(release("t", 1)) == "no lease t")
        scene.say(.acquire("t", a))
        #expect(scene.say(release("t", 2)) == "stale token t #2, now #1")
        #expect(scene.say(release("", 1)) == "invalid: task_id must not be empty")
        scene.say(.release("t", a, 1))
        scene.say(.acquire("t", a))
        #expect(scene.say(release("t", 1)) == "stale token t #1, now #2")
        #expect(scene.say(release("t", 2)) == "done by force: event 5")
        #expect(scene.say(release("t", 2)) == "no lease t")
    }

    @Test func `A claim that is taken away puts its task back`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.create("q"))
        scene.say(.claimTask(a))
        _ = scene.events
        #expect(scene.say(release("q", 1)) == "done by force: event 5")
        #expect(scene.stories == ["task.requeued q pending (a): forced"])
        #expect(scene.say(.complete("q", a)) == "q is pending")
        #expect(scene.say(.claimTask(b)) == "claimed q #2 until 60s")
    }

    @Test func `What is forced counts apart from what ran out by itself`() {
        let scene = Scene()
        scene.register(a)
        for task in ["t", "u"] as [TaskID] { scene.say(.acquire(task, a, ttl: 1)) }
        scene.say(release("t", 1))
        scene.say(.create("q"))
        scene.say(.claimTask(a))
        scene.say(.forceRequeue("q"))
        scene.wait(until: 2)
        let counts = scene.read { $0.counts }
        #expect(counts.leasesExpired == 1 && counts.claimsLost == 0)
        #expect(counts.eventsForced.map(\.count) == [1, 1, 0, 0])
        #expect(counts.eventsEmitted.first { $0.topic == .leaseExpired }?.count == 2)
    }

    @Test func `A forced death ends all that a death ends`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.acquire("t", a))
        scene.say(.create("q"))
        scene.say(.claimTask(a))
        scene.say(.campaign("g", a))
        scene.say(.campaign("g", b))
        scene.say(.claimTask(a))
        _ = scene.events
        #expect(scene.say(.forceDeregister(a)) == "done by force: event 7")
        #expect(
            scene.stories == [
                "agent.died a dead: forced", "lease.expired t a #1 until 60s: holder_died",
                "task.requeued q pending (a): holder_died", "leader.changed g b term 2 (a): leader_died",
            ])
        #expect(scene.settled == ["1: dead agent a"])
        #expect(scene.say(.heartbeat(a)) == "dead agent a")
        #expect(scene.say(.forceDeregister(a)) == "dead agent a")
        #expect(scene.say(.forceDeregister(c)) == "unknown agent c")
    }

    @Test func `A claimed task is put back, and its claimer can no longer finish it`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.create("q", retries: 1))
        scene.say(.claimTask(a))
        scene.say(.claimTask(b))
        _ = scene.events
        #expect(scene.say(.forceRequeue("q")) == "done by force: event 5")
        #expect(scene.stories == ["task.requeued q pending (a): forced", "task.claimed q claimed b"])
        #expect(scene.settled == ["1: claimed q #2 until 60s"])
        for command in [Command.complete("q", a), .fail("q", a), .complete("q", a, token: 1)] {
            #expect(scene.say(command) == "q is with b, not a")
        }
        #expect(scene.say(.complete("q", b)) == "done")
    }

    @Test func `A dead task is put back with all its retries, and what it died of`() throws {
        let scene = Scene()
        scene.register(a, tools: ["saw"])
        scene.register(b)
        scene.say(.create("q", tools: ["saw"], retries: 1))
        for _ in 0..<2 {
            scene.say(.claimTask(a))
            scene.say(.fail("q", a, reason: "no wood"))
        }
        scene.say(.claimTask(b))
        _ = scene.events
        #expect(scene.say(.forceRequeue("q")) == "done by force: event 8")
        #expect(scene.stories == ["task.requeued q pending (a): forced"])
        let task = try #require(scene.read { $0.task("q") })
        #expect(task.retryCount == 0 && task.failureReason == "no wood" && task.finishedAt == nil)
        #expect(task.claimer == nil && task.claimedAt == nil)
        // A repeat of the FailTask that buried it.
        #expect(scene.say(.fail("q", a)) == "done")
        // Whoever has its tools gets it, and it fails as often as before.
        #expect(scene.say(.claimTask(a)) == "claimed q #3 until 60s")
        scene.say(.fail("q", a))
        #expect(scene.say(.claimTask(a)) == "claimed q #4 until 60s")
        scene.say(.fail("q", a))
        #expect(scene.events.last == "task.dead q dead a retry 1")
        scene.say(.forceRequeue("q"))
        // It is finished no more, so it is not forgotten with the finished ones.
        scene.wait(until: 30 * 86_400)
        #expect(scene.read { $0.task("q") }?.status == .pending)
    }

    @Test func `A task is put back when it is CLAIMED or DEAD, and else not`() {
        let scene = Scene()
        scene.register(a)
        #expect(scene.say(.forceRequeue("q")) == "unknown task q")
        #expect(scene.say(.forceRequeue("")) == "invalid: task_id must not be empty")
        scene.say(.create("q"))
        #expect(scene.say(.forceRequeue("q")) == "q is pending, not to be put back")
        scene.say(.claimTask(a))
        scene.say(.complete("q", a))
        #expect(scene.say(.forceRequeue("q")) == "q is completed, not to be put back")
        // A plain lease is none of the queue.
        scene.say(.acquire("t", a))
        #expect(scene.say(.forceRequeue("t")) == "unknown task t")
    }

    @Test func `A dead task whose id is a lease's by now stays dead until the lease has ended`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.create("q"))
        scene.say(.claimTask(a))
        scene.say(.fail("q", a))
        scene.say(.acquire("q", b))
        #expect(scene.say(.forceRequeue("q")) == "q is the name of a lease of b")
        scene.say(release("q", 2))
        #expect(scene.say(.forceRequeue("q")) == "done by force: event 8")
        #expect(scene.say(.acquire("q", b)) == "q is queued, pending")
    }

    @Test func `There must be room for a task that comes back from the dead`() {
        var limits = Limits()
        limits.maxOpenTasks = 1
        let few = Scene(limits: limits)
        few.register(a)
        few.say(.create("q"))
        few.say(.claimTask(a))
        few.say(.fail("q", a))
        few.say(.create("r"))
        #expect(few.say(.forceRequeue("q")) == "limit: there are 1 unfinished tasks, the most there may be")
        few.say(.claimTask(a))
        few.say(.complete("r", a))
        #expect(few.say(.forceRequeue("q")) == "done by force: event 8")

        limits = Limits()
        limits.maxTaskBytes = 100
        let small = Scene(limits: limits)
        small.register(a)
        small.say(.create("q", input: String(repeating: "x", count: 60)))
        small.say(.claimTask(a))
        small.say(.fail("q", a))
        small.say(.create("r", input: String(repeating: "x", count: 60)))
        #expect(small.say(.forceRequeue("q")).hasPrefix("limit: the unfinished tasks have"))
    }

    @Test func `A policy is deleted by force`() {
        let scene = Scene()
        scene.say(.policy("p", "*", "*", "*", .allow))
        #expect(scene.say(.forceDeletePolicy(PolicyID("p"))) == "done by force: event 2")
        #expect(scene.stories.last == "policy.deleted p: forced")
        #expect(scene.say(.forceDeletePolicy(PolicyID("p"))) == "unknown policy p")
        #expect(scene.say(.forceDeletePolicy(PolicyID(""))) == "invalid: id must not be empty")
    }
}
