// Watching through everything that can happen to a connection.

import AgentKeeper
import Glibc
import Testing

@Suite("Watches of the SDK", .timeLimit(.minutes(15)))
struct WatchTests {
    @Test("What is done after watch returned is seen, as it was, in order and filtered")
    func sees() async throws {
        try await shared.withClient { keeper in
            let name = unique("agent")
            let events = try await keeper.watch(
                WatchFilter(topics: ["agent.", "lease."], excludedTopics: ["lease.rel"]))
            let id = try await keeper.registerAgent(AgentCard(name: name))
            let lease = try await keeper.acquireLease(on: name, for: id).lease
            try await keeper.releaseLease(on: name, for: id, token: lease.token)
            try await keeper.deregisterAgent(id)
            var seen: [Event] = []
            for try await element in events {
                guard let event = element.event, event.concerns(id) else { continue }
                seen.append(event)
                if event.topic == "agent.died" { break }
            }
            #expect(seen.map(\.topic) == ["agent.registered", "lease.acquired", "agent.died"])
            #expect(seen[1].payload == .lease(lease))
            #expect(seen.map(\.sequence) == seen.map(\.sequence).sorted())
            #expect(events.lastSequence == seen.last?.sequence)
        }
    }

    @Test("A watch resumes after any sequence, and goes on live with no gap and no repeat")
    func resumes() async throws {
        try await AgentKeeperClient.withEmbedded { keeper in
            for number in 1...5 { try await keeper.createTask("\(number)") }
            let events = try await keeper.watch(after: 2)
            for number in 6...8 { try await keeper.createTask("\(number)") }
            #expect(try await events.types(6) == (3...8).map(String.init))
            #expect(try await keeper.watch(after: 0).types(8) == (1...8).map(String.init))
        }
    }

    @Test("Connections that break at any moment cost a watcher no event, and show it none twice")
    func broken() async throws {
        try await withNetwork { keeper, proxy, daemon in
            let events = try await keeper.watch(WatchFilter(topics: ["task.created"]))
            try await AgentKeeperClient.withClient(of: daemon.address) { direct in
                let writer = Task {
                    for number in 0..<300 {
                        try await direct.createTask("\(number)")
                        guard number % 50 == 25 else { continue }
                        // While the watch is away there is nothing to cut.
                        while await proxy.cut() == 0 { try await Task.sleep(for: .milliseconds(1)) }
                    }
                }
                #expect(try await events.types(300) == (0..<300).map(String.init))
                try await writer.value
            }
            #expect(proxy.accepted > 6)
        }
    }

    @Test("A connection that breaks before the first event leaves no gap")
    func brokenAtOnce() async throws {
        try await withNetwork { keeper, proxy, daemon in
            let events = try await keeper.watch()
            await proxy.hold()
            try await AgentKeeperClient.withClient(of: daemon.address) { direct in
                for number in 0..<3 { try await direct.createTask("\(number)") }
            }
            await proxy.cut()
            await proxy.letGo()
            #expect(try await events.types(3) == ["0", "1", "2"])
        }
    }

    @Test("A history that has moved on is told as a gap, and the stream goes on with the oldest there is")
    func historyGone() async throws {
        let options = EmbeddedOptions(arguments: ["--event-history=10"])
        try await AgentKeeperClient.withEmbedded(options) { keeper in
            for number in 1...30 { try await keeper.createTask("\(number)") }
            var iterator = try await keeper.watch(after: 5).makeAsyncIterator()
            guard case .gap(let gap) = try await iterator.next() else {
                Issue.record("no gap was told")
                return
            }
            #expect(gap.after == 5 && !gap.reason.isEmpty)
            #expect(try await iterator.next()?.event?.sequence == 21)
            #expect(try await iterator.next()?.event?.sequence == 22)
        }
    }

    @Test(
        "A daemon that forgot everything is told as a gap, even when it has counted past where we were",
        arguments: [1, 20])
    func forgotten(_ count: Int) async throws {
        let port = try await freePort()
        let first = try await EmbeddedDaemon.start(EmbeddedOptions(port: port))
        let proxy = try await Proxy(to: first.address)
        try await AgentKeeperClient.withClient(of: proxy.address) { keeper in
            for number in 1...5 { try await keeper.createTask("old \(number)") }
            let events = try await keeper.watch(after: 0)
            #expect(try await events.types(5).last == "old 5")
            await proxy.hold()
            kill(first.processID, SIGKILL)
            await first.waitUntilExit()
            let second = try await EmbeddedDaemon.start(EmbeddedOptions(port: port))
            try await AgentKeeperClient.withClient(of: second.address) { direct in
                for number in 1...count { try await direct.createTask("new \(number)") }
            }
            await proxy.cut()
            await proxy.letGo()
            var iterator = events.makeAsyncIterator()
            guard case .gap(let gap) = try await iterator.next() else {
                Issue.record("no gap was told")
                return
            }
            #expect(gap.after == 5)
            #expect(try await events.types(count) == (1...count).map { "new \($0)" })
            await second.stop()
        }
        await proxy.close()
    }

    @Test("A watch ends with nil when its task is cancelled, and with an error when the client is closed")
    func ends() async throws {
        try await shared.withClient { keeper in
            let events = try await keeper.watch(WatchFilter(topics: ["nothing"]))
            let reader = Task { try await events.types(1) }
            reader.cancel()
            #expect(try await reader.value == [])
            let other = try await keeper.watch(WatchFilter(topics: ["nothing"]))
            let waiting = Task { try await other.types(1) }
            await keeper.close()
            #expect(await error { try await waiting.value } == .clientClosed)
        }
    }

    @Test("A filter that is wrong is refused when the watch begins")
    func refused() async throws {
        try await shared.withClient { keeper in
            let long = String(repeating: "x", count: 2_000)
            #expect(await error { try await keeper.watch(WatchFilter(group: long)) }?.code == .invalidArgument)
            #expect(await error { try await keeper.watch(WatchFilter(agent: "nobody")) }?.code == .notFound)
        }
    }
}

extension EventStream {
    /// The types of the tasks that the next `count` events are about.
    func types(_ count: Int) async throws -> [String] {
        var types: [String] = []
        for try await element in self {
            guard case .event(let event) = element, case .task(let task) = event.payload else {
                types.append("\(element)")
                break
            }
            types.append(task.type)
            if types.count == count { break }
        }
        return types
    }
}

extension Event {
    func concerns(_ id: AgentID) -> Bool {
        switch payload {
        case .agent(let agent): agent.id == id
        case .lease(let lease): lease.holder == id
        default: false
        }
    }
}
