// Leases as handles and scopes, against the real daemon with its process and its network disturbed.

import AgentKeeper
import Glibc
import Testing

@Suite("Leases of the SDK", .timeLimit(.minutes(15)))
struct LeaseTests {
    @Test("A lease is renewed by itself for as long as the work takes, and free afterwards")
    func renewed() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            try await keeper.withAgent(named: "anna") { agent in
                let events = try await keeper.watch(WatchFilter(topics: ["lease."], task: task))
                let token = try await agent.withLease(on: task, ttl: .seconds(6)) { lease in
                    // Longer than the ttl: the third renewal is past it.
                    var renewals = 0
                    for try await element in events where element.event?.topic == "lease.renewed" {
                        renewals += 1
                        if renewals == 4 { break }
                    }
                    #expect(lease.isHeld && lease.remaining > .zero && lease.loss == nil)
                    try lease.checkHeld()
                    return lease.token
                }
                let next = try await agent.acquireLease(on: task)
                #expect(next.token > token)
            }
        }
    }

    @Test("A lease that is held is an error with its holder, or nil, as the caller chooses")
    func held() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            try await keeper.withAgent(named: "anna") { agent in
                let lease = try await agent.acquireLease(on: task)
                let failure = await error { try await agent.acquireLease(on: task) }
                #expect(failure == .leaseHeld(lease.info))
                #expect(try await agent.acquireLeaseIfFree(on: task, waitingUpTo: .milliseconds(10)) == nil)
                #expect(try await agent.withLeaseIfFree(on: task) { _ in 1 } == nil)
                #expect(await error { try await agent.withLease(on: task) { _ in 1 } }?.code == .failedPrecondition)
                try await lease.release()
                #expect(try await agent.withLeaseIfFree(on: task) { _ in 1 } == 1)
            }
        }
    }

    @Test("Those who wait for a lease have it in the order in which they came")
    func fair() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            try await keeper.withAgent(named: "anna") { agent in
                let first = try await agent.acquireLease(on: task)
                let order = Recorder<Int>()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<4 {
                        group.addTask {
                            try await agent.withLease(on: task, waitingUpTo: .seconds(60)) { _ in
                                order.add(number)
                            }
                        }
                        // Each is in line before the next one comes.
                        while try await keeper.leaseDetails(on: task).lease.waitingCalls <= number {
                            try await Task.sleep(for: .milliseconds(10))
                        }
                    }
                    try await first.release()
                    try await group.waitForAll()
                }
                #expect(order.values == [0, 1, 2, 3])
            }
        }
    }

    @Test("A wait that is cancelled leaves no trace")
    func cancelledWait() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            try await keeper.withAgent(named: "anna") { agent in
                let lease = try await agent.acquireLease(on: task)
                let waiting = Task { try await agent.acquireLease(on: task, waitingUpTo: .seconds(60)) }
                waiting.cancel()
                #expect(await error { try await waiting.value } == .cancelled)
                try await lease.release()
                // The wait may have been given up on its way; its trace is gone when this succeeds.
                let next = try await agent.acquireLease(on: task, waitingUpTo: .seconds(30))
                #expect(next.isHeld)
            }
        }
    }

    @Test("A wait longer than the ttl still ends with a whole ttl ahead")
    func longWait() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            try await keeper.withAgent(named: "anna") { agent in
                let first = try await keeper.acquireLease(on: task, for: agent.id, ttl: .seconds(7))
                #expect(first.isAcquired)
                // Nobody renews the first, which runs out in seven seconds. Reckoned from the call, the second would be over.
                let second = try await agent.acquireLease(on: task, ttl: .seconds(6), waitingUpTo: .seconds(60))
                #expect(second.isHeld && second.remaining > .zero)
            }
        }
    }

    @Test("A lease that another has taken is lost with that reason, and its scope is cancelled")
    func taken() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            try await keeper.withAgent(named: "anna") { agent in
                let failure = await error {
                    try await agent.withLease(on: task, ttl: .seconds(6)) { lease in
                        // Behind the holder's back, as an operator might, with another in line.
                        async let other = keeper.acquireLease(on: task, for: agent.id, waitingUpTo: .seconds(60))
                        while try await keeper.leaseDetails(on: task).waiting.isEmpty {
                            try await Task.sleep(for: .milliseconds(10))
                        }
                        try await keeper.releaseLease(on: task, for: agent.id, token: lease.token)
                        #expect(try await other.isAcquired)
                        #expect(await sleepUntilCancelled())
                        #expect(!lease.isHeld && lease.remaining == .zero)
                        #expect(await error { try lease.checkHeld() }?.code == .failedPrecondition)
                    }
                }
                guard case .leaseLost(.taken(let message)) = failure else {
                    Issue.record("found \(String(describing: failure))")
                    return
                }
                #expect(message.contains(task))
            }
        }
    }

    @Test("A lease that nobody holds any more is lost as expired")
    func expired() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            try await keeper.withAgent(named: "anna") { agent in
                let lease = try await agent.acquireLease(on: task, ttl: .seconds(6))
                try await keeper.releaseLease(on: task, for: agent.id, token: lease.token)
                guard case .expired = await lease.waitUntilLost() else {
                    Issue.record("found \(String(describing: lease.loss))")
                    return
                }
                #expect(await error { try await lease.release() } == .leaseLost(lease.loss!))
            }
        }
    }

    @Test("The death of its agent ends a lease at once, however long its ttl")
    func agentDied() async throws {
        try await shared.withClient { keeper in
            let task = unique("task")
            let agent = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(3_600))
            let lease = try await agent.acquireLease(on: task, ttl: .seconds(3_600))
            try await keeper.deregisterAgent(agent.id)
            guard case .agentDied = await lease.waitUntilLost() else {
                Issue.record("found \(String(describing: lease.loss))")
                return
            }
            #expect(!lease.isHeld)
        }
    }

    @Test("Closing the client ends a lease and tells its holder, and the task is free")
    func closed() async throws {
        let task = unique("task")
        let loss = Recorder<LeaseLoss>()
        try await shared.withClient(configuration: .patient) { keeper in
            let agent = try await keeper.register(AgentCard(name: "anna"))
            let lease = try await agent.acquireLease(on: task)
            await keeper.close()
            loss.add(try #require(lease.loss))
            #expect(await error { try await agent.acquireLease(on: task) } == .clientClosed)
        }
        #expect(loss.values == [.clientClosed])
        try await shared.withClient { keeper in
            try await keeper.withAgent(named: "ben") { agent in
                let lease = try await agent.acquireLease(on: task)
                #expect(lease.isHeld)
            }
        }
    }

    @Test("A daemon that is killed loses its holders their leases within the ttl, and isHeld is false in time")
    func killed() async throws {
        try await withNetwork { keeper, _, daemon in
            try await expectLoss(keeper) { kill(daemon.processID, SIGKILL) }
        }
    }

    @Test("A daemon that is paused loses its holders their leases within the ttl")
    func paused() async throws {
        try await withNetwork { keeper, _, daemon in
            try await expectLoss(keeper) { kill(daemon.processID, SIGSTOP) }
            kill(daemon.processID, SIGCONT)
        }
    }

    @Test("A network that is down loses the holders their leases within the ttl")
    func networkDown() async throws {
        try await withNetwork { keeper, proxy, _ in
            try await expectLoss(keeper) { await proxy.hold() }
        }
    }

    /// A lease whose daemon goes away is lost as unreachable, and while anybody may take it `isHeld` is false: by the
    /// local clock, at most its ttl after the last renewal.
    private func expectLoss(_ keeper: AgentKeeperClient, _ disturb: @escaping @Sendable () async -> Void) async throws {
        let agent = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(30))
        let ttl = Duration.seconds(5)
        let events = try await keeper.watch(WatchFilter(topics: ["lease.renewed"]))
        let failure = await error {
            try await agent.withLease(on: "task", ttl: ttl) { lease in
                // What counts is the last renewal, not the beginning.
                for try await _ in events { break }
                await disturb()
                let sinceDisturbed = Stopwatch()
                #expect(await sleepUntilCancelled())
                #expect(!lease.isHeld)
                // This is what the lease is for, so the clock is looked at for once.
                #expect(sinceDisturbed.elapsed < ttl)
            }
        }
        guard case .leaseLost(.unreachable(let reason)) = failure else {
            Issue.record("found \(String(describing: failure))")
            return
        }
        #expect(!reason.isEmpty)
    }

    @Test("A connection that breaks, or that a router forgets, costs nobody a lease")
    func survives() async throws {
        try await withNetwork { keeper, proxy, _ in
            let agent = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(12))
            let events = try await keeper.watch(WatchFilter(topics: ["lease.renewed"]))
            var iterator = events.makeAsyncIterator()
            try await agent.withLease(on: "task", ttl: .seconds(12)) { lease in
                await proxy.cut()
                _ = try await keeper.agent(agent.id)
                #expect(lease.isHeld)
                await proxy.forget()
                #expect(await lease.survives(.seconds(13)))
            }
            // What the router forgot was a stream of events, too: it has resumed.
            #expect(try await iterator.next()?.event?.topic == "lease.renewed")
            #expect(proxy.accepted >= 3)
        }
    }
}

extension Lease {
    /// Whether it is held for longer than its ttl from now on.
    func survives(_ duration: Duration) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await self.waitUntilLost() == nil }
            group.addTask {
                try? await Task.sleep(for: duration)
                return true
            }
            let first = await group.next() ?? false
            group.cancelAll()
            return first && self.isHeld
        }
    }
}
