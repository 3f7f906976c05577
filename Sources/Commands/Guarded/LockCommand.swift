import AgentKeeper
import ArgumentParser
import Glibc

struct LockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock", abstract: "Run a program while holding the lease on a task.",
        usage: "agentkeeper lock <task> [--no-wait | --timeout <time>] [--ttl <time>] [options] -- <command> …",
        discussion: """
            Waits its turn, runs the command, renews the lease as long as it runs, and gives it back. The command \
            finds AGENTKEEPER_TASK, AGENTKEEPER_TOKEN and AGENTKEEPER_AGENT_ID in its environment, and \
            AGENTKEEPER_ADDR for further agentkeeper commands: pass the token on to whatever it writes to. It has \
            our standard streams and our terminal, and a process group of its own.

            SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 and SIGTSTP are passed on to the command's process \
            group. The moment the lease is lost, the group gets SIGTERM, and SIGKILL when --kill-after is over or \
            somebody else may have the lease, whichever comes first: also if this process is stopped or killed.

            The exit status is the command's, or 128 and the signal's number; 75 (or -E) if the lease was not to be \
            had, 76 if it was lost, 69 if there is no daemon, 126 or 127 if the command can't be run.

              agentkeeper lock nightly-report --no-wait -- ./report.sh
              agentkeeper lock deploy:web --timeout 10m -- sh -c 'deploy --fence "$AGENTKEEPER_TOKEN"'
            """)

    @Argument(help: "The task: whatever the agents call it.") var task: String
    @OptionGroup var options: GuardOptions
    @OptionGroup var client: ClientOptions
    @Argument(parsing: .postTerminator, help: "The program and its arguments, after two dashes.", completion: .default)
    var command: [String] = []

    func validate() throws {
        if task.isEmpty { throw ValidationError("the task must not be empty") }
        if command.isEmpty { throw ValidationError("the command is missing: agentkeeper lock TASK -- COMMAND …") }
    }

    func run() async throws {
        let signals = SignalStream()
        try await reporting(client) {
            let what = "agentkeeper lock \(task): \(command.joined(separator: " "))"
            let status = try await GuardSession.with(try await GuardSession(options, client, what)) { session in
                try await hold(session, signals)
            }
            throw ExitCode(status)
        }
    }

    private func hold(_ session: GuardSession, _ signals: SignalStream) async throws -> Int32 {
        let ttl = options.wholeTTL
        let outcome = try await session.await(signals, telling: { try await describeHolder(session) }) {
            [task, options] in
            try await session.agent.acquireLeaseIfFree(
                on: task, ttl: ttl, waitingUpTo: options.wait ?? .seconds(100 * 365 * 86_400))
        }
        let lease: Lease
        switch outcome {
        case .interrupted(let number): return 128 + number
        case .had(let had?): lease = had
        case .had(nil):
            complain("the lease on \"\(task)\" is held by another\(options.noWait ? "" : ", and was not free in time")")
            return options.notNow.rawValue
        }
        let tenancy = Tenancy(
            remaining: { lease.remaining }, waitUntilLost: { await lease.waitUntilLost()?.description },
            ttl: ttl)
        let variables = [
            ("AGENTKEEPER_TASK", task), ("AGENTKEEPER_TOKEN", lease.token.description),
            ("AGENTKEEPER_AGENT_ID", lease.info.holder.rawValue), ("AGENTKEEPER_ADDR", session.keeper.address),
        ]
        let run = GuardedCommand(
            arguments: command, environment: environmentOfCommand(variables), tenancy: tenancy,
            killAfter: options.grace)
        do {
            switch try await run.run(signals) {
            case .exited(let status):
                await session.atLast { try await lease.release() }
                return status
            case .lost(let reason):
                complain("the lease on \"\(task)\" was lost: \(reason); \(command[0]) was ended")
                return ExitStatus.lost.rawValue
            }
        } catch {
            await session.atLast { try await lease.release() }
            throw error
        }
    }

    private func describeHolder(_ session: GuardSession) async throws -> String {
        let (lease, waiting) = try await session.keeper.leaseDetails(on: task)
        let holder = try await session.keeper.agent(lease.info.holder)
        let others = waiting.count - 1
        let line = others > 0 ? ", \(others) wait besides" : ""
        return "waiting for \"\(task)\", held by \(holder.card.name) (\(holder.id))\(line)"
    }
}
