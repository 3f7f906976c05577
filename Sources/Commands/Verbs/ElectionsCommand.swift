import AgentKeeper
import ArgumentParser
import JSON

struct ElectionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "elections", abstract: "Who leads: list, show, campaign, resign.",
        discussion: "To run a program only while leading, see agentkeeper elect.",
        subcommands: [List.self, Show.self, Campaign.self, Resign.self])

    struct List: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "All elections, oldest first, those without a candidate included.")

        @Option(help: ArgumentHelp("Only groups whose name begins so.", valueName: "prefix")) var prefix = ""
        @Option(help: ArgumentHelp("Only elections in which this agent stands or leads.", valueName: "agent"))
        var candidate: AgentArgument?
        @OptionGroup var limit: LimitOption
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let candidate = try await candidate?.id(keeper)
            try await output.print(
                [
                    .init(title: "GROUP", cuts: true), .init(title: "LEADER"), .init(title: "TERM", isNumber: true),
                    .init(title: "SINCE"), .init(title: "CANDIDATES", isNumber: true),
                ], limit: limit.limit
            ) { token in
                try await keeper.elections(groupPrefix: prefix, candidate: candidate, after: token)
            } row: { election, _ in
                [
                    .init(election.state.group), .agent(election.state.leader), .init(String(election.state.term)),
                    .init(election.changedAt.ago), .init(String(election.candidates)),
                ]
            } json: {
                .object($0.fields)
            }
        }
    }

    struct Show: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "One election, and its candidates in the order in which they will lead.")

        @Argument(help: "The group.") var group: String
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let (election, candidates) = try await keeper.electionDetails(group)
            let json = JSON.object(election.fields + [("candidate_agent_ids", .texts(candidates.map(\.rawValue)))])
            output.print(json) { fields in
                fields.add("Group", .init(election.state.group))
                fields.add("Leader", .agent(election.state.leader))
                fields.add("Term", .init(String(election.state.term)))
                fields.add("Since", .init("\(election.changedAt) (\(election.changedAt.ago))"))
                fields.add("Candidates", .init(String(election.candidates)))
                for candidate in candidates { fields.add("", .init(candidate.rawValue)) }
            }
        }
    }

    struct Campaign: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stand for election, and tell who leads.",
            discussion: "The exit status is 0 whether or not the agent leads: -o json says it in \"leads\".")

        @Argument(help: "The group.") var group: String
        @OptionGroup var agent: ActingAgent
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let id = try await agent.id(keeper)
            let state = try await keeper.campaign(in: group, for: id)
            let leads = state.leader == id
            output.print(.object(state.fields + [("leads", .bool(leads))])) { fields in
                fields.add("Group", .init(state.group))
                fields.add("Leads", leads ? .init("yes", .green) : .init("no, a candidate", .yellow))
                fields.add("Leader", .agent(state.leader))
                fields.add("Term", .init(String(state.term)))
            }
        }
    }

    struct Resign: ClientCommand {
        static let configuration = CommandConfiguration(abstract: "Be a candidate no more, or lead no more.")

        @Argument(help: "The group.") var group: String
        @OptionGroup var agent: ActingAgent
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            try await keeper.resign(from: group, for: try await agent.id(keeper))
        }
    }
}
