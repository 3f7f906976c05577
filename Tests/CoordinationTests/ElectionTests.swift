import Coordination
import Testing

@Suite struct ElectionTests {
    @Test func `The first candidate leads, and the longest-waiting one after it`() {
        let scene = Scene()
        scene.register(a, b, c)
        for (command, outcome): (Command, String) in [
            (.campaign("g", a), "g a term 1"),
            (.campaign("g", a), "g a term 1"),
            (.campaign("g", b), "g a term 1"),
            (.campaign("g", c), "g a term 1"),
            (.resign("g", b), "done"),
            (.resign("g", b), "done"),
            (.campaign("g", b), "g a term 1"),
            (.resign("g", a), "done"),
            (.campaign("g", a), "g c term 2"),
            (.resign("g", c), "done"),
            (.resign("g", b), "done"),
            (.resign("g", a), "done"),
            (.campaign("g", b), "g b term 6"),
            (.resign("none", b), "done"),
        ] {
            #expect(scene.say(command) == outcome)
        }
        #expect(
            scene.events.dropFirst(3) == [
                "leader.changed g a term 1", "leader.changed g c term 2 (a)", "leader.changed g b term 3 (c)",
                "leader.changed g a term 4 (b)", "leader.changed g nobody term 5 (a)", "leader.changed g b term 6",
            ])
    }

    @Test func `An election is told with the event of its last change`() {
        let scene = Scene()
        scene.register(a, b)
        #expect(scene.read { $0.election("g")?.changedBy } == nil)
        scene.turn(to: 5)
        scene.say(.campaign("g", a))
        scene.turn(to: 6)
        scene.say(.campaign("g", b))
        let led = scene.read { $0.election("g") }
        #expect(led?.state.leader == a && led?.state.electedAt == WallTime(nanoseconds: 5_000_000_000))
        #expect(led?.changedBy == Sequence(3) && led?.changedAt == WallTime(nanoseconds: 5_000_000_000))
        scene.say(.resign("g", b))
        scene.say(.resign("g", a))
        let left = scene.read { $0.election("g") }
        #expect(left?.state.leader == nil && left?.state.electedAt == nil && left?.state.term == Term(2))
        #expect(left?.changedBy == Sequence(4))
    }

    @Test func `An unreachable leader leads until it dies`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.register(b, ttl: 1000)
        scene.say(.campaign("g", a))
        scene.say(.campaign("g", b))
        scene.wait(until: 20.4)
        #expect(scene.read { $0.election("g")?.state.leader } == a)
        scene.wait(until: 20.5)
        #expect(scene.read { $0.election("g")?.state.leader } == b)
    }

    @Test func `A group has a name, and there are only so many candidates`() {
        var limits = Limits()
        limits.maxCandidates = 2
        let scene = Scene(limits: limits)
        scene.register(a, b, c)
        #expect(scene.say(.campaign("", a)) == "invalid: group must not be empty")
        #expect(scene.say(.resign("", a)) == "invalid: group must not be empty")
        scene.say(.campaign("g", a))
        scene.say(.campaign("g", b))
        #expect(scene.say(.campaign("h", c)) == "limit: there are 2 candidates, the most there may be")
        #expect(scene.read { $0.election("h")?.changedBy } == nil)
        scene.say(.resign("g", a))
        #expect(scene.say(.campaign("h", c)) == "h c term 1")
    }

    @Test func `When there are too many elections the longest empty one is forgotten, and no term goes back`() {
        var limits = Limits()
        limits.maxElections = 2
        let scene = Scene(limits: limits)
        scene.register(a)
        for (command, outcome): (Command, String) in [
            (.campaign("x", a), "x a term 1"),
            (.campaign("y", a), "y a term 1"),
            (.campaign("z", a), "limit: there are 2 elections with candidates, the most there may be"),
            (.resign("x", a), "done"),
            (.campaign("x", a), "x a term 3"),
            (.resign("y", a), "done"),
            (.resign("x", a), "done"),
            // Now y is the longest empty, at term 2.
            (.campaign("z", a), "z a term 3"),
            (.campaign("x", a), "x a term 5"),
            (.resign("z", a), "done"),
            (.campaign("y", a), "y a term 5"),
        ] {
            #expect(scene.say(command) == outcome)
        }
    }
}
