import AgentKeeper
import ArgumentParser
import JSON

struct AgentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agents", abstract: "Who is here: list, show, register, heartbeat, deregister.",
        subcommands: [List.self, Show.self, Register.self, Heartbeat.self, Deregister.self])

    struct List: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "All agents that are not dead, oldest first.",
            discussion: "Dead agents are kept for a day, unless the daemon was told otherwise: --all shows them too.")

        @Option(
            help: ArgumentHelp("Only agents with this status; may be repeated.", valueName: "status"),
            completion: .list(["alive", "unreachable", "dead"]))
        var status: [StatusArgument] = []
        @Flag(help: "Dead agents too.") var all = false
        @Option(
            name: .customLong("tool"),
            help: ArgumentHelp("Only agents with this tool; may be repeated.", valueName: "tool"))
        var tools: [String] = []
        @Option(help: ArgumentHelp("Only agents whose name begins so.", valueName: "prefix")) var name = ""
        @OptionGroup var limit: LimitOption
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let statuses = all ? [] : status.isEmpty ? [.alive, .unreachable] : status.map(\.status)
            try await output.print(
                [
                    .init(title: "AGENT"), .init(title: "NAME", cuts: true), .init(title: "STATUS"),
                    .init(title: "HEARD"), .init(title: "TTL"), .init(title: "LEASES", isNumber: true),
                    .init(title: "TOOLS", cuts: true),
                ], limit: limit.limit
            ) { token in
                try await keeper.agents(statuses: statuses, tools: tools, namePrefix: name, after: token)
            } row: { agent, _ in
                [
                    .init(agent.info.id.rawValue), .init(agent.info.card.name), .status(agent.info.status),
                    .init("\(spoken(UInt64(agent.silence.milliseconds))) ago"),
                    .init(spoken(UInt64(agent.ttl.milliseconds))), .init(String(agent.leases)),
                    .init(agent.info.card.tools.joined(separator: ",")),
                ]
            } json: {
                $0.json
            }
        }
    }

    struct Show: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "One agent, with its leases and elections.")

        @Argument(help: "Its id, or its name if no other living agent has it.") var agent: AgentArgument
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        /// Leases that are named; an agent may hold a million.
        private static let most = 100

        func run(_ keeper: AgentKeeperClient) async throws {
            let id = try await agent.id(keeper)
            let details = try await keeper.agentDetails(id)
            let leases = try await keeper.leases(heldBy: id, pageSize: Self.most).elements
            let elections = try await keeper.elections(candidate: id, pageSize: Self.most).elements
            let json = JSON.object(
                details.fields + [
                    ("held_leases", .array(leases.map(\.json))),
                    ("elections", .array(elections.map { .object($0.fields) })),
                ])
            let card = details.info.card
            output.print(json) { fields in
                fields.add("Agent", .init(id.rawValue))
                fields.add("Name", .init(card.name))
                fields.add("Status", .status(details.info.status))
                if !card.description.isEmpty { fields.add("Description", .init(card.description)) }
                if !card.version.isEmpty { fields.add("Version", .init(card.version)) }
                if !card.tools.isEmpty { fields.add("Tools", .init(card.tools.joined(separator: ", "))) }
                for capability in card.capabilities {
                    let says = capability.description.isEmpty ? "" : ": \(capability.description)"
                    fields.add("Capability", .init(capability.name + says))
                }
                for (key, value) in card.metadata.sorted(by: { $0.key < $1.key }) {
                    fields.add("Metadata", .init("\(key)=\(value)"))
                }
                fields.add("Registered", .init("\(details.info.registeredAt) (\(details.info.registeredAt.ago))"))
                fields.add("Heard", .init("\(spoken(UInt64(details.silence.milliseconds))) ago"))
                fields.add("Ttl", .init(spoken(UInt64(details.ttl.milliseconds))))
                if let change = details.statusChangesIn {
                    let next = details.info.status == .unreachable ? "DEAD" : "UNREACHABLE"
                    fields.add("Without heartbeat", .init("\(next) in \(spoken(UInt64(change.milliseconds)))"))
                }
                fields.add("Waiting calls", .init(String(details.waitingCalls)))
                fields.add("Leases", .init(String(details.leases)))
                for lease in leases {
                    let left = spoken(UInt64(lease.remaining.milliseconds))
                    let kind = lease.kind == .claim ? ", a claim" : ""
                    fields.add("", .init("\(lease.info.taskID), token \(lease.info.token), \(left) left\(kind)"))
                }
                fields.add("Elections", .init(String(details.candidacies)))
                for election in elections {
                    let leads = election.state.leader == id
                    fields.add("", .init("\(election.state.group), \(leads ? "leads" : "candidate")"))
                }
            }
        }
    }

    struct Register: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "Register an agent, and print its id.",
            discussion: """
                It is unreachable after its ttl, and dead after twice of that, unless somebody sends heartbeats: \
                see agents heartbeat. Programs should do both with an SDK; this is for scripts.
                """)

        @Argument(help: "Its name, which need not be unique.") var name: String
        @Option(help: ArgumentHelp("What it does, in plain words: find ranks by it.", valueName: "text"))
        var description = ""
        @Option(name: .customLong("version-label"), help: ArgumentHelp("The agent's own version.", valueName: "text"))
        var version = ""
        @Option(
            name: .customLong("tool"), help: ArgumentHelp("A tool that it has; may be repeated.", valueName: "tool"))
        var tools: [String] = []
        @Option(
            name: .customLong("metadata"),
            help: ArgumentHelp("Whatever else is to be known; may be repeated.", valueName: "key=value"))
        var metadata: [String] = []
        @Option(help: ArgumentHelp("For how long it may be silent. (default: 30s)", valueName: "time"))
        var ttl: TimeArgument?
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func validate() throws {
            for entry in metadata where !entry.contains("=") {
                throw ValidationError("--metadata must be KEY=VALUE, found \(printable(entry))")
            }
        }

        func run(_ keeper: AgentKeeperClient) async throws {
            let entries = metadata.map { entry in
                let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return (String(parts[0]), String(parts[1]))
            }
            let card = AgentCard(
                name: name, description: description, version: version, tools: tools,
                metadata: Dictionary(entries, uniquingKeysWith: { _, last in last }))
            let id = try await keeper.registerAgent(card, ttl: ttl?.duration ?? .seconds(30))
            output.print(.object([("agent_id", .string(id.rawValue))]), line: id.rawValue)
        }
    }

    struct Heartbeat: ClientCommand {
        static let configuration = CommandConfiguration(abstract: "Prove that agents live, once.")

        @Argument(help: "Ids, or names that no other living agent has.") var agents: [AgentArgument]
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            for agent in agents { try await keeper.heartbeat(try await agent.id(keeper)) }
        }
    }

    struct Deregister: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let agents leave: they are dead at once, and what they held is free.")

        @Argument(help: "Ids, or names that no other living agent has.") var agents: [AgentArgument]
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            for agent in agents { try await keeper.deregisterAgent(try await agent.id(keeper)) }
        }
    }
}

struct StatusArgument: ExpressibleByArgument {
    let status: AgentStatus

    init?(argument: String) {
        guard let status = AgentStatus(rawValue: argument.uppercased()), status != .unknown else { return nil }
        self.status = status
    }
}

extension Table.Cell {
    static func status(_ status: AgentStatus) -> Table.Cell {
        let colour: Terminal.Colour =
            switch status {
            case .alive: .green
            case .unreachable: .yellow
            case .dead, .unknown: .red
            }
        return .init(status.rawValue, colour)
    }

    static func agent(_ id: AgentID?) -> Table.Cell { id.map { .init($0.rawValue) } ?? .init("-", .faint) }
}
