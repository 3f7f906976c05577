import Coordination
import Testing

@Suite struct LeaseTests {
    @Test func `A lease has one holder, whoever asks`() {
        let scene = Scene()
        scene.register(a, b)
        for (command, outcome): (Command, String) in [
            (.acquire("t", a, ttl: 0), "has t a #1 until 60s"),
            (.acquire("t", b), "held t a #1 until 60s"),
            (.acquire("t", a), "held t a #1 until 60s"),
            (.acquire("u", b, ttl: 5), "has u b #2 until 5s"),
            (.release("t", a, 1), "done"),
            (.acquire("t", b), "has t b #3 until 60s"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(
            scene.events.suffix(4) == [
                "lease.acquired t a #1 until 60s", "lease.acquired u b #2 until 5s",
                "lease.released t a #1 until 60s", "lease.acquired t b #3 until 60s",
            ])
    }

    @Test func `A lease ends at its deadline and not before`() {
        let scene = Scene()
        scene.register(a, b, ttl: 1000)
        scene.say(.acquire("t", a, ttl: 5))
        scene.turn(to: 4.999_999_999)
        #expect(scene.say(.acquire("t", b)) == "held t a #1 until 5s")
        scene.turn(to: 5)
        #expect(scene.say(.acquire("t", b)) == "has t b #2 until 65s")
        #expect(
            scene.events.suffix(2) == ["lease.expired t a #1 until 5s", "lease.acquired t b #2 until 65s"])
    }

    @Test(arguments: [Command.renew("t", a, 1, ttl: 100), .release("t", a, 1)])
    func `After the deadline a lease is gone, even if no timer ran`(command: Command) {
        let scene = Scene()
        scene.register(a, ttl: 1000)
        scene.say(.acquire("t", a, ttl: 5))
        scene.turn(to: 5)
        #expect(scene.say(command) == "no lease t")
        #expect(scene.events.last == "lease.expired t a #1 until 5s")
    }

    @Test func `Renewal counts from now, and without a ttl repeats the last one given`() {
        let scene = Scene()
        scene.register(a, ttl: 1000)
        scene.say(.acquire("t", a, ttl: 10))
        scene.turn(to: 5)
        #expect(scene.say(.renew("t", a, 1)) == "has t a #1 until 15s")
        #expect(scene.say(.renew("t", a, 1, ttl: 30)) == "has t a #1 until 35s")
        scene.turn(to: 6)
        #expect(scene.say(.renew("t", a, 1)) == "has t a #1 until 36s")
        #expect(scene.say(.renew("t", a, 1, ttl: 2)) == "has t a #1 until 8s")
        #expect(scene.events.last == "lease.renewed t a #1 until 8s")
        scene.wait(until: 8)
        #expect(scene.events == ["lease.expired t a #1 until 8s"])
    }

    @Test func `Only the holder, with its token, renews and releases`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.acquire("t", a))
        for (command, outcome): (Command, String) in [
            (.renew("none", a, 1), "no lease none"),
            (.release("none", a, 1), "no lease none"),
            (.renew("t", b, 1), "t is held by a, not b"),
            (.release("t", b, 1), "t is held by a, not b"),
            (.renew("t", a, 9), "stale token t #9, now #1"),
            (.release("t", a, 9), "stale token t #9, now #1"),
            (.renew("t", c, 1), "t is held by a, not c"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(scene.events.last == "lease.acquired t a #1 until 60s")
    }

    @Test func `A second release does nothing, whoever holds the lease now`() {
        let scene = Scene()
        scene.register(a, b, ttl: 10_000)
        for (command, outcome): (Command, String) in [
            (.acquire("t", a), "has t a #1 until 60s"),
            (.release("t", a, 1), "done"),
            (.release("t", a, 1), "done"),
            (.release("t", b, 1), "no lease t"),
            (.release("u", a, 1), "no lease u"),
            (.acquire("t", b, ttl: 5000), "has t b #2 until 5000s"),
            (.release("t", a, 1), "done"),
            (.release("t", a, 2), "t is held by b, not a"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        scene.turn(to: 599)
        #expect(scene.say(.release("t", a, 1)) == "done")
        scene.turn(to: 600)
        #expect(scene.say(.release("t", a, 1)) == "t is held by b, not a")
        #expect(scene.events.suffix(2) == ["lease.released t a #1 until 60s", "lease.acquired t b #2 until 5000s"])
    }

    @Test func `So many released leases are remembered`() {
        var limits = Limits()
        limits.maxReleasedLeases = 2
        let scene = Scene(limits: limits)
        scene.register(a)
        for token in 1...3 {
            scene.say(.acquire("t", a))
            scene.say(.release("t", a, UInt64(token)))
        }
        #expect(scene.say(.release("t", a, 1)) == "no lease t")
        #expect(scene.say(.release("t", a, 2)) == "done")
        #expect(scene.say(.release("t", a, 3)) == "done")
    }

    @Test func `Fields have their ranges`() {
        let scene = Scene()
        scene.register(a)
        let long = String(repeating: "x", count: 1025)
        for (command, outcome): (Command, String) in [
            (.acquire("", a), "task_id must not be empty"),
            (.renew("", a, 1), "task_id must not be empty"),
            (.release("", a, 1), "task_id must not be empty"),
            (.acquire("t", a, ttl: 604_801), "ttl_seconds must be at most 604800 (7 days), found 604801"),
            (.renew("t", a, 1, ttl: 604_801), "ttl_seconds must be at most 604800 (7 days), found 604801"),
            (
                .acquire(TaskID(long), a),
                "task_id must be at most 1024 bytes, found 1025: \"\(long.prefix(200))…\""
            ),
            (.acquire("t", a, id: ""), "request_id must not be empty"),
        ] {
            #expect(scene.say(command) == "invalid: " + outcome)
        }
        #expect(scene.say(.acquire(TaskID(String(long.dropLast())), a)).hasPrefix("has"))
    }

    @Test func `Time never goes back`() {
        let scene = Scene()
        scene.register(a, b, ttl: 1000)
        scene.turn(to: 100)
        scene.say(.acquire("t", a, ttl: 5))
        scene.turn(to: 50)
        #expect(scene.say(.acquire("t", b)) == "held t a #1 until 105s")
        #expect(scene.say(.renew("t", a, 1, ttl: 5)) == "has t a #1 until 55s")
        scene.wait(until: 104.9)
        #expect(scene.events.last == "lease.renewed t a #1 until 55s")
        scene.wait(until: 105)
        #expect(scene.events == ["lease.expired t a #1 until 55s"])
    }

    @Test func `A wall clock that jumps expires and prolongs nothing`() {
        var machine = Machine(tokensStartAbove: FencingToken(0))
        func moment(_ seconds: Int64, wall: Int64) -> Moment {
            Moment(
                instant: Instant(nanoseconds: seconds * 1_000_000_000),
                wall: WallTime(nanoseconds: wall * 1_000_000_000))
        }
        _ = machine.apply(.register(.init(newID: a, card: card("a"), ttlSeconds: 0)), at: moment(0, wall: 1_000_000))
        _ = machine.apply(.acquire("t", a, ttl: 5), at: moment(0, wall: 1_000_000))
        _ = machine.apply(.advance, at: moment(4, wall: 9_000_000))
        #expect(machine.counts.leases == 1)
        _ = machine.apply(.advance, at: moment(5, wall: 0))
        #expect(machine.counts.leases == 0)
    }

    @Test func `Deadlines fall due in the order of time`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.say(.acquire("late", a, ttl: 15))
        scene.say(.acquire("early", a, ttl: 3))
        scene.say(.acquire("put off", a, ttl: 1))
        scene.say(.renew("put off", a, 3, ttl: 12))
        _ = scene.events
        scene.wait(until: 1000)
        #expect(
            scene.events == [
                "lease.expired early a #2 until 3s", "agent.unreachable a unreachable",
                "lease.expired put off a #3 until 12s", "lease.expired late a #1 until 15s", "agent.died a dead",
            ])
    }

    @Test func `The next deadline is known, and a cancelled one leaves nothing behind`() {
        let scene = Scene()
        #expect(scene.read { $0.nextDeadline } == nil)
        scene.register(a, ttl: 10)
        #expect(scene.read { $0.nextDeadline } == Instant(nanoseconds: 10_500_000_000))
        scene.say(.acquire("t", a, ttl: 5))
        #expect(scene.read { $0.nextDeadline } == Instant(nanoseconds: 5_000_000_000))
        scene.say(.release("t", a, 1))
        #expect(scene.read { $0.nextDeadline } == Instant(nanoseconds: 10_500_000_000))
        #expect(scene.read { $0.counts.deadlines } == 1)
    }
}
