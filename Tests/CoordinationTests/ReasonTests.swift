// Events tell why they happened, and which call they answer.

import Coordination
import Testing

@Suite struct ReasonTests {
    @Test func `What an agent's silence ends says so`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.register(b, tools: [])
        scene.say(.acquire("t", a))
        scene.say(.create("q"))
        scene.say(.claimTask(a))
        scene.say(.campaign("g", a))
        scene.say(.campaign("g", b))
        _ = scene.events
        scene.turn(to: 25)
        scene.say(.heartbeat(b))
        scene.wait(until: 26)
        #expect(
            scene.stories == [
                "agent.unreachable a unreachable", "agent.died a dead: silence",
                "lease.expired t a #1 until 60s: holder_died", "task.requeued q pending (a): holder_died",
                "leader.changed g b term 2 (a): leader_died",
            ])
    }

    @Test func `What an agent itself ends says so`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.acquire("t", a))
        scene.say(.campaign("g", a), trace: 1)
        scene.say(.campaign("g", b), trace: 2)
        _ = scene.events
        scene.say(.resign("g", a))
        scene.say(.campaign("g", a))
        scene.say(.deregister(b), trace: 3)
        scene.say(.deregister(a))
        #expect(
            scene.stories == [
                "leader.changed g b term 2 (a): resigned", "agent.died b dead: deregistered /3",
                "leader.changed g a term 3 (b): leader_died /3", "agent.died a dead: deregistered",
                "lease.expired t a #1 until 60s: holder_died", "leader.changed g nobody term 4 (a): leader_died",
            ])
    }

    @Test func `What runs out, and what did not arrive, are told apart`() {
        let scene = Scene()
        scene.register(a, b, ttl: 600)
        scene.say(.acquire("t", a, ttl: 5), trace: 1)
        scene.say(.create("q", ttl: 5))
        scene.say(.claimTask(a), trace: 2)
        scene.say(.acquire("t", b, waitMilliseconds: 60_000), trace: 3)
        _ = scene.events
        // By a call that has nothing to do with it.
        scene.turn(to: 5)
        scene.say(.heartbeat(a), trace: 4)
        scene.say(.returnGrant("t", FencingToken(3)))
        scene.say(.claimTask(b))
        scene.say(.returnGrant("q", FencingToken(4)))
        #expect(
            scene.stories == [
                "lease.expired t a #1 until 5s: ran_out", "lease.acquired t b #3 until 65s /3",
                "task.requeued q pending (a): ran_out", "lease.expired t b #3 until 65s: not_delivered",
                "task.claimed q claimed b", "task.requeued q pending (b): not_delivered",
            ])
    }

    @Test func `A grant carries the trace of the call that waited, not of the one that let go`() {
        let scene = Scene()
        scene.register(a, b, c)
        scene.say(.acquire("t", a), trace: 1)
        scene.say(.acquire("t", b, waitMilliseconds: 60_000), trace: 2)
        scene.say(.acquire("t", c, waitMilliseconds: 60_000))
        scene.say(.claimTask(b), trace: 3)
        scene.say(.release("t", a, 1), trace: 4)
        scene.say(.release("t", b, 2), trace: 5)
        scene.say(.create("q"), trace: 6)
        #expect(
            scene.stories.dropFirst(3) == [
                "lease.acquired t a #1 until 60s /1", "lease.released t a #1 until 60s /4",
                "lease.acquired t b #2 until 60s /2", "lease.released t b #2 until 60s /5",
                "lease.acquired t c #3 until 60s", "task.created q pending /6", "task.claimed q claimed b /3",
            ])
    }

    @Test func `A claim that waited through its agent's silence still carries its own trace`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.say(.claimTask(a), trace: 1)
        scene.wait(until: 13)
        scene.say(.create("q"), trace: 2)
        _ = scene.events
        scene.say(.heartbeat(a), trace: 3)
        #expect(scene.stories == ["agent.recovered a alive /3", "task.claimed q claimed a /1"])
    }

    @Test func `The trace of one call is not that of the next`() {
        let scene = Scene()
        scene.say(.policy("p", "*", "*", "*", .allow), trace: 1)
        #expect(scene.say(.deletePolicy(PolicyID("q")), trace: 2) == "unknown policy q")
        scene.say(.deletePolicy(PolicyID("p")))
        #expect(scene.stories == ["policy.set p /1", "policy.deleted p"])
    }

    @Test func `A reason has one text, which leads back to it`() {
        for reason in EventReason.allCases where reason != .none { #expect(EventReason(text: reason.text) == reason) }
        #expect(EventReason(text: "") == nil && EventReason(text: "none") == nil)
        #expect(Set(EventReason.allCases.map(\.text)).count == EventReason.allCases.count)
    }
}
