// Which daemon, and how long to wait for its answers.

import AgentKeeper
import ArgumentParser
import Glibc

struct ClientOptions: ParsableArguments {
    @Option(
        name: .customLong("addr"),
        help: ArgumentHelp(
            "The daemon, or AGENTKEEPER_ADDR. What a daemon listens on will do: \":7070\" is this machine. (default: 127.0.0.1:7070)",
            valueName: "host:port"))
    var address: String?

    @Option(
        help: ArgumentHelp("How long a call may take, such as 500ms or 10s. (default: 10s)", valueName: "time"))
    var deadline: TimeArgument?

    /// The address to connect to.
    func target() throws(Failure) -> String {
        guard let text = address ?? environment("AGENTKEEPER_ADDR") else { return "127.0.0.1:7070" }
        let source = address == nil ? "AGENTKEEPER_ADDR" : "--addr"
        guard let target = Self.reachable(text) else {
            throw Failure("\(source): port 0 lets a daemon choose; name the port that it told at its start", .usage)
        }
        return target
    }

    /// A daemon's address as a client can use it: listening on every interface is being there on this machine.
    private static func reachable(_ text: String) -> String? {
        var text = text
        for (everywhere, here) in [
            ("0.0.0.0:", "127.0.0.1:"), ("*:", "127.0.0.1:"), (":", "127.0.0.1:"), ("[::]:", "[::1]:"),
        ]
        where text.hasPrefix(everywhere) && !text.hasPrefix("::") {
            text = here + text.dropFirst(everywhere.count)
            break
        }
        return text.hasSuffix(":0") ? nil : text
    }

    /// - Parameter waits: whether calls wait for a daemon that is not there, for those that run for long; the others
    ///   say at once that it isn't.
    func connect(waits: Bool = false) async throws -> AgentKeeperClient {
        var configuration = ClientConfiguration()
        configuration.waitsForReady = waits
        // Where whoever runs commands of a trace puts it, by convention.
        configuration.traceParent = environment("TRACEPARENT")
        if let deadline { configuration.callTimeout = deadline.duration }
        let target = try target()
        do throws(AgentKeeperError) {
            return try await AgentKeeperClient.connect(to: target, configuration: configuration)
        } catch {
            let source = address == nil ? "AGENTKEEPER_ADDR" : "--addr"
            throw Failure("\(source): \(error.message)", .usage)
        }
    }
}

/// A command that makes a few calls and ends.
protocol ClientCommand: AsyncParsableCommand {
    var client: ClientOptions { get }
    func run(_ keeper: AgentKeeperClient) async throws
}

extension ClientCommand {
    func run() async throws {
        try await reporting(client) {
            let keeper = try await client.connect()
            do {
                try await run(keeper)
            } catch {
                await keeper.close()
                throw error
            }
            await keeper.close()
        }
    }
}

/// Runs a command, and turns what it throws into one line and an exit status.
func reporting(_ client: ClientOptions, _ body: () async throws -> Void) async throws {
    let failure: Failure
    do {
        return try await body()
    } catch let error as Failure {
        failure = error
    } catch let error as AgentKeeperError {
        failure = Failure(error, at: (try? client.target()) ?? "")
    }
    complain(failure.message)
    throw ExitCode(failure.status.rawValue)
}

// MARK: Agents

/// An agent on the command line: its id, or the name of the only living agent that has it.
struct AgentArgument: ExpressibleByArgument {
    let text: String

    init?(argument: String) {
        guard !argument.isEmpty else { return nil }
        text = argument
    }

    var isID: Bool {
        text.utf8.count == 32 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    func id(_ keeper: AgentKeeperClient) async throws -> AgentID {
        if isID { return AgentID(text) }
        var found: [AgentID] = []
        var token: String?
        repeat {
            let page = try await keeper.agents(
                statuses: [.alive, .unreachable], namePrefix: text, pageSize: 1_000, after: token)
            found += page.elements.filter { $0.info.card.name.utf8.elementsEqual(text.utf8) }.map(\.info.id)
            token = page.nextToken
        } while token != nil && found.count < 2
        guard let first = found.first else { throw Failure("no living agent is called \"\(text)\"") }
        guard found.count == 1 else {
            throw Failure(
                "several living agents are called \"\(text)\": name one by its id, see agentkeeper agents list")
        }
        return first
    }
}

/// Who acts.
struct ActingAgent: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The agent that acts: its id, or its name if no other living agent has it; or AGENTKEEPER_AGENT_ID.",
            valueName: "agent"))
    var agent: AgentArgument?

    func id(_ keeper: AgentKeeperClient) async throws -> AgentID {
        guard let agent = agent ?? environment("AGENTKEEPER_AGENT_ID").flatMap({ AgentArgument(argument: $0) }) else {
            throw Failure("--agent is missing, and AGENTKEEPER_AGENT_ID is not set", .usage)
        }
        return try await agent.id(keeper)
    }
}
