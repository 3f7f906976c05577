import Coordination
import Testing

@Suite struct LeaseWaitTests {
    @Test func `Who waits is served first come, first served`() {
        let scene = Scene()
        scene.register(a, b, c)
        for (command, outcome): (Command, String) in [
            (.acquire("t", a), "has t a #1 until 60s"),
            (.acquire("t", b, waitMilliseconds: 5000), "waiting 1"),
            (.acquire("t", c, ttl: 7, waitMilliseconds: 5000), "waiting 2"),
            (.acquire("t", a, waitMilliseconds: 5000), "waiting 3"),
            (.release("t", a, 1), "done"),
            (.acquire("t", a), "held t b #2 until 60s"),
            (.release("t", b, 2), "done"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(scene.settled == ["1: has t b #2 until 60s", "2: has t c #3 until 7s"])
        #expect(
            scene.events.suffix(4) == [
                "lease.released t a #1 until 60s", "lease.acquired t b #2 until 60s",
                "lease.released t b #2 until 60s", "lease.acquired t c #3 until 7s",
            ])
        scene.wait(until: 5)
        #expect(scene.settled == ["3: held t c #3 until 7s"])
    }

    @Test func `A free lease is not waited for`() {
        let scene = Scene()
        scene.register(a)
        #expect(scene.say(.acquire("t", a, waitMilliseconds: 1000)) == "has t a #1 until 60s")
    }

    @Test func `A wait that runs out shows the lease as it is then, just at its deadline`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.acquire("t", a, ttl: 10))
        scene.say(.acquire("t", b, waitMilliseconds: 1500))
        scene.say(.renew("t", a, 1, ttl: 20))
        scene.wait(until: 1.499)
        #expect(scene.settled == [])
        scene.wait(until: 1.5)
        #expect(scene.settled == ["1: held t a #1 until 20s"])
        scene.say(.release("t", a, 1))
        #expect(scene.settled == [])
        #expect(scene.say(.acquire("t", b)) == "has t b #2 until 61.5s")
    }

    @Test func `A wait that is cancelled leaves no trace`() {
        let scene = Scene()
        scene.register(a, b, c)
        scene.say(.acquire("t", a))
        scene.say(.acquire("t", b, waitMilliseconds: 5000))
        scene.say(.acquire("t", c, waitMilliseconds: 5000))
        #expect(scene.say(.cancelWait(scene.waiter(1))) == "done")
        #expect(scene.say(.cancelWait(scene.waiter(1))) == "done")
        scene.say(.release("t", a, 1))
        #expect(scene.settled == ["2: has t c #2 until 60s"])
        #expect(scene.say(.cancelWait(scene.waiter(2))) == "done")
        #expect(scene.say(.acquire("t", b)) == "held t c #2 until 60s")
        scene.wait(until: 10)
        #expect(scene.settled == [])
    }

    @Test func `An expired lease goes to who waits for it`() {
        let scene = Scene()
        scene.register(a, b)
        scene.say(.acquire("t", a, ttl: 2))
        scene.say(.acquire("t", b, ttl: 10, waitMilliseconds: 5000))
        _ = scene.events
        scene.wait(until: 2)
        #expect(scene.events == ["lease.expired t a #1 until 2s", "lease.acquired t b #2 until 12s"])
        #expect(scene.settled == ["1: has t b #2 until 12s"])
        #expect(scene.say(.renew("t", a, 1)) == "t is held by b, not a")
    }

    @Test func `An unreachable agent may use, take and wait for leases`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.register(b, ttl: 1000)
        scene.say(.acquire("t", b, ttl: 100))
        scene.wait(until: 10.5)
        #expect(scene.say(.acquire("u", a)) == "has u a #2 until 70.5s")
        #expect(scene.say(.renew("u", a, 2)) == "has u a #2 until 70.5s")
        #expect(scene.say(.acquire("t", a, waitMilliseconds: 5000)) == "waiting 1")
        scene.say(.release("t", b, 1))
        #expect(scene.settled == ["1: has t a #3 until 70.5s"])
    }

    @Test func `A grant that did not reach its client ends, and goes to the next`() {
        let scene = Scene()
        scene.register(a, b, c)
        scene.say(.acquire("t", a))
        scene.say(.acquire("t", b, waitMilliseconds: 5000))
        scene.say(.acquire("t", c, waitMilliseconds: 5000))
        scene.say(.release("t", a, 1))
        #expect(scene.settled == ["1: has t b #2 until 60s"])
        _ = scene.events
        #expect(scene.say(.returnGrant("t", FencingToken(2))) == "done")
        #expect(scene.events == ["lease.expired t b #2 until 60s", "lease.acquired t c #3 until 60s"])
        #expect(scene.settled == ["2: has t c #3 until 60s"])
        // It has moved on since: nothing is taken back.
        #expect(scene.say(.returnGrant("t", FencingToken(2))) == "done")
        #expect(scene.say(.returnGrant("none", FencingToken(2))) == "done")
        #expect(scene.events == [])
        #expect(scene.say(.acquire("t", a)) == "held t c #3 until 60s")
    }

    @Test func `There are only so many waiting calls`() {
        var limits = Limits()
        limits.maxWaiters = 1
        let scene = Scene(limits: limits)
        scene.register(a)
        scene.say(.acquire("t", a))
        #expect(scene.say(.acquire("t", a, waitMilliseconds: 1000)) == "waiting 1")
        #expect(
            scene.say(.acquire("t", a, waitMilliseconds: 1000)) == "limit: 1 calls wait already, the most that may")
        #expect(scene.say(.claimTask(a)) == "limit: 1 calls wait already, the most that may")
        #expect(scene.say(.acquire("t", a)) == "held t a #1 until 60s")
        scene.wait(until: 1)
        #expect(scene.say(.claimTask(a)) == "waiting 2")
    }
}
