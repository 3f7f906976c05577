import AgentKeeper
import ArgumentParser
import JSON

struct PoliciesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policies", abstract: "Who may do what: list, set, delete, check.",
        subcommands: [List.self, Set.self, Delete.self, CheckCommand.self])

    struct List: ClientCommand {
        static let configuration = CommandConfiguration(abstract: "All policies, sorted by id.")

        @Option(
            help: ArgumentHelp("Only policies whose subject begins so; a * is just a star here.", valueName: "prefix"))
        var subject = ""
        @OptionGroup var limit: LimitOption
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            try await output.print(
                [
                    .init(title: "POLICY", cuts: true), .init(title: "EFFECT"), .init(title: "SUBJECT", cuts: true),
                    .init(title: "ACTION", cuts: true), .init(title: "RESOURCE", cuts: true),
                ], limit: limit.limit
            ) { token in
                try await keeper.policies(subjectPrefix: subject, pageSize: 1_000, after: token)
            } row: { policy, _ in
                [
                    .init(policy.id), .init(policy.effect.rawValue, policy.effect == .allow ? .green : .red),
                    .init(policy.subject), .init(policy.action), .init(policy.resource),
                ]
            } json: {
                $0.json
            }
        }
    }

    enum Effect: String, CaseIterable, ExpressibleByArgument {
        case allow
        case deny
    }

    struct Set: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a policy, or replace the one with this id.",
            discussion: """
                A * matches any run of characters, anywhere. Any deny that matches wins, then any allow; if none \
                matches, the answer is no. Quote the stars:

                  agentkeeper policies set browse allow 'agent:*' call tool:browser
                """)

        @Argument(help: "Its name.") var id: String
        @Argument(help: "allow or deny.") var effect: Effect
        @Argument(help: "Who, such as agent:scraper.") var subject: String
        @Argument(help: "Does what, such as call.") var action: String
        @Argument(help: "On what, such as tool:browser.") var resource: String
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let policy = try await keeper.setPolicy(
                Policy(
                    id: id, subject: subject, action: action, resource: resource,
                    effect: effect == .allow ? .allow : .deny))
            output.print(policy.json, line: "policy \(policy.id) is set")
        }
    }

    struct Delete: ClientCommand {
        static let configuration = CommandConfiguration(abstract: "Remove policies.")

        @Argument(help: "Their ids.") var ids: [String]
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            for id in ids { try await keeper.deletePolicy(id: id) }
        }
    }
}

struct CheckCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "May the subject do the action on the resource?",
        discussion: """
            The exit status is 0 if it may, 77 if it may not, and another one if that can't be told, so that this \
            never allows by accident:

              agentkeeper check agent:scraper call tool:browser && run-the-tool
            """)

    @Argument(help: "Who, such as agent:scraper.") var subject: String
    @Argument(help: "Does what, such as call.") var action: String
    @Argument(help: "On what, such as tool:browser.") var resource: String
    @OptionGroup var output: OutputOptions
    @OptionGroup var client: ClientOptions

    func run(_ keeper: AgentKeeperClient) async throws {
        let decision = try await keeper.check(subject, may: action, on: resource)
        let json = JSON.object([("allowed", .bool(decision.isAllowed)), ("reason", .string(decision.reason))])
        output.print(json, line: decision.reason)
        if !decision.isAllowed { throw ExitCode(ExitStatus.denied.rawValue) }
    }
}
