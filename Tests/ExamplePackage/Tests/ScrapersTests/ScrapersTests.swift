import AgentKeeper
import Testing

@Suite struct ScrapersTests {
    static let daemon = SharedDaemon()

    @Test func oneAtATime() async throws {
        try await Self.daemon.withClient { keeper in
            try await keeper.withAgent(named: "anna") { agent in
                let lease = try await agent.acquireLease(on: "page")
                #expect(try await agent.acquireLeaseIfFree(on: "page") == nil)
                try await lease.release()
            }
        }
    }
}
