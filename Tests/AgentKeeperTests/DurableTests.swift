// A daemon that keeps its state in a data directory, killed in the middle: its clients go on as if nothing had been.

import AgentKeeper
import Foundation
import Testing

@Suite(
    "The SDK and a durable daemon", .timeLimit(.minutes(15)),
    .enabled("this daemon keeps its state in memory alone") { await isDurabilitySupported() })
struct DurableTests {
    @Test("Agents, leases, policies and watches outlive a daemon that is killed and started again")
    func killed() async throws {
        let directory = newDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let port = try await freePort()
        let first = try await EmbeddedDaemon.start(EmbeddedOptions(dataDirectory: directory, port: port))
        try await AgentKeeperClient.withClient(of: first.address) { keeper in
            let events = try await keeper.watch(WatchFilter(topics: ["policy."]))
            let agent = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(60))
            let lease = try await agent.acquireLease(on: "task", ttl: .seconds(60))
            try await keeper.setPolicy(.allow("*", to: "*", on: "*", id: "before"))
            kill(first.processID, SIGKILL)
            await first.waitUntilExit()
            let second = try await EmbeddedDaemon.start(EmbeddedOptions(dataDirectory: directory, port: port))
            try await keeper.setPolicy(.allow("*", to: "*", on: "*", id: "after"))
            #expect(try await keeper.policies().map(\.id) == ["after", "before"])
            #expect(try await keeper.agent(agent.id).status != .dead && agent.isAlive)
            #expect(lease.isHeld)
            _ = try await keeper.renewLease(on: "task", for: agent.id, token: lease.token)
            var iterator = events.makeAsyncIterator()
            for id in ["before", "after"] {
                guard case .policy(let policy) = try await iterator.next()?.event?.payload else {
                    Issue.record("the watch has a gap")
                    return
                }
                #expect(policy.id == id)
            }
            try await agent.deregister()
            await second.stop()
        }
    }
}

private func newDirectory() -> String {
    NSTemporaryDirectory() + "agentkeeper-\(UInt64.random(in: 0...UInt64.max))"
}

private func isDurabilitySupported() async -> Bool {
    let directory = newDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    do throws(AgentKeeperError) {
        try await EmbeddedDaemon.start(EmbeddedOptions(dataDirectory: directory)).stop()
        return true
    } catch {
        return !error.message.contains("keeps its state in memory alone")
    }
}
