import Coordination
import Testing

@Suite struct RegistryTests {
    @Test func `An agent's deadline is its ttl and half a second, and again its ttl until it is dead`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        #expect(scene.events == ["agent.registered a alive"])
        for (time, events) in [
            (10.499_999_999, []),
            (10.5, ["agent.unreachable a unreachable"]),
            (20.499_999_999, []),
            (20.5, ["agent.died a dead"]),
            (100, []),
        ] {
            scene.wait(until: time)
            #expect(scene.events == events, "at \(time)")
        }
    }

    @Test func `A heartbeat moves the deadline, and brings an unreachable agent back`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.turn(to: 10)
        #expect(scene.say(.heartbeat(a)) == "done")
        scene.wait(until: 20)
        #expect(scene.events == ["agent.registered a alive"])
        scene.wait(until: 30)
        #expect(scene.events == ["agent.unreachable a unreachable"])
        #expect(scene.say(.heartbeat(a)) == "done")
        #expect(scene.events == ["agent.recovered a alive"])
        scene.wait(until: 40.4)
        #expect(scene.events == [])
        scene.wait(until: 50.5)
        #expect(scene.events == ["agent.unreachable a unreachable", "agent.died a dead"])
    }

    @Test func `Nothing but a heartbeat proves life`() {
        let scene = Scene()
        scene.register(a, ttl: 10)
        scene.turn(to: 9)
        scene.say(.acquire("t", a))
        scene.say(.campaign("g", a))
        scene.say(.claimTask(a))
        scene.wait(until: 10.5)
        #expect(scene.events.last == "agent.unreachable a unreachable")
    }

    @Test func `A dead agent never comes back, an unknown one is told apart`() {
        let scene = Scene()
        scene.register(a)
        for (command, outcome): (Command, String) in [
            (.heartbeat(b), "unknown agent b"),
            (.deregister(b), "unknown agent b"),
            (.deregister(a), "done"),
            (.deregister(a), "done"),
            (.heartbeat(a), "dead agent a"),
            (.acquire("t", a), "dead agent a"),
            (.acquire("t", b), "unknown agent b"),
            (.campaign("g", a), "dead agent a"),
            (.campaign("g", b), "unknown agent b"),
            (.resign("g", a), "done"),
            (.resign("g", b), "unknown agent b"),
            (.claimTask(a), "dead agent a"),
            (.claimTask(b), "unknown agent b"),
        ] {
            #expect(scene.say(command) == outcome, "\(command)")
        }
        #expect(scene.events == ["agent.registered a alive", "agent.died a dead"])
    }

    @Test func `The default ttl is 30 seconds and the longest a week`() {
        let scene = Scene()
        #expect(scene.say(.register(.init(newID: a, card: card("a"), ttlSeconds: 0))) == "registered a")
        #expect(scene.say(.register(.init(newID: b, card: card("b"), ttlSeconds: 604_800))) == "registered b")
        #expect(
            scene.say(.register(.init(newID: c, card: card("c"), ttlSeconds: 700_000)))
                == "invalid: ttl_seconds must be at most 604800 (7 days), found 700000")
        _ = scene.events
        scene.wait(until: 30.5)
        #expect(scene.events == ["agent.unreachable a unreachable"])
    }

    @Test func `Names may repeat, but not be empty`() {
        let scene = Scene()
        #expect(scene.say(.register(.init(newID: a, card: card("same"), ttlSeconds: 0))) == "registered a")
        #expect(scene.say(.register(.init(newID: b, card: card("same"), ttlSeconds: 0))) == "registered b")
        #expect(
            scene.say(.register(.init(newID: c, card: card(""), ttlSeconds: 0)))
                == "invalid: card.name must not be empty")
    }

    @Test func `Dead agents are kept for a day, and so many`() {
        var limits = Limits()
        limits.maxDeadAgents = 2
        let scene = Scene(limits: limits)
        scene.register(a, b, c, d, ttl: 604_800)
        for agent in [a, b, c] { scene.say(.deregister(agent)) }
        #expect(scene.read { $0.agent(a)?.status } == nil)
        #expect(scene.read { $0.agent(b)?.status } == .dead)
        scene.turn(to: 86_399)
        #expect(scene.read { $0.agent(c)?.status } == .dead)
        scene.turn(to: 86_400)
        #expect(scene.read { $0.agent(c)?.status } == nil)
        #expect(scene.read { $0.agent(d)?.status } == .alive)
        #expect(scene.say(.deregister(c)) == "unknown agent c")
    }

    @Test func `There are only so many living agents, and so many bytes of all cards`() {
        var limits = Limits()
        limits.maxAgents = 2
        limits.maxAgentBytes = 30
        limits.maxDeadAgentBytes = 15
        let scene = Scene(limits: limits)
        func register(_ id: AgentID, _ name: String) -> String {
            scene.say(.register(.init(newID: id, card: AgentCard(name: name), ttlSeconds: 0)))
        }
        #expect(register(a, "ten bytes.") == "registered a")
        #expect(register(b, "no more than 20 bytes") == "limit: the agents' cards have 10 bytes of at most 30")
        #expect(register(b, "no more than twenty.") == "registered b")
        #expect(register(c, "x") == "limit: there are 2 living agents, the most there may be")
        scene.say(.deregister(a))
        #expect(scene.read { $0.agent(a)?.status } == .dead)
        scene.say(.deregister(b))
        #expect(scene.read { ($0.agent(a)?.status, $0.agent(b)?.status) } == (nil, nil))
        #expect(register(c, "x") == "registered c")
    }

    @Test func `Only living agents that are not silent are found`() {
        let scene = Scene()
        scene.register(a, b, tools: ["saw", "axe"], ttl: 10)
        scene.register(c, tools: ["saw"], ttl: 100)
        #expect(scene.read { $0.find(query: "", tools: [], limit: 0) }.map(\.id) == [a, b, c])
        #expect(scene.read { $0.find(query: "", tools: [], limit: 2) }.map(\.id) == [a, b])
        #expect(scene.read { $0.find(query: "", tools: ["saw", "axe"], limit: 0) }.map(\.id) == [a, b])
        scene.say(.deregister(a))
        scene.turn(to: 10.5)
        #expect(scene.read { $0.find(query: "", tools: ["saw"], limit: 0) }.map(\.id) == [c])
        scene.say(.heartbeat(b))
        #expect(scene.read { $0.find(query: "", tools: ["saw"], limit: 0) }.map(\.id) == [b, c])
    }

    @Test func `What an agent says of itself and when it was heard is told`() {
        let scene = Scene()
        scene.turn(to: 5)
        scene.register(a)
        scene.turn(to: 7)
        scene.say(.heartbeat(a))
        let info = scene.read { $0.agent(a) }
        #expect(info?.card.name == "a")
        #expect(info?.registeredAt == WallTime(nanoseconds: 5_000_000_000))
        #expect(info?.lastHeartbeatAt == WallTime(nanoseconds: 7_000_000_000))
        #expect(scene.read { $0.agent(b)?.id } == nil)
    }

    @Test func `Agents are found in the order of registration also after the numbers of the index began anew`() {
        var limits = Limits()
        limits.maxSearchNumber = 2
        let scene = Scene(limits: limits)
        scene.register(a, b, c, tools: ["saw"])
        scene.say(.deregister(b))
        scene.register(d, tools: ["saw"])
        #expect(scene.read { $0.find(query: "", tools: ["saw"], limit: 0) }.map(\.id) == [a, c, d])
    }
}
