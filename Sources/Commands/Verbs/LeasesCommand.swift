import AgentKeeper
import ArgumentParser
import JSON

struct LeasesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leases", abstract: "Who works on what: list, show, acquire, renew, release.",
        discussion: "To run a program under a lease, see agentkeeper lock.",
        subcommands: [List.self, Show.self, Acquire.self, Renew.self, Release.self])

    struct List: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "All leases that are in force, claims of tasks included, oldest first.")

        @Option(help: ArgumentHelp("Only this agent's.", valueName: "agent")) var holder: AgentArgument?
        @Option(help: ArgumentHelp("Only leases on tasks whose id begins so.", valueName: "prefix")) var prefix = ""
        @Option(
            help: ArgumentHelp("Only lease, or only claim. (default: both)", valueName: "kind"),
            completion: .list(["lease", "claim"]))
        var kind: KindArgument?
        @OptionGroup var limit: LimitOption
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let holder = try await holder?.id(keeper)
            try await output.print(
                [
                    .init(title: "TASK", cuts: true), .init(title: "HOLDER"), .init(title: "TOKEN", isNumber: true),
                    .init(title: "LEFT"), .init(title: "TTL"), .init(title: "KIND"),
                    .init(title: "WAITING", isNumber: true),
                ], limit: limit.limit
            ) { token in
                try await keeper.leases(heldBy: holder, taskPrefix: prefix, kind: kind?.kind, after: token)
            } row: { lease, _ in
                [
                    .init(lease.info.taskID), .init(lease.info.holder.rawValue), .init(lease.info.token.description),
                    .left(lease.remaining, of: lease.ttl), .init(spoken(UInt64(lease.ttl.milliseconds))),
                    .init(lease.kind.rawValue.lowercased()), .init(String(lease.waitingCalls)),
                ]
            } json: {
                $0.json
            }
        }
    }

    struct Show: ClientCommand {
        static let configuration = CommandConfiguration(abstract: "One lease or claim, and who waits for it.")

        @Argument(help: "The task.") var task: String
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let (lease, waiting) = try await keeper.leaseDetails(on: task)
            let json = JSON.object(lease.fields + [("waiting_agent_ids", .texts(waiting.map(\.rawValue)))])
            output.print(json) { fields in
                fields.add("Task", .init(lease.info.taskID))
                fields.add("Kind", .init(lease.kind.rawValue.lowercased()))
                fields.add("Holder", .init(lease.info.holder.rawValue))
                fields.add("Token", .init(lease.info.token.description))
                fields.add("Acquired", .init("\(lease.info.acquiredAt) (\(lease.info.acquiredAt.ago))"))
                fields.add("Left", .left(lease.remaining, of: lease.ttl))
                fields.add("Ttl", .init(spoken(UInt64(lease.ttl.milliseconds))))
                fields.add("Waiting", .init(String(lease.waitingCalls)))
                for agent in waiting { fields.add("", .init(agent.rawValue)) }
            }
        }
    }

    struct Acquire: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take the lease on a task, for a while.",
            discussion: """
                Nobody renews it: see leases renew, or better agentkeeper lock. The exit status is 75, and the lease \
                is shown as it is, when another holds it.
                """)

        @Argument(help: "The task: whatever the agents call it.") var task: String
        @OptionGroup var agent: ActingAgent
        @Option(help: ArgumentHelp("How long it is to run. (default: 60s)", valueName: "time")) var ttl: TimeArgument?
        @Option(
            help: ArgumentHelp("How long to wait for a lease that is held. (default: not at all)", valueName: "time"))
        var wait: TimeArgument?
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let answer = try await keeper.acquireLease(
                on: task, for: try await agent.id(keeper), ttl: ttl?.duration ?? .seconds(60),
                waitingUpTo: wait?.duration ?? .zero)
            let lease = answer.lease
            let json = JSON.object([("acquired", .bool(answer.isAcquired))] + lease.fields)
            output.print(json) { fields in
                fields.add("Acquired", answer.isAcquired ? .init("yes", .green) : .init("no, held by another", .yellow))
                fields.add("Task", .init(lease.taskID))
                fields.add("Holder", .init(lease.holder.rawValue))
                fields.add("Token", .init(lease.token.description))
                fields.add("Expires", .init(lease.expiresAt.description))
            }
            if !answer.isAcquired { throw ExitCode(ExitStatus.notNow.rawValue) }
        }
    }

    struct Renew: ClientCommand {
        static let configuration = CommandConfiguration(abstract: "Prolong a lease, or the claim of a task.")

        @OptionGroup var held: HeldLease
        @Option(help: ArgumentHelp("How long from now. (default: as it was given last)", valueName: "time"))
        var ttl: TimeArgument?
        @OptionGroup var output: OutputOptions
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            let lease = try await keeper.renewLease(
                on: held.task, for: try await held.agent.id(keeper), token: try held.fencingToken(), ttl: ttl?.duration)
            output.print(lease.json, line: "\(lease.taskID) expires at \(lease.expiresAt)")
        }
    }

    struct Release: ClientCommand {
        static let configuration = CommandConfiguration(
            abstract: "End a lease before its time.",
            discussion: """
                Only its holder can, with its token: whoever takes a lease from another may have two at work. An \
                agent that is gone for good is let go with agents deregister, and all its leases with it.
                """)

        @OptionGroup var held: HeldLease
        @OptionGroup var client: ClientOptions

        func run(_ keeper: AgentKeeperClient) async throws {
            try await keeper.releaseLease(
                on: held.task, for: try await held.agent.id(keeper), token: try held.fencingToken())
        }
    }
}

/// A lease as its holder names it.
struct HeldLease: ParsableArguments {
    @Argument(help: "The task.") var task: String
    @OptionGroup var agent: ActingAgent
    @Option(
        help: ArgumentHelp(
            "The lease's token; or AGENTKEEPER_TOKEN, when AGENTKEEPER_TASK is the task.", valueName: "number"))
    var token: UInt64?

    func fencingToken() throws -> FencingToken {
        if let token { return FencingToken(token) }
        if environment("AGENTKEEPER_TASK") == task,
            let number = environment("AGENTKEEPER_TOKEN").flatMap({ UInt64($0) })
        {
            return FencingToken(number)
        }
        throw Failure("--token is missing, and AGENTKEEPER_TASK and AGENTKEEPER_TOKEN don't name one", .usage)
    }
}

struct KindArgument: ExpressibleByArgument {
    let kind: LeaseDetails.Kind

    init?(argument: String) {
        guard let kind = LeaseDetails.Kind(rawValue: argument.uppercased()), kind != .unknown else { return nil }
        self.kind = kind
    }
}

extension Table.Cell {
    /// What is left of a ttl, marked when it is less than a quarter.
    static func left(_ remaining: Duration, of ttl: Duration) -> Table.Cell {
        .init(spoken(UInt64(remaining.milliseconds)), remaining * 4 < ttl ? .yellow : nil)
    }
}
