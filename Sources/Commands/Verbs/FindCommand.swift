import AgentKeeper
import ArgumentParser

struct FindCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "find", abstract: "Find living agents by what they can do, the best match first.",
        discussion: """
            The query ranks and never leaves anybody out; --tool does. Agents that are unreachable are not found.
            """)

    @Argument(help: "What is looked for, in plain words.") var query: [String] = []
    @Option(
        name: .customLong("tool"), help: ArgumentHelp("Only agents with this tool; may be repeated.", valueName: "tool")
    )
    var tools: [String] = []
    @Option(help: ArgumentHelp("At most so many, up to 1000. (default: 20)", valueName: "n")) var limit = 20
    @OptionGroup var output: OutputOptions
    @OptionGroup var client: ClientOptions

    func validate() throws {
        if !(1...1_000).contains(limit) { throw ValidationError("--limit must be from 1 to 1000, found \(limit)") }
    }

    func run(_ keeper: AgentKeeperClient) async throws {
        let found = try await keeper.find(query.joined(separator: " "), tools: tools, limit: limit)
        try await output.print(
            [
                .init(title: "AGENT"), .init(title: "NAME", cuts: true), .init(title: "TOOLS", cuts: true),
                .init(title: "DESCRIPTION", cuts: true),
            ]
        ) { _ in
            Page(elements: found, nextToken: nil)
        } row: { agent, _ in
            [
                .init(agent.id.rawValue), .init(agent.card.name), .init(agent.card.tools.joined(separator: ",")),
                .init(agent.card.description),
            ]
        } json: {
            $0.json
        }
    }
}
