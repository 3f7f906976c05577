// Connections: lazy, waited for, bounded in time, closed with grace.

import Glibc
import Testing

@testable import AgentKeeper

@Suite("Connections of the SDK", .timeLimit(.minutes(15)))
struct ConnectionTests {
    @Test("Nothing is connected before the first call, and one connection serves all calls")
    func lazy() async throws {
        try await withNetwork { keeper, proxy, _ in
            #expect(proxy.accepted == 0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<50 { group.addTask { try await keeper.createTask("\(number)") } }
                try await group.waitForAll()
            }
            #expect(proxy.accepted == 1)
        }
    }

    @Test("A call waits for a daemon that is not there yet")
    func waitsForReady() async throws {
        let port = try await freePort()
        let first = try await EmbeddedDaemon.start(EmbeddedOptions(port: port))
        await first.stop()
        try await AgentKeeperClient.withClient(of: "127.0.0.1:\(port)") { keeper in
            async let ready: Void = keeper.waitUntilReady(timeout: .seconds(60))
            let second = try await EmbeddedDaemon.start(EmbeddedOptions(port: port))
            try await ready
            await second.stop()
        }
    }

    @Test("Without a daemon a call ends with the reason, at its timeout, or at once for those who don't wait")
    func nobodyThere() async throws {
        let daemon = try await EmbeddedDaemon.startAlone()
        await daemon.stop()
        for waits in [true, false] {
            var configuration = ClientConfiguration()
            configuration.waitsForReady = waits
            try await AgentKeeperClient.withClient(of: daemon.address, configuration: configuration) { keeper in
                let timeout: Duration = waits ? .milliseconds(200) : .seconds(3_600)
                let failure = await error { try await keeper.waitUntilReady(timeout: timeout) }
                #expect(failure?.code == .unavailable && failure?.isTransient == true)
                // Whether it was refused or had no time to be: it says by whom.
                #expect(failure?.message.contains(daemon.address) == true)
            }
        }
    }

    @Test("A call that gets no answer ends at its timeout")
    func timeout() async throws {
        try await withNetwork { keeper, proxy, _ in
            try await keeper.waitUntilReady()
            await proxy.hold()
            let failure = await error { try await keeper.find(timeout: .milliseconds(100)) }
            #expect(failure?.code == .deadlineExceeded)
            await proxy.letGo()
            try await keeper.waitUntilReady()
        }
    }

    @Test("A call under way when its connection breaks is tried again, and has its effect once")
    func triedAgain() async throws {
        try await withNetwork { keeper, proxy, daemon in
            try await keeper.waitUntilReady()
            try await AgentKeeperClient.withClient(of: daemon.address) { direct in
                let calls = Task {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for number in 0..<200 { group.addTask { try await keeper.createTask("\(number)") } }
                        try await group.waitForAll()
                    }
                }
                for _ in 0..<5 { await proxy.cut() }
                try await calls.value
                let types = try await direct.tasks().map(\.type).sorted()
                #expect(types == (0..<200).map(String.init).sorted())
            }
        }
    }

    @Test("Cancelling a task ends its call with cancelled, whatever it waits for")
    func cancelled() async throws {
        try await withNetwork { keeper, proxy, _ in
            let agent = try await keeper.registerAgent(AgentCard(name: "anna"))
            let claim = Task { try await keeper.claimTask(for: agent) }
            claim.cancel()
            #expect(await error { try await claim.value } == .cancelled)
            await proxy.hold()
            let find = Task { try await keeper.find() }
            find.cancel()
            #expect(await error { try await find.value } == .cancelled)
        }
    }

    @Test("Closing lets agents leave, ends calls that wait, and refuses later ones; twice is fine")
    func close() async throws {
        try await shared.withClient { observer in
            let keeper = try await AgentKeeperClient.connect(to: observer.address, configuration: .patient)
            let agent = try await keeper.register(AgentCard(name: "anna"))
            let claim = Task { try await keeper.claimTask(for: agent.id) }
            await keeper.close()
            await keeper.close()
            #expect(try await observer.agent(agent.id).status == .dead)
            #expect(agent.state == .left(agent.id))
            #expect(await error { try await claim.value } != nil)
            #expect(await error { try await keeper.find() } == .clientClosed)
            #expect(await error { try await keeper.register(AgentCard(name: "ben")) } == .clientClosed)
        }
    }

    @Test("An address is host and port, and anything else is refused before it is tried")
    func addresses() throws {
        func parse(_ text: String) -> String? {
            // What is wrong is in the message, which the next test reads.
            try? ServerAddress(text).description
        }
        #expect(parse("localhost:7070") == "localhost:7070")
        #expect(parse("localhost") == "localhost:7070")
        #expect(parse(":8000") == "127.0.0.1:8000")
        #expect(parse("[::1]:80") == "[::1]:80")
        #expect(parse("[::1]") == "[::1]:7070")
        #expect(parse("::1") == "[::1]:7070")
        for wrong in ["", "http://a:1", "a:b", "a:0", "a:65536", "a b:1", "[::1]x", "a:-1", "a:"] {
            #expect(parse(wrong) == nil, "\(wrong)")
        }
    }

    @Test("A daemon says that it serves; one that is gone says nothing")
    func health() async throws {
        let daemon = try await EmbeddedDaemon.startAlone()
        var configuration = ClientConfiguration()
        configuration.waitsForReady = false
        try await AgentKeeperClient.withClient(of: daemon.address, configuration: configuration) { keeper in
            // One that doesn't wait may find the connection too slow on a busy machine, but not for ever.
            while (try? await keeper.isServing()) != true { try Task.checkCancellation() }
            await daemon.stop()
            let failure = await error { try await keeper.isServing() }
            #expect(failure?.code == .unavailable)
        }
    }

    @Test("What is wrong with an address is said")
    func wrongAddress() async {
        let failure = await error { try await AgentKeeperClient.connect(to: "http://localhost:7070") }
        #expect(
            failure
                == .invalidArgument(
                    "the address must be HOST:PORT without a scheme, found \"http://localhost:7070\""))
    }

    @Test("Times are written as RFC 3339 has them, before 1970 too")
    func timestamps() {
        #expect(Timestamp(seconds: 0).description == "1970-01-01T00:00:00.000Z")
        #expect(Timestamp(seconds: 951_782_400, nanoseconds: 7_999_999).description == "2000-02-29T00:00:00.007Z")
        #expect(Timestamp(seconds: 1_795_762_940).description == "2026-11-27T07:02:20.000Z")
        #expect(Timestamp(seconds: -1, nanoseconds: 500_000_000).description == "1969-12-31T23:59:59.500Z")
        #expect(Timestamp(seconds: 1, nanoseconds: 500_000_000).timeIntervalSince1970 == 1.5)
    }

    @Test("A ttl is rounded up to whole seconds, and must be positive")
    func ttls() throws {
        #expect(try WholeSeconds(.milliseconds(1)).wire == 1)
        #expect(try WholeSeconds(.seconds(2)).wire == 2)
        #expect(try WholeSeconds(.milliseconds(2_001)).wire == 3)
        #expect(throws: AgentKeeperError.self) { try WholeSeconds(.zero) }
        #expect(throws: AgentKeeperError.self) { try WholeSeconds(.seconds(-1)) }
        #expect(throws: AgentKeeperError.self) { try WholeSeconds(.seconds(Int64(UInt32.max))) }
    }
}
