import AgentKeeper
import ArgumentParser

struct ElectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "elect", abstract: "Run a program only while leading a group.",
        usage: "agentkeeper elect <group> [--no-wait | --timeout <time>] [--again] [options] -- <command> …",
        discussion: """
            Stands for election, runs the command when it leads, and resigns when the command has ended: the \
            candidate that has waited longest leads next. The command finds AGENTKEEPER_GROUP, AGENTKEEPER_TERM and \
            AGENTKEEPER_AGENT_ID in its environment, and AGENTKEEPER_ADDR for further agentkeeper commands: the term \
            is one higher at every change of leader, a fencing token for what leaders write.

            Streams, terminal and signals are as with agentkeeper lock. The moment leadership is lost, the command's \
            process group gets SIGTERM, and SIGKILL when --kill-after is over or somebody else may lead, whichever \
            comes first. A leader that dies is followed after twice its --ttl.

            The exit status is the command's, or 128 and the signal's number; 75 (or -E) if it did not come to lead, \
            76 if leadership was lost, 69 if there is no daemon, 126 or 127 if the command can't be run.

              agentkeeper elect scheduler --again -- ./schedule-forever
            """)

    @Argument(help: "The group that is to have one leader.") var group: String
    @Flag(help: "When leadership is lost, stand again and run the command anew.") var again = false
    @OptionGroup var options: GuardOptions
    @OptionGroup var client: ClientOptions
    @Argument(parsing: .postTerminator, help: "The program and its arguments, after two dashes.", completion: .default)
    var command: [String] = []

    func validate() throws {
        if group.isEmpty { throw ValidationError("the group must not be empty") }
        if command.isEmpty { throw ValidationError("the command is missing: agentkeeper elect GROUP -- COMMAND …") }
    }

    func run() async throws {
        let signals = SignalStream()
        try await reporting(client) {
            let what = "agentkeeper elect \(group): \(command.joined(separator: " "))"
            let session = try await GuardSession(options, client, what, whenDead: again ? .registerAnew : .giveUp)
            let status = try await GuardSession.with(session) { session in
                // What is wrong with the group is told by the call, not by the campaign.
                _ = try await session.keeper.campaign(in: group, for: session.agent.id)
                return try await lead(session, session.agent.campaign(in: group), signals)
            }
            throw ExitCode(status)
        }
    }

    private func lead(_ session: GuardSession, _ campaign: Campaign, _ signals: SignalStream) async throws -> Int32 {
        while true {
            let outcome = try await session.await(signals, telling: { try await describeLeader(session) }) {
                try await win(campaign)
            }
            let leadership: Leadership
            switch outcome {
            case .interrupted(let number): return 128 + number
            case .had(let won?): leadership = won
            case .had(nil):
                complain("another leads \"\(group)\"\(options.noWait ? "" : ", and still did when the time was over")")
                return options.notNow.rawValue
            }
            switch try await run(leadership, session, signals) {
            case .exited(let status):
                await session.atLast { try await campaign.resign() }
                return status
            case .lost(let reason):
                complain("leadership of \"\(group)\" was lost: \(reason); \(command[0]) was ended")
                guard again else { return ExitStatus.lost.rawValue }
            }
        }
    }

    private func run(
        _ leadership: Leadership, _ session: GuardSession, _ signals: SignalStream
    ) async throws -> GuardedCommand.End {
        let tenancy = Tenancy(
            remaining: { leadership.remaining }, waitUntilLost: { await leadership.waitUntilLost()?.description },
            ttl: options.wholeTTL)
        let variables = [
            ("AGENTKEEPER_GROUP", group), ("AGENTKEEPER_TERM", String(leadership.term)),
            ("AGENTKEEPER_AGENT_ID", leadership.agentID.rawValue), ("AGENTKEEPER_ADDR", session.keeper.address),
        ]
        let command = GuardedCommand(
            arguments: command, environment: environmentOfCommand(variables), tenancy: tenancy,
            killAfter: options.grace)
        return try await command.run(signals)
    }

    /// - Returns: nil when another leads, and did so until the wait was over.
    private func win(_ campaign: Campaign) async throws -> Leadership? {
        let wait = options.wait
        return try await first {
            for await state in campaign {
                switch state {
                case .leading(let leadership): return leadership
                case .waiting where options.noWait: return nil
                case .waiting, .lost: continue
                }
            }
            throw AgentKeeperError.agentDied("the daemon took it for dead, or somebody deregistered it")
        } _: {
            // For ever is a century. Without a wait the first state decides, and a daemon that hangs is the only other.
            try await Task.sleep(for: options.noWait ? .seconds(10) : wait ?? .seconds(100 * 365 * 86_400))
            return nil
        }
    }

    private func describeLeader(_ session: GuardSession) async throws -> String {
        let (election, _) = try await session.keeper.electionDetails(group)
        guard let leader = election.state.leader else { return "waiting to lead \"\(group)\"" }
        let agent = try await session.keeper.agent(leader)
        let others = election.candidates - 2
        let line = others > 0 ? ", \(others) wait besides" : ""
        return "waiting to lead \"\(group)\", led by \(agent.card.name) (\(agent.id))\(line)"
    }
}
