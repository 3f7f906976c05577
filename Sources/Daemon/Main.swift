// One binary, for the daemon and for those who talk to it: which of the two, and what a stranger reads in `--help`.

import ArgumentParser
import Commands

@main
struct AgentKeeperCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agentkeeper",
        abstract: "A coordination daemon for AI agents, over gRPC, and its command line.",
        usage: """
            agentkeeper [serve] [--addr 127.0.0.1:7070] [--metrics-addr 127.0.0.1:9090] [--log-level info] \
            [--log-format text] …
            agentkeeper <subcommand> [--addr 127.0.0.1:7070] …
            """,
        discussion: """
            Agents register and are watched over, find each other, take leases with fencing tokens on tasks, \
            elect leaders, ask whether they may call a tool, share a queue of tasks, and watch events. Any \
            gRPC client can talk to it; the schema is in protos/ and in the server's reflection.

            With no subcommand it is the daemon: agentkeeper serve --help explains its flags. All other \
            subcommands talk to one, at --addr or AGENTKEEPER_ADDR. They print tables for people and, with \
            -o json, JSON for programs. Errors are one line on standard error. Times are written 500ms, 90s, \
            30m, 24h, 7d.

            \(Commands.exitStatuses) The daemon itself ends with 0, 64 or 1.

            Completions: agentkeeper --generate-completion-script bash, or zsh, or fish.

            Source and documentation: see the README.
            """,
        version: "agentkeeper \(version)",
        groupedSubcommands: [
            CommandGroup(name: "Daemon", subcommands: [ServeCommand.self, BackupCommand.self, VerifyCommand.self])
        ] + Commands.groups,
        defaultSubcommand: ServeCommand.self)

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            // A bare status has had its line.
            guard !(error is ExitCode), exitCode(for: error) == .validationFailure else { exit(withError: error) }
            // A wrong command line is one line as well; where to read more is in it.
            let hint = fullMessage(for: error).split(separator: "\n").last { $0.contains("--help") }
            let words = message(for: error).split(whereSeparator: \.isNewline).map { $0.drop { $0 == " " } }
            let command = hint.flatMap { $0.split(separator: "'").dropFirst().first } ?? "agentkeeper --help"
            // Who did not write `serve` is not told of it.
            let isImplied = command == "agentkeeper serve --help" && CommandLine.arguments.dropFirst().first != "serve"
            complain("\(words.joined(separator: " ")); see \(isImplied ? "agentkeeper --help" : command)")
            exit(withError: ExitCode.validationFailure)
        }
    }
}
