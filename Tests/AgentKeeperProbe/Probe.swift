// A program on the SDK for tests that need a process of their own: one that is killed, one that blocks.
// usage: AgentKeeperProbe orphan | blocking ADDRESS

import AgentKeeper
import Glibc

@main
struct Probe {
    static func main() async throws {
        switch CommandLine.arguments.dropFirst().first {
        case "orphan": try await orphan()
        case "blocking": try await blocking(CommandLine.arguments[2])
        default: exit(64)
        }
    }

    /// Starts a daemon, says its process id, and waits to be killed.
    private static func orphan() async throws {
        let keeper = try await AgentKeeperClient.embedded()
        let agent = try await keeper.register(AgentCard(name: "probe"))
        say("\(keeper.daemon!.processID) \(keeper.address)")
        _ = await agent.states.first { $0 == .left(agent.id) }
    }

    /// Holds a lease for several ttls while it blocks every thread of Swift's pool.
    private static func blocking(_ address: String) async throws {
        try await AgentKeeperClient.withClient(of: address) { keeper in
            try await keeper.withAgent(named: "probe", ttl: .seconds(4)) { agent in
                let lease = try await agent.acquireLease(on: "probe", ttl: .seconds(4))
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<sysconf(Int32(_SC_NPROCESSORS_ONLN)) {
                        group.addTask { _ = sleep(10) }
                    }
                }
                let status = try await keeper.agent(agent.id).status
                let holds = try await keeper.leaseDetails(on: "probe").lease.info.token == lease.token
                say("\(status.rawValue) \(agent.isAlive) \(lease.isHeld) \(holds)")
            }
        }
    }

    private static func say(_ text: String) {
        print(text)
        fflush(nil)
    }
}
