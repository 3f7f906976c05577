// The documentation's examples, each in a function that the tests run.

import AgentKeeper
import Glibc

enum Examples {
    static func overview(_ address: String) async throws -> [UInt8] {
        let keeper = try await AgentKeeperClient.connect(to: address)
        let pages = try await keeper.withAgent(named: "scraper-1", tools: ["browser"]) { agent in
            try await agent.withLease(on: "task:42", ttl: .seconds(120)) { lease in
                try await scrape("example.com", token: lease.token)
            }
        }
        await keeper.close()
        return pages
    }

    static func register(_ keeper: AgentKeeperClient) async throws {
        try await keeper.withAgent(named: "scraper-1", tools: ["browser"], ttl: .seconds(30)) { agent in
            print("registered as \(agent.id)")
        }
    }

    static func create(_ keeper: AgentKeeperClient) async throws -> TaskInfo {
        let task = try await keeper.createTask(
            "scrape", input: Array("example.com".utf8), requiredTools: ["browser"], maxRetries: 2, ttl: .seconds(120))
        return task
    }

    static func work(_ agent: Agent) async {
        await agent.work(concurrency: 4) { task in
            try await scrape(String(decoding: task.input, as: UTF8.self), token: task.token)
        }
    }

    static func loop(_ agent: Agent) async {
        for await task in agent.tasks() {
            do {
                let output = try await task.whileHeld { try await scrape("\(task.id)", token: task.token) }
                try await task.complete(output)
            } catch {
                try? await task.fail("\(error)")
            }
        }
    }

    static func policies(_ keeper: AgentKeeperClient) async throws {
        try await keeper.setPolicy(.allow("agent:scraper*", to: "call", on: "tool:browser", id: "scrapers"))
        try await keeper.require("agent:scraper-1", may: "call", on: "tool:browser")
    }

    static func watch(_ keeper: AgentKeeperClient) async throws {
        for try await element in try await keeper.watch(WatchFilter(topics: ["task."])) {
            switch element {
            case .event(let event): print(event.topic, event.sequence)
            case .gap(let gap): print("events were missed, read the state anew: \(gap.reason)")
            case .progress: break
            }
        }
    }

    static func errors(_ agent: Agent) async throws {
        do {
            try await agent.withLease(on: "report", waitingUpTo: .seconds(5)) { lease in
                try await write("report", token: lease.token)
            }
        } catch AgentKeeperError.leaseHeld(let other) {
            print("agent \(other.holder) is at it")
        } catch AgentKeeperError.leaseLost(let reason) {
            print("somebody else may be at it now: \(reason)")
        } catch let error as AgentKeeperError where error.isTransient {
            print("later, perhaps: \(error)")
        }
    }

    static func lease(_ agent: Agent) async throws -> String {
        let lease = try await agent.acquireLease(on: "report:7", ttl: .seconds(60), waitingUpTo: .seconds(300))
        defer { Task { try await lease.release() } }
        let draft = try await lease.whileHeld { try await model("write the report") }
        return draft
    }

    static func pages(_ pages: [String], _ lease: Lease) async throws {
        for page in pages {
            try lease.checkHeld()
            try await write(page, token: lease.token)
        }
    }

    static func lead(_ agent: Agent) async throws {
        try await agent.withLeadership(of: "planners") { leadership in
            try await plan(term: leadership.term)
        }
    }

    static func campaign(_ agent: Agent) async {
        for await state in agent.campaign(in: "planners") {
            switch state {
            case .waiting(let election): print("agent \(election.leader?.rawValue ?? "nobody") leads")
            case .leading(let leadership): try? await leadership.whileLeading { try await plan(term: leadership.term) }
            case .lost(let reason): print("leads no more: \(reason)")
            }
        }
    }

    static func embedded() async throws {
        try await AgentKeeperClient.withEmbedded { keeper in
            try await keeper.createTask("scrape")
        }
    }

    static func stopped(_ daemon: EmbeddedDaemon, _ lease: Lease) async -> LeaseLoss? {
        kill(daemon.processID, SIGSTOP)
        let reason = await lease.waitUntilLost()
        kill(daemon.processID, SIGCONT)
        return reason
    }

    static func durable() -> EmbeddedOptions {
        let options = EmbeddedOptions(dataDirectory: "/var/lib/scrapers")
        return options
    }
}
