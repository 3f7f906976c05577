// Agents as handles and scopes.

import AgentKeeper
import Glibc
import Testing

@Suite("Agents of the SDK", .timeLimit(.minutes(15)))
struct AgentTests {
    @Test("An agent beats by itself: it is alive after many ttls, and leaves when its scope ends")
    func beats() async throws {
        try await shared.withClient { keeper in
            let id = try await keeper.withAgent(named: "anna", ttl: .seconds(4)) { agent in
                // The daemon would have taken it for dead after eight seconds and a half.
                let events = try await keeper.watch(
                    WatchFilter(topics: ["agent.unreachable", "agent.died"], agent: agent.id), reportsProgress: true)
                var silences = 0
                for try await element in events {
                    // Each is one of five seconds.
                    guard case .progress = element else {
                        Issue.record("\(element)")
                        break
                    }
                    silences += 1
                    if silences == 2 { break }
                }
                #expect(agent.isAlive && agent.state == .alive(agent.id))
                return agent.id
            }
            #expect(try await keeper.agent(id).status == .dead)
        }
    }

    @Test("A scope is cancelled at once when the daemon takes its agent for dead, and throws that")
    func scopeOfTheDead() async throws {
        try await shared.withClient { keeper in
            let failure = await error {
                // The heartbeats would not tell for a long time: the event does.
                try await keeper.withAgent(named: "anna", ttl: .seconds(3_600)) { agent in
                    try await keeper.deregisterAgent(agent.id)
                    #expect(await sleepUntilCancelled())
                    #expect(!agent.isAlive)
                }
            }
            guard case .agentDied = failure else {
                Issue.record("found \(String(describing: failure))")
                return
            }
        }
    }

    @Test("An agent that is to register anew goes on under another id, and its states tell")
    func registersAnew() async throws {
        try await shared.withClient { keeper in
            let card = AgentCard(name: "anna", tools: [unique("tool")])
            let agent = try await keeper.register(card, ttl: .seconds(3_600), whenDead: .registerAnew)
            let first = agent.id
            let lease = try await agent.acquireLease(on: unique("task"))
            var states = agent.states.makeAsyncIterator()
            #expect(await states.next() == .alive(first))
            try await keeper.deregisterAgent(first)
            guard case .dead(first, _) = await states.next(), case .alive(let second) = await states.next() else {
                Issue.record("found \(agent.state)")
                return
            }
            #expect(second != first && agent.id == second && agent.isAlive)
            #expect(lease.loss != nil && !lease.isHeld)
            #expect(try await keeper.find(tools: card.tools).map(\.id) == [second])
            #expect(try await agent.acquireLease(on: lease.taskID).info.holder == second)
            try await agent.deregister()
            #expect(await states.next() == .left(second))
            #expect(await states.next() == nil)
            try await agent.deregister()
        }
    }

    @Test("An agent whose daemon is away is unreachable, loses what it holds, and comes back")
    func unreachable() async throws {
        try await withNetwork { keeper, proxy, _ in
            let agent = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(6))
            // Its own ttl is no danger: it is the agent's silence that ends it.
            let lease = try await agent.acquireLease(on: "task", ttl: .seconds(600))
            var states = agent.states.makeAsyncIterator()
            #expect(await states.next() == .alive(agent.id))
            await proxy.hold()
            guard case .unreachable(agent.id, _) = await states.next() else {
                Issue.record("found \(agent.state)")
                return
            }
            guard case .unreachable = await lease.waitUntilLost() else {
                Issue.record("found \(String(describing: lease.loss))")
                return
            }
            #expect(!agent.isAlive)
            await proxy.letGo()
            // The daemon may have taken it for dead meanwhile, or not.
            switch await states.next() {
            case .alive(agent.id): #expect(agent.isAlive)
            case .dead(agent.id, _): #expect(!agent.isAlive)
            case let other: Issue.record("found \(String(describing: other))")
            }
        }
    }

    @Test("A daemon that was killed and started anew gets its agents back")
    func daemonStartsAnew() async throws {
        let port = try await freePort()
        let first = try await EmbeddedDaemon.start(EmbeddedOptions(port: port))
        try await AgentKeeperClient.withClient(of: first.address) { keeper in
            let agent = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(6), whenDead: .registerAnew)
            let old = agent.id
            kill(first.processID, SIGKILL)
            await first.waitUntilExit()
            let second = try await EmbeddedDaemon.start(EmbeddedOptions(port: port))
            for await state in agent.states {
                if case .alive(let id) = state, id != old { break }
            }
            #expect(try await keeper.agent(agent.id).status == .alive)
            try await agent.deregister()
            await second.stop()
        }
    }
}
