import AgentKeeper
import ArgumentParser
import Glibc
import JSON

struct TasksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks", abstract: "What is left to do: list, show, create, claim, complete, fail.",
        subcommands: [List.self, Show.self, Create.self, Claim.self, Complete.self, Fail.self])

    struct List: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "All tasks, oldest first.",
            discussion: "Finished tasks are kept for a day, unless the daemon was told otherwise.")

        @Option(
            help: ArgumentHelp("Only pending, claimed, completed or dead. (default: all)", valueName: "status"),
            completion: .list(["pending", "claimed", "completed", "dead"]))
        var status: TaskStatusArgument?
        @OptionGroup var limit: LimitOption
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            try await output.print(
                [
                    .init(title: "TASK"), .init(title: "TYPE", cuts: true), .init(title: "STATUS"),
                    .init(title: "CREATED"), .init(title: "RETRIES", isNumber: true), .init(title: "AGENT"),
                    .init(title: "TOOLS", cuts: true),
                ], limit: limit.limit
            ) { token in
                try await keeper.tasks(status?.status, pageSize: 1_000, after: token)
            } row: { task, _ in
                [
                    .init(task.id), .init(task.type), .status(task.status), .init(task.createdAt.ago),
                    .init("\(task.retryCount)/\(task.maxRetries)"), .agent(task.claimedBy),
                    .init(task.requiredTools.joined(separator: ",")),
                ]
            } json: {
                $0.json
            }
        }
    }

    struct Show: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "One task.",
            discussion: "--input-only and --output-only write the bytes as they are, for the next program.")

        @Argument(help: "The task's id.") var task: String
        @Flag(name: .customLong("input-only"), help: "Only what to work on, byte by byte.") var inputOnly = false
        @Flag(name: .customLong("output-only"), help: "Only the result, byte by byte.") var outputOnly = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let task = try await keeper.task(task)
            guard inputOnly || outputOnly else { return output.print(task.json) { task.add(to: &$0) } }
            var raw = Output()
            if inputOnly { raw.bytes(task.input) }
            if outputOnly { raw.bytes(task.output) }
            raw.flush()
        }
    }

    struct Create: ClientCommand {
        static let configuration = CommandConfiguration(abstract: "Put a task into the queue, and print its id.")

        @Argument(help: "What kind of work.") var type: String
        @OptionGroup var input: InputContent
        @Option(
            name: .customLong("tool"),
            help: ArgumentHelp("A tool without which no agent is given it; may be repeated.", valueName: "tool"))
        var tools: [String] = []
        @Option(help: ArgumentHelp("How often it may fail and be tried again. (default: 0)", valueName: "n"))
        var retries = 0
        @Option(help: ArgumentHelp("How long one claim may run. (default: 60s)", valueName: "time"))
        var ttl: TimeArgument?
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let task = try await keeper.createTask(
                type, input: try input.bytes(), requiredTools: tools, maxRetries: retries,
                ttl: ttl?.duration ?? .seconds(60))
            output.print(task.json, line: task.id)
        }
    }

    struct Claim: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "Claim the oldest task that the agent has the tools for.",
            discussion: """
                The exit status is 75 when none came in time. The claim ends by itself after the task's ttl: \
                prolong it with leases renew.
                """)

        @OptionGroup var agent: ActingAgent
        @Option(help: ArgumentHelp("How long to wait for one. (default: as long as it takes)", valueName: "time"))
        var wait: TimeArgument?
        @Flag(help: "Don't wait.") var noWait = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        /// Long enough for the daemon to answer.
        private static let noTime = Duration.milliseconds(250)

        func run(_ keeper: AgentKeeperClient) async throws {
            let id = try await agent.id(keeper)
            let claim = try await keeper.claimTask(for: id, waitingUpTo: noWait ? Self.noTime : wait?.duration)
            guard let claim else { throw Failure("no task came in time", .notNow) }
            let json = JSON.object([("task", claim.task.json), ("lease", claim.lease.json)])
            output.print(json) { fields in
                claim.task.add(to: &fields)
                fields.add("Token", .init(claim.lease.token.description))
                fields.add("Expires", .init(claim.lease.expiresAt.description))
            }
        }
    }

    struct Complete: ClientCommand {
        static let configuration = CommandConfiguration(abstract: "The work is done.")

        @OptionGroup var claimed: ClaimedTaskOptions
        @OptionGroup var result: ResultContent
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            try await keeper.completeTask(
                claimed.task, for: try await claimed.agent.id(keeper), token: claimed.fencingToken,
                output: try result.bytes())
        }
    }

    struct Fail: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "The work has failed: the task goes back to the queue if it has a retry left, else it is dead.")

        @OptionGroup var claimed: ClaimedTaskOptions
        @Option(help: ArgumentHelp("Why, for people.", valueName: "text")) var reason: String
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            try await keeper.failTask(
                claimed.task, for: try await claimed.agent.id(keeper), token: claimed.fencingToken, reason: reason)
        }
    }
}

struct ClaimedTaskOptions: ParsableArguments {
    @Argument(help: "The task's id.") var task: String
    @OptionGroup var agent: ActingAgent
    @Option(
        help: ArgumentHelp(
            "The claim's token: an older claim of the agent can't end a new one then. (default: any)",
            valueName: "number"))
    var token: UInt64?

    var fencingToken: FencingToken? { token.map { FencingToken($0) } }
}

/// What to work on.
struct InputContent: ParsableArguments {
    @Option(help: ArgumentHelp("What to work on, as text.", valueName: "text")) var input: String?
    @Option(
        help: ArgumentHelp("What to work on, from a file; - is standard input.", valueName: "file"),
        completion: .file())
    var inputFile: String?

    func bytes() throws -> [UInt8] { try content(input, inputFile, "--input") }
}

/// What came of it.
struct ResultContent: ParsableArguments {
    @Option(help: ArgumentHelp("The result, as text.", valueName: "text")) var result: String?
    @Option(
        help: ArgumentHelp("The result, from a file; - is standard input.", valueName: "file"), completion: .file())
    var resultFile: String?

    func bytes() throws -> [UInt8] { try content(result, resultFile, "--result") }
}

private func content(_ text: String?, _ path: String?, _ flag: String) throws(Failure) -> [UInt8] {
    if let text {
        guard path == nil else { throw Failure("\(flag) and \(flag)-file can't be given together", .usage) }
        return Array(text.utf8)
    }
    guard let path else { return [] }
    // One byte more than the daemon takes is enough to be told so.
    let most = 4 << 20
    let file = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw Failure("can't read \(path): \(String(cString: strerror(errno)))") }
    defer { if file != STDIN_FILENO { close(file) } }
    var bytes: [UInt8] = []
    while bytes.count <= most {
        let piece = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            count = max(0, read(file, buffer.baseAddress, buffer.count))
        }
        if piece.isEmpty { return bytes }
        bytes += piece
    }
    throw Failure("\(path) is larger than a task may be (3.75 MiB)")
}

struct TaskStatusArgument: ExpressibleByArgument {
    let status: TaskStatus

    init?(argument: String) {
        guard let status = TaskStatus(rawValue: argument.uppercased()), status != .unknown else { return nil }
        self.status = status
    }
}

extension TaskInfo {
    func add(to fields: inout Fields) {
        fields.add("Task", .init(id))
        fields.add("Type", .init(type))
        fields.add("Status", .status(status))
        if !requiredTools.isEmpty { fields.add("Tools", .init(requiredTools.joined(separator: ", "))) }
        fields.add("Retries", .init("\(retryCount) of \(maxRetries)"))
        fields.add("Created", .init("\(createdAt) (\(createdAt.ago))"))
        if let claimedBy { fields.add("Agent", .init(claimedBy.rawValue)) }
        if let claimedAt { fields.add("Claimed", .init("\(claimedAt) (\(claimedAt.ago))")) }
        if let finishedAt { fields.add("Finished", .init("\(finishedAt) (\(finishedAt.ago))")) }
        if !failureReason.isEmpty { fields.add("Failure", .init(failureReason)) }
        if !input.isEmpty { fields.add("Input", .content(input)) }
        if !output.isEmpty { fields.add("Output", .content(output)) }
    }
}

extension Table.Cell {
    static func status(_ status: TaskStatus) -> Table.Cell {
        let colour: Terminal.Colour? =
            switch status {
            case .pending: .yellow
            case .claimed: .cyan
            case .completed: .green
            case .dead, .unknown: .red
            }
        return .init(status.rawValue, colour)
    }

    /// As much of a task's input or output as somebody wants to see in passing.
    fileprivate static func content(_ bytes: [UInt8]) -> Table.Cell {
        guard let text = String(validating: bytes, as: UTF8.self) else { return .init("\(bytes.count) bytes", .faint) }
        let most = 200
        return .init(text.count <= most ? text : "\(text.prefix(most))… (\(bytes.count) bytes)")
    }
}
