// The worker's side of the task queue.

import AgentKeeper
import Glibc
import Synchronization
import Testing

@Suite("Tasks of the SDK", .timeLimit(.minutes(15)))
struct TaskTests {
    @Test("A worker's loop gets the tasks that it has the tools for, in order, and completes or fails them")
    func loop() async throws {
        try await shared.withClient { keeper in
            let tool = unique("tool")
            var ids: [String] = []
            for number in 0..<3 {
                ids.append(try await keeper.createTask("count", input: [UInt8(number)], requiredTools: [tool]).id)
            }
            let expected = ids
            try await keeper.withAgent(named: "anna", tools: [tool]) { agent in
                var seen: [String] = []
                for await task in agent.tasks() {
                    seen.append(task.id)
                    #expect(task.isHeld && task.type == "count" && task.input == [UInt8(seen.count - 1)])
                    if seen.count == 3 {
                        try await task.fail("no luck")
                        break
                    }
                    try await task.complete([9])
                    try await task.complete([9])
                }
                #expect(seen == expected)
            }
            #expect(try await keeper.task(ids[0]).output == [9])
            let failed = try await keeper.task(ids[2])
            #expect(failed.status == .dead && failed.failureReason == "no luck")
        }
    }

    @Test("A claim is renewed by itself while the work runs")
    func renewed() async throws {
        try await shared.withClient { keeper in
            let tool = unique("tool")
            let id = try await keeper.createTask("long", requiredTools: [tool], ttl: .seconds(6)).id
            try await keeper.withAgent(named: "anna", tools: [tool]) { agent in
                for await task in agent.tasks() {
                    let events = try await keeper.watch(WatchFilter(task: id))
                    try await task.whileHeld {
                        var renewals = 0
                        for try await element in events {
                            #expect(element.event?.topic == "task.renewed")
                            renewals += 1
                            if renewals == 4 { break }
                        }
                    }
                    try await task.complete()
                    break
                }
            }
            #expect(try await keeper.task(id).status == .completed)
        }
    }

    @Test("A task that is let go of goes back to the queue, and is another's")
    func letGo() async throws {
        try await shared.withClient { keeper in
            let tool = unique("tool")
            let id = try await keeper.createTask("dropped", requiredTools: [tool], ttl: .seconds(4)).id
            let anna = try await keeper.register(AgentCard(name: "anna", tools: [tool]))
            for await task in anna.tasks() {
                #expect(task.id == id)
                break
            }
            for await task in anna.tasks() {
                #expect(task.id == id && task.info.retryCount == 0)
                try await task.complete()
                break
            }
        }
    }

    @Test("A task whose agent is dead is lost to its worker, who can't complete it")
    func lost() async throws {
        try await shared.withClient { keeper in
            let tool = unique("tool")
            let id = try await keeper.createTask("lost", requiredTools: [tool], ttl: .seconds(600)).id
            let anna = try await keeper.register(AgentCard(name: "anna", tools: [tool]), ttl: .seconds(3_600))
            var tasks = anna.tasks().makeAsyncIterator()
            let task = try #require(await tasks.next())
            let failure = await error {
                try await task.whileHeld {
                    try await keeper.deregisterAgent(anna.id)
                    #expect(await sleepUntilCancelled())
                }
            }
            guard case .leaseLost(.agentDied) = failure else {
                Issue.record("found \(String(describing: failure))")
                return
            }
            #expect(await error { try await task.complete() } == failure)
            #expect(await tasks.next() == nil)
            #expect(try await keeper.task(id).status == .pending)
        }
    }

    @Test("Workers complete what their work returns and fail what it throws, and many work at once")
    func work() async throws {
        struct Broken: Error, CustomStringConvertible {
            let description = "it is broken"
        }
        try await shared.withClient { keeper in
            let tool = unique("tool")
            var ids: [String] = []
            for number in 0..<4 {
                ids.append(try await keeper.createTask("w", input: [UInt8(number)], requiredTools: [tool]).id)
            }
            let agent = try await keeper.register(AgentCard(name: "anna", tools: [tool]))
            let together = Barrier(4)
            let worker = Task {
                await agent.work(concurrency: 4) { task in
                    // Nobody goes on before all are here.
                    await together.arrive()
                    if task.input == [3] { throw Broken() }
                    return task.input
                }
            }
            for id in ids {
                while try await keeper.task(id).finishedAt == nil { try await Task.sleep(for: .milliseconds(10)) }
            }
            #expect(try await keeper.task(ids[1]).output == [1])
            #expect(try await keeper.task(ids[3]).failureReason == "it is broken")
            worker.cancel()
            await worker.value
        }
    }

    @Test("More calls that wait than a connection has streams keep no other call from being sent")
    func manyWait() async throws {
        try await AgentKeeperClient.withEmbedded { keeper in
            let agent = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(60))
            let worker = Task { await agent.work(concurrency: 400) { $0.input } }
            // What a server of ours allows on a connection.
            while try await keeper.status().taskWaiters < 200 { try await Task.sleep(for: .milliseconds(10)) }
            try await agent.withLease(on: "task") { #expect($0.isHeld) }
            var ids: [String] = []
            for _ in 0..<3 { ids.append(try await keeper.createTask("t").id) }
            for id in ids {
                while try await keeper.task(id).status != .completed { try await Task.sleep(for: .milliseconds(10)) }
            }
            worker.cancel()
            await worker.value
        }
    }

    @Test("A worker outlives a daemon that is cut off, and loses no task to it")
    func network() async throws {
        try await withNetwork { keeper, proxy, daemon in
            let agent = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(30))
            let worker = Task { await agent.work { $0.input } }
            try await AgentKeeperClient.withClient(of: daemon.address) { direct in
                for number in 0..<3 {
                    await proxy.cut()
                    let id = try await direct.createTask("cut", input: [UInt8(number)], ttl: .seconds(2)).id
                    while try await direct.task(id).status != .completed {
                        try await Task.sleep(for: .milliseconds(10))
                    }
                }
            }
            worker.cancel()
            await worker.value
        }
    }
}

/// Lets everybody go on when all have come.
final class Barrier: Sendable {
    private struct State {
        var missing: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state: Mutex<State>

    init(_ count: Int) { state = Mutex(State(missing: count)) }

    func arrive() async {
        await withCheckedContinuation { continuation in
            let released = state.withLock { state in
                state.missing -= 1
                state.waiting.append(continuation)
                return state.missing == 0 ? state.waiting : []
            }
            for continuation in released { continuation.resume() }
        }
    }
}
