import AgentKeeper
import ArgumentParser
import Glibc

/// What lock and elect have in common.
struct GuardOptions: ParsableArguments {
    @Flag(help: "Don't wait: end with status 75 at once.") var noWait = false
    @Option(help: ArgumentHelp("Wait so long at most, then end with status 75. (default: for ever)", valueName: "time"))
    var timeout: TimeArgument?
    @Option(
        help: ArgumentHelp(
            "After how much silence it is lost, should this machine die; renewed every third of it. (default: 30s)",
            valueName: "time"))
    var ttl: TimeArgument?
    @Option(
        help: ArgumentHelp(
            "How long the command has between SIGTERM and SIGKILL; at most a third of the ttl counts. (default: 5s)",
            valueName: "time"))
    var killAfter: TimeArgument?
    @Option(
        name: [.customShort("E"), .long],
        help: ArgumentHelp("The status instead of 75, as flock(1) has it.", valueName: "status"))
    var conflictExitCode: UInt8?
    @Option(help: ArgumentHelp("The agent's name. (default: this host's name and the process id)", valueName: "name"))
    var name: String?

    func validate() throws {
        if noWait, timeout != nil { throw ValidationError("--no-wait and --timeout can't be given together") }
        if let ttl, ttl.duration < .seconds(1) { throw ValidationError("--ttl must be at least 1s") }
        if let ttl, ttl.duration > .seconds(604_800) { throw ValidationError("--ttl must be at most 7d") }
    }

    /// Whole seconds, as the daemon counts.
    var wholeTTL: Duration {
        let duration = ttl?.duration ?? .seconds(30)
        let (seconds, rest) = duration.components
        return .seconds(rest > 0 ? seconds + 1 : seconds)
    }

    var grace: Duration { killAfter?.duration ?? .seconds(5) }

    /// Nil for ever.
    var wait: Duration? { noWait ? .zero : timeout?.duration }

    var notNow: ExitCode { ExitCode(conflictExitCode.map { Int32($0) } ?? ExitStatus.notNow.rawValue) }

    func card(_ what: String) -> AgentCard {
        var host = [CChar](repeating: 0, count: 256)
        gethostname(&host, host.count - 1)
        let length = host.firstIndex(of: 0) ?? host.count
        let hostName = String(decoding: host[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // A card has bounds, and a command line has none.
        return AgentCard(name: name ?? "\(hostName)/\(getpid())", description: String(what.prefix(500)))
    }
}

/// The environment of a command: ours, with these variables besides.
func environmentOfCommand(_ variables: [(String, String)]) -> [String] {
    var all: [String] = []
    var next = environ
    while let entry = next.pointee {
        let text = String(cString: entry)
        if !variables.contains(where: { text.hasPrefix("\($0.0)=") }) { all.append(text) }
        next += 1
    }
    return all + variables.map { "\($0.0)=\($0.1)" }
}

/// The first of these to be there; the others are cancelled.
func first<Value: Sendable>(_ bodies: (@Sendable () async throws -> Value)...) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        for body in bodies { group.addTask { try await body() } }
        defer { group.cancelAll() }
        return try await group.next()!
    }
}
