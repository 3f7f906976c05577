import AgentKeeper
import ArgumentParser
import JSON

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Events as they happen.",
        discussion: """
            Topics are prefixes: "lease." is all that happens to leases, lease.expired just that. None means all. \
            A connection that breaks is made anew and the stream goes on after the last event, with no gap and no \
            repeat; where that can't be, a line on standard error (with --json an object with "gap") says so.

              agentkeeper watch lease. task.dead
              agentkeeper watch --json --after 0 --no-follow | jq .topic
            """)

    @Argument(
        help: "Prefixes of topics.", completion: .list(["agent.", "lease.", "leader.changed", "policy.", "task."]))
    var topics: [String] = []
    @Option(help: ArgumentHelp("Begin after this sequence; 0 is the oldest event that is kept.", valueName: "sequence"))
    var after: UInt64?
    @Flag(help: "End with the last event that there is, instead of waiting for more.") var noFollow = false
    @Option(help: ArgumentHelp("A prefix of topics to leave out; may be repeated.", valueName: "topic"))
    var exclude: [String] = []
    @Option(help: ArgumentHelp("Only what concerns this agent.", valueName: "agent")) var agent: AgentArgument?
    @Option(help: ArgumentHelp("Only what concerns this task.", valueName: "task")) var task: String?
    @Option(help: ArgumentHelp("Only this election.", valueName: "group")) var group: String?
    @OptionGroup var limit: LimitOption
    @Flag(help: "One JSON object a line; the same as -o json.") var json = false
    @OptionGroup var output: OutputOptions
    @OptionGroup var client: ClientOptions

    func run() async throws {
        try await reporting(client) {
            // That no daemon is there is said at once; one that goes away later is waited for.
            let probe = try await client.connect()
            let last: UInt64
            let agentID: AgentID?
            do {
                last = try await probe.status().lastSequence
                agentID = try await agent?.id(probe)
            } catch {
                await probe.close()
                throw error
            }
            await probe.close()
            let keeper = try await client.connect(waits: true)
            try await watch(keeper, agentID, until: noFollow ? last : nil)
            await keeper.close()
        }
    }

    /// - Parameter end: the last sequence that is wanted; nil for no end.
    private func watch(_ keeper: AgentKeeperClient, _ agent: AgentID?, until end: UInt64?) async throws {
        let filter = WatchFilter(topics: topics, excludedTopics: exclude, agent: agent, task: task, group: group)
        let isJSON = json || output.output == .json
        let terminal = Terminal.current()
        var output = Output()
        var left = limit.limit ?? .max
        // Without a start there is nothing between here and the last event.
        if let end, (after ?? end) >= end { return }
        let events = try await keeper.watch(filter, after: after, reportsProgress: end != nil)
        for try await element in events {
            var position: UInt64?
            switch element {
            case .event(let event):
                position = event.sequence
                if let end, event.sequence > end { return }
                output.line(isJSON ? event.json.line : event.line(terminal))
                left -= 1
            case .progress(let sequence):
                position = sequence
            case .gap(let gap):
                if isJSON {
                    let fields: [(String, JSON)] = [
                        ("after", gap.after.map { .number($0) } ?? .null), ("reason", .string(gap.reason)),
                    ]
                    output.line(JSON.object([("gap", .object(fields))]).line)
                } else {
                    output.flush()
                    complain("events were missed: \(gap.reason)")
                }
            }
            output.flush()
            if left == 0 { return }
            if let end, let position, position >= end { return }
        }
    }
}

extension Event {
    fileprivate func line(_ terminal: Terminal) -> String {
        let time = occurredAt.timeOfDay
        let number = String(sequence)
        let topic = topic.padding(to: 17)
        let start = "\(time)  \(number.count < 6 ? String(repeating: " ", count: 6 - number.count) + number : number)  "
        var what = printable(words)
        if let width = terminal.width { what = what.cut(to: max(10, width - start.columns - topic.columns - 2)) }
        return terminal.paint(start, .faint) + terminal.paint(topic, colour) + "  " + what
    }

    private var colour: Terminal.Colour? {
        switch topic {
        case "agent.died", "agent.unreachable", "lease.expired", "task.dead", "task.failed", "task.requeued": .red
        case "leader.changed": .yellow
        case "task.completed", "agent.recovered": .green
        default: .cyan
        }
    }

    private var words: String {
        switch payload {
        case .agent(let agent): "\(agent.id) \(agent.card.name)"
        case .lease(let lease): "\(lease.taskID)  by \(lease.holder)  token \(lease.token)"
        case .election(let state):
            "\(state.group)  " + (state.leader.map { "led by \($0)" } ?? "led by nobody") + "  term \(state.term)"
        case .policy(let policy):
            "\(policy.id)  \(policy.effect.rawValue.lowercased()) \(policy.subject) \(policy.action) \(policy.resource)"
        case .task(let task):
            "\(task.id) \(task.type)" + (task.claimedBy.map { "  by \($0)" } ?? "")
                + (task.failureReason.isEmpty ? "" : "  \(task.failureReason)")
        case .other(let type, let bytes): "\(type), \(bytes.count) bytes"
        }
    }
}

extension String {
    fileprivate func padding(to columns: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, columns - self.columns))
    }
}
