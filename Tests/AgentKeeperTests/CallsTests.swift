// Every call of the daemon once, as plain values in and out.

import AgentKeeper
import Testing

@Suite("Calls of the SDK", .timeLimit(.minutes(15)))
struct CallsTests {
    @Test("An agent is registered as its card says, found by tool and words, and gone when it leaves")
    func registry() async throws {
        try await shared.withClient { keeper in
            let tool = unique("tool")
            let card = AgentCard(
                name: "anna", description: "Summarizes reports", version: "1.2",
                capabilities: [Capability("summaries", description: "short ones")], tools: [tool, "browser"],
                metadata: ["team": "a", "region": "b"])
            let id = try await keeper.registerAgent(card, ttl: .seconds(60))
            let other = try await keeper.registerAgent(AgentCard(name: "ben", tools: [tool]), ttl: .seconds(60))
            try await keeper.heartbeat(id)
            let info = try await keeper.agent(id)
            #expect(info.id == id && info.card == card && info.status == .alive)
            #expect(info.lastHeartbeatAt >= info.registeredAt)
            #expect(try await keeper.find("who summarizes reports?", tools: [tool]).map(\.id) == [id, other])
            #expect(try await keeper.find("", tools: [tool], limit: 1).map(\.id) == [id])
            try await keeper.deregisterAgent(id)
            #expect(try await keeper.agent(id).status == .dead)
            #expect(await error { try await keeper.heartbeat(id) }?.code == .notFound)
        }
    }

    @Test("A lease is held once, waits in line, renews under its token alone, and is free when released")
    func leases() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            let anna = try await keeper.registerAgent(AgentCard(name: "anna"))
            let ben = try await keeper.registerAgent(AgentCard(name: "ben"))
            let first = try await keeper.acquireLease(on: task, for: anna, ttl: .seconds(60))
            #expect(first.isAcquired && first.lease.holder == anna && first.lease.taskID == task)
            let second = try await keeper.acquireLease(on: task, for: ben, waitingUpTo: .milliseconds(20))
            #expect(!second.isAcquired && second.lease.token == first.lease.token)
            let renewed = try await keeper.renewLease(on: task, for: anna, token: first.lease.token)
            #expect(renewed.token == first.lease.token && renewed.expiresAt >= first.lease.expiresAt)
            let stale = FencingToken(first.lease.token.value - 1)
            #expect(
                await error { try await keeper.renewLease(on: task, for: anna, token: stale) }?.code
                    == .permissionDenied)
            async let waiting = keeper.acquireLease(on: task, for: ben, waitingUpTo: .seconds(30))
            try await keeper.releaseLease(on: task, for: anna, token: first.lease.token)
            let third = try await waiting
            #expect(third.isAcquired && third.lease.token > first.lease.token)
        }
    }

    @Test("A request id makes one lease of two calls")
    func requestID() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            let anna = try await keeper.registerAgent(AgentCard(name: "anna"))
            let once = try await keeper.acquireLease(on: task, for: anna, requestID: task)
            let again = try await keeper.acquireLease(on: task, for: anna, requestID: task)
            #expect(once.isAcquired && again.isAcquired && again.lease.token == once.lease.token)
        }
    }

    @Test("The first candidate leads until it resigns")
    func elections() async throws {
        try await shared.withClient { keeper in
            let group = unique("group")
            let anna = try await keeper.registerAgent(AgentCard(name: "anna"))
            let ben = try await keeper.registerAgent(AgentCard(name: "ben"))
            #expect(try await keeper.campaign(in: group, for: anna).leader == anna)
            let state = try await keeper.campaign(in: group, for: ben)
            #expect(state.leader == anna && state.group == group && state.term == 1 && state.electedAt != nil)
            try await keeper.resign(from: group, for: anna)
            #expect(try await keeper.campaign(in: group, for: ben).leader == ben)
        }
    }

    @Test("Policies decide, are listed by subject in any number of pages, and require throws the reason")
    func entitlements() async throws {
        try await shared.withClient { keeper in
            let name = unique("agent")
            let policies = (0..<5).map { Policy.allow("\(name):\($0)", to: "call", on: "tool:*", id: "\(name)-\($0)") }
            for policy in policies { #expect(try await keeper.setPolicy(policy) == policy) }
            #expect(try await keeper.policies(subjectPrefix: name) == policies)
            let page = try await keeper.policies(subjectPrefix: name, pageSize: 2)
            #expect(page.elements == Array(policies[..<2]))
            let next = try await keeper.policies(subjectPrefix: name, pageSize: 4, after: page.nextToken)
            #expect(next.elements == Array(policies[2...]) && next.nextToken == nil)
            #expect(try await keeper.check("\(name):1", may: "call", on: "tool:browser").isAllowed)
            try await keeper.require("\(name):1", may: "call", on: "tool:browser")
            try await keeper.setPolicy(.deny("\(name):1", to: "*", on: "tool:b*", id: "\(name)-no"))
            #expect(
                await error { try await keeper.require("\(name):1", may: "call", on: "tool:browser") }
                    == .denied(reason: "denied by policy \"\(name)-no\""))
            try await keeper.deletePolicy(id: "\(name)-no")
            #expect(await error { try await keeper.deletePolicy(id: "\(name)-no") }?.code == .notFound)
        }
    }

    @Test("A task goes from its creator through a claim to its result")
    func tasks() async throws {
        try await shared.withClient { keeper in
            let tool = unique("tool")
            let anna = try await keeper.registerAgent(AgentCard(name: "anna", tools: [tool]))
            let task = try await keeper.createTask(
                "scrape", input: [1, 2], requiredTools: [tool], maxRetries: 1, ttl: .seconds(60))
            #expect(task.status == .pending && task.input == [1, 2] && task.requiredTools == [tool])
            let claim = try #require(try await keeper.claimTask(for: anna))
            #expect(claim.task.id == task.id && claim.task.claimedBy == anna && claim.lease.taskID == task.id)
            try await keeper.failTask(task.id, for: anna, token: claim.lease.token, reason: "no luck")
            let again = try #require(try await keeper.claimTask(for: anna))
            #expect(again.task.retryCount == 1 && again.task.failureReason == "no luck")
            try await keeper.completeTask(task.id, for: anna, token: again.lease.token, output: [3])
            let done = try await keeper.task(task.id)
            #expect(done.status == .completed && done.output == [3] && done.finishedAt != nil)
            #expect(try await keeper.tasks(.completed).contains { $0.id == task.id })
            #expect(try await keeper.claimTask(for: anna, waitingUpTo: .milliseconds(20)) == nil)
        }
    }

    @Test("What the daemon refuses is told with its code and its words")
    func refusals() async throws {
        try await shared.withClient { keeper in
            let failure = await error { try await keeper.registerAgent(AgentCard(name: "")) }
            #expect(failure?.code == .invalidArgument && failure?.message.contains("name") == true)
            #expect(await error { try await keeper.task("nothing") }?.code == .notFound)
            #expect(
                await error { try await keeper.registerAgent(AgentCard(name: "a"), ttl: .zero) }?.code
                    == .invalidArgument)
            #expect(await error { try await keeper.policies(pageSize: -1) }?.code == .invalidArgument)
        }
    }
}
