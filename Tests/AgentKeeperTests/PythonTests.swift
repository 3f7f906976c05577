// The SDK and the Python package side by side on one daemon: they see the same world.
//
// AGENTKEEPER_PYTHON names a Python that has the package `agentkeeper`; `make test` sets it. Without it these are skipped.

import Foundation
import Synchronization
import Testing

@testable import AgentKeeper

private let python = ProcessInfo.processInfo.environment["AGENTKEEPER_PYTHON"]

@Suite(
    "The Python package beside the SDK", .timeLimit(.minutes(15)),
    .enabled(if: python != nil, "AGENTKEEPER_PYTHON does not name a Python with agentkeeper"))
struct PythonTests {
    private func together(_ body: (AgentKeeperClient, PythonPeer) async throws -> Void) async throws {
        try await AgentKeeperClient.withEmbedded { keeper in
            let peer = try PythonPeer(try #require(python), keeper.address)
            defer { peer.end() }
            try await body(keeper, peer)
        }
    }

    @Test("Each finds the other's agents as they were registered")
    func agents() async throws {
        try await together { keeper, peer in
            try await peer.run(
                "keep('anna', client.register('anna', 'Reads', '1.0', tools=['browser'], metadata={'a': 'b'}, ttl=60))")
            let card = AgentCard(name: "ben", description: "Writes", version: "2.0", tools: ["browser", "pen"])
            let ben = try await keeper.register(card)
            let id = try await peer.text("anna.agent_id")
            let anna = try await keeper.agent(AgentID(id))
            #expect(
                anna.card
                    == AgentCard(
                        name: "anna", description: "Reads", version: "1.0", tools: ["browser"], metadata: ["a": "b"]))
            #expect(try await keeper.find("writes", tools: ["browser"]).map(\.id.rawValue) == [ben.id.rawValue, id])
            #expect(try await peer.text("client.find(tools=['pen'])[0].agent_id") == ben.id.rawValue)
            #expect(try await peer.text("client.get_agent('\(ben.id)').card.description") == "Writes")
            try await peer.run("anna.deregister()")
            #expect(try await keeper.agent(AgentID(id)).status == .dead)
            try await ben.deregister()
            #expect(try await peer.text("client.get_agent('\(ben.id)').status.name") == "DEAD")
        }
    }

    @Test("A lease is with one of them at a time, and its token grows from one to the other")
    func leases() async throws {
        try await together { keeper, peer in
            try await peer.run("keep('anna', client.register('anna', '', '', ttl=60))")
            try await peer.run("keep('lease', client.acquire_lease('task', anna.agent_id, ttl=60))")
            let first = FencingToken(UInt64(try await peer.text("lease.lease.token"))!)
            let ben = try await keeper.register(AgentCard(name: "ben"))
            let failure = await error { try await ben.acquireLease(on: "task") }
            guard case .leaseHeld(let held) = failure else {
                Issue.record("found \(String(describing: failure))")
                return
            }
            #expect(held.token == first)
            #expect(held.holder.rawValue == (try await peer.text("anna.agent_id")))
            async let waiting = ben.acquireLease(on: "task", waitingUpTo: .seconds(60))
            while try await keeper.leaseDetails(on: "task").waiting.isEmpty {
                try await Task.sleep(for: .milliseconds(10))
            }
            try await peer.run("lease.release()")
            let lease = try await waiting
            #expect(lease.token > first)
            #expect(try await peer.text("client.acquire_lease('task', anna.agent_id)") == "<null>")
            try await lease.release()
            #expect(try await peer.text("client.acquire_lease('task', anna.agent_id).lease.task_id") == "task")
        }
    }

    @Test("One leads and the other follows, in the same terms")
    func elections() async throws {
        try await together { keeper, peer in
            try await peer.run("keep('anna', client.register('anna', '', '', ttl=60))")
            #expect(try await peer.text("client.campaign('group', anna.agent_id).term") == "1")
            let ben = try await keeper.register(AgentCard(name: "ben"))
            var states = ben.campaign(in: "group").makeAsyncIterator()
            guard case .waiting(let state) = await states.next() else {
                Issue.record("ben does not wait")
                return
            }
            #expect(state.leader?.rawValue == (try await peer.text("anna.agent_id")))
            try await peer.run("client.resign('group', anna.agent_id)")
            let leadership = try #require(await states.next()?.leadership)
            #expect(try await peer.text("client.campaign('group', anna.agent_id).leader_agent_id") == ben.id.rawValue)
            #expect(try await peer.text("client.campaign('group', anna.agent_id).term") == "\(leadership.term)")
        }
    }

    @Test("What one forbids, the other is denied")
    func entitlements() async throws {
        try await together { keeper, peer in
            try await keeper.setPolicy(.allow("agent:*", to: "call", on: "tool:*", id: "all"))
            #expect(
                try await peer.text("client.check_policy('agent:a', 'call', 'tool:t').reason")
                    == "allowed by policy \"all\"")
            try await peer.run("client.set_policy('none', 'agent:a', '*', '*', PolicyEffect.DENY)")
            #expect(
                await error { try await keeper.require("agent:a", may: "call", on: "tool:t") }
                    == .denied(reason: "denied by policy \"none\""))
            #expect(try await keeper.policies().map(\.id) == ["all", "none"])
            #expect(try await peer.text("[p.id for p in client.list_policies()]") == "all,none")
        }
    }

    @Test("Tasks of one are worked on by the other")
    func tasks() async throws {
        try await together { keeper, peer in
            try await peer.run("keep('task', client.create_task('t', input=b'in', required_tools=['swift']))")
            let ben = try await keeper.register(AgentCard(name: "ben", tools: ["swift"]))
            for await task in ben.tasks() {
                #expect(String(decoding: task.input, as: UTF8.self) == "in")
                try await task.complete(Array("out".utf8))
                break
            }
            #expect(try await peer.text("client.get_task(task.id).output.decode()") == "out")
            try await peer.run("keep('anna', client.register('anna', '', '', tools=['python'], ttl=60))")
            let task = try await keeper.createTask("t", input: Array("more".utf8), requiredTools: ["python"])
            #expect(try await peer.text("client.claim_task(anna.agent_id).input.decode()") == "more")
            #expect(try await keeper.task(task.id).claimedBy?.rawValue == (try await peer.text("anna.agent_id")))
            try await peer.run("client.complete_task('\(task.id)', anna.agent_id, b'done')")
            #expect(try await keeper.task(task.id).output == Array("done".utf8))
        }
    }

    @Test("Both see the same events, with the same numbers")
    func events() async throws {
        try await together { keeper, peer in
            // A call first: the package's own connection is made by it, and the watch is in force from then on.
            try await peer.run("client.find()")
            try await peer.run("keep('watch', client.watch(['agent.', 'lease.'], note))")
            let events = try await keeper.watch(WatchFilter(topics: ["agent.", "lease."]))
            try await peer.run("keep('anna', client.register('anna', '', '', ttl=60))")
            try await keeper.withAgent(named: "ben") { ben in
                try await ben.withLease(on: "task") { _ in }
            }
            try await peer.run("anna.deregister()")
            var seen: [String] = []
            for try await element in events {
                guard let event = element.event else { continue }
                seen.append("\(event.topic),\(event.sequence)")
                if seen.count == 6 { break }
            }
            #expect(try await peer.text("[x for e in wait_for_events(6) for x in e]") == seen.joined(separator: ","))
        }
    }
}

/// A Python that evaluates what it is told.
private final class PythonPeer: Sendable {
    private let process: ChildProcess

    init(_ program: String, _ address: String) throws {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Support/python_peer.py").path
        let parts = address.split(separator: ":").map(String.init)
        let environment = ProcessInfo.processInfo.environment.map { "\($0)=\($1)" }
        process = try ChildProcess.start(program, [script] + parts, environment: environment)
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    func run(_ expression: String) async throws { _ = try await text(expression) }

    /// The value as text: a list's elements joined by commas, `<null>` for None.
    func text(_ expression: String) async throws -> String {
        let line = Array((expression + "\n").utf8)
        guard write(process.lifeline, line, line.count) == line.count else {
            throw Failure(description: "Python is gone")
        }
        guard let answer = await firstLine(of: process.output) else {
            throw Failure(description: "Python ended at: \(expression)")
        }
        let object = try JSONSerialization.jsonObject(with: Data(answer.utf8)) as? [String: Any]
        if let error = object?["error"] { throw Failure(description: "\(expression): \(error)") }
        return Self.text(of: object?["value"])
    }

    private static func text(of value: Any?) -> String {
        switch value {
        case let list as [Any]: list.map { text(of: $0) }.joined(separator: ",")
        case let value? where !(value is NSNull): "\(value)"
        default: "<null>"
        }
    }

    func end() {
        kill(process.pid, SIGKILL)
        var status: CInt = 0
        waitpid(process.pid, &status, 0)
        for descriptor in [process.lifeline, process.output, process.errors] { close(descriptor) }
    }
}
