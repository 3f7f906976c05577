// `agentkeeper serve`, and `agentkeeper` alone: the daemon's flags and their environment variables.

import ArgumentParser
import Logging

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the daemon; the same as no subcommand.",
        discussion: """
            With --data-dir everything that was answered survives any crash; without it state is kept in memory and is \
            gone when the daemon stops.

            Every flag has an environment variable: AGENTKEEPER_ and the flag's name in capitals, as in \
            AGENTKEEPER_METRICS_ADDR. A flag wins over its variable. SIGTERM, SIGINT and SIGHUP end the daemon \
            gracefully within 5 seconds, and another one after a second at once. The exit status is 0 after a \
            graceful end, 64 for a wrong flag, and 1 for anything else.
            """)

    @OptionGroup(title: "Listeners") var listeners: ListenerOptions
    @OptionGroup(title: "State") var state: StateOptions
    @OptionGroup(title: "Log") var log: LogOptions

    func run() async throws {
        let settings: Settings
        do {
            settings = try Settings(listeners, state, log, environment: Environment())
        } catch {
            throw ValidationError(error.message)
        }
        do {
            try await Daemon(settings).run()
        } catch let error as StartFailure {
            settings.logger.critical("\(error.message)")
            throw ExitCode.failure
        }
    }
}

struct ListenerOptions: ParsableArguments {
    @Option(
        name: .customLong("addr"),
        help: ArgumentHelp(
            "Where gRPC is served: cleartext HTTP/2 with prior knowledge. \":7070\" is every interface, port 0 any free port. (default: 127.0.0.1:7070)",
            valueName: "host:port"))
    var address: String?

    @Option(
        name: .customLong("metrics-addr"),
        help: ArgumentHelp(
            "Where the page, its JSON, /healthz, /readyz and /metrics are served; \"off\" for nowhere. If the default is taken, the daemon runs without it. (default: 127.0.0.1:9090)",
            valueName: "host:port"))
    var metricsAddress: String?

    @Flag(
        help:
            "Let the page act: release a lease, deregister an agent, requeue a task, delete a policy. Only where --metrics-addr is this machine's own."
    )
    var dashboardActions = false

    @Option(
        help: ArgumentHelp(
            "Event loops; each is a thread. (default: the number of cores, 4 at the most)", valueName: "n"))
    var threads: String?

    @Option(help: ArgumentHelp("gRPC connections at once. (default: 10000)", valueName: "n"))
    var maxConnections: String?

    /// For programs that start a daemon for themselves (`Parent.swift`).
    @Flag(help: .hidden)
    var exitWithParent = false
}

struct StateOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Events that are kept for watchers that resume. (default: 10000)", valueName: "n"))
    var eventHistory: String?

    @Option(
        help: ArgumentHelp(
            "How long dead agents are kept, for example 90s, 30m or 24h. (default: 24h)", valueName: "time"))
    var deadAgentRetention: String?

    @Option(help: ArgumentHelp("How many dead agents are kept at the most. (default: 100000)", valueName: "n"))
    var maxDeadAgents: String?

    @Option(help: ArgumentHelp("How long finished tasks are kept. (default: 24h)", valueName: "time"))
    var finishedTaskRetention: String?

    @Option(help: ArgumentHelp("How many finished tasks are kept at the most. (default: 100000)", valueName: "n"))
    var maxFinishedTasks: String?

    @Option(help: ArgumentHelp("How long events are kept. (default: 24h)", valueName: "time"))
    var eventRetention: String?

    @Option(
        help: ArgumentHelp(
            "A directory where the state survives any crash; it is made if need be, and used by one daemon at a time. (default: state in memory)",
            valueName: "dir"))
    var dataDir: String?

    @Option(
        help: ArgumentHelp(
            "full: answer when it is on disk. off: UNSAFE, what was answered in the last seconds is lost when the machine crashes, though not when the daemon does. (default: full)",
            valueName: "mode"))
    var sync: String?
}

struct LogOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "trace, debug, info, notice, warning, error or critical. (default: info)", valueName: "level"))
    var logLevel: String?

    @Option(
        help: ArgumentHelp(
            "text, or json: one object a line. Both on standard error. (default: text)", valueName: "format"))
    var logFormat: String?
}
