// Runs the documentation's examples and looks at what they did.

import AgentKeeper
import Testing

@testable import Scrapers

@Suite(.timeLimit(.minutes(15))) struct ExamplesTests {
    @Test func overview() async throws {
        let pages = try await Examples.overview(try await ScrapersTests.daemon.daemon.address)
        #expect(String(decoding: pages, as: UTF8.self).hasPrefix("example.com with token "))
    }

    @Test func tasks() async throws {
        try await AgentKeeperClient.withEmbedded { keeper in
            try await Examples.register(keeper)
            let watch = Task { try await Examples.watch(keeper) }
            let events = try await keeper.watch(WatchFilter(topics: ["task.completed"]))
            let ids = [try await Examples.create(keeper).id, try await Examples.create(keeper).id]
            let agent = try await keeper.register(AgentCard(name: "scraper-1", tools: ["browser"]))
            let workers = [Task { await Examples.work(agent) }, Task { await Examples.loop(agent) }]
            var done = 0
            for try await _ in events {
                done += 1
                if done == 2 { break }
            }
            for id in ids { #expect(try await keeper.task(id).status == .completed) }
            for worker in workers { worker.cancel() }
            watch.cancel()
        }
    }

    @Test func policies() async throws {
        try await AgentKeeperClient.withEmbedded { keeper in
            try await Examples.policies(keeper)
            let decision = try await keeper.check("agent:other", may: "call", on: "tool:browser")
            #expect(!decision.isAllowed)
        }
    }

    @Test func leases() async throws {
        try await ScrapersTests.daemon.withClient { keeper in
            try await keeper.withAgent(named: "anna") { agent in
                #expect(try await Examples.lease(agent) == "an answer to: write the report")
                try await Examples.errors(agent)
                let lease = try await agent.acquireLease(on: "report")
                try await Examples.pages(["a", "b"], lease)
                let newer = try await agent.acquireLease(on: "another report")
                try await write("c", token: newer.token)
                await #expect(throws: Fenced.self) { try await write("d", token: lease.token) }
                try await lease.release()
                await #expect(throws: AgentKeeperError.self) { try await Examples.pages(["e"], lease) }
            }
        }
    }

    @Test func leading() async throws {
        try await AgentKeeperClient.withEmbedded { keeper in
            let agent = try await keeper.register(AgentCard(name: "anna"))
            try await Examples.lead(agent)
            let campaign = Task { await Examples.campaign(agent) }
            while await planned.terms.count < 2 { try await Task.sleep(for: .milliseconds(10)) }
            campaign.cancel()
            await campaign.value
            #expect(await planned.terms.sorted() == planned.terms)
        }
    }

    @Test func embedded() async throws {
        try await Examples.embedded()
        #expect(Examples.durable().dataDirectory == "/var/lib/scrapers")
        try await AgentKeeperClient.withEmbedded { keeper in
            let agent = try await keeper.register(AgentCard(name: "anna"))
            let lease = try await agent.acquireLease(on: "page", ttl: .seconds(1))
            let reason = await Examples.stopped(try #require(keeper.daemon), lease)
            guard case .unreachable = reason else {
                Issue.record("found \(String(describing: reason))")
                return
            }
        }
    }
}
