// A load generator that fits into one command: how many calls a second, and how long each takes.
//
// It is closed-loop: every stream makes one call after another. So the latency is what a client sees that waits for
// each answer, and it grows with the number of streams. The client runs on one thread and shares the machine with
// the daemon, if that is on the same one: how busy it was is told, since a client that is busy measures itself.

import AgentKeeper
import ArgumentParser
import Glibc

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Put load on a daemon, and measure it.",
        discussion: """
            Registers agents, makes calls as fast as they are answered, and deregisters its agents again. heartbeat \
            is one call each; lease acquires and releases a lease, two calls; check asks whether the policies allow \
            something. For numbers that compare servers use make bench, which measures the daemon's CPU time.
            """)

    enum Kind: String, CaseIterable, ExpressibleByArgument {
        case heartbeat
        case lease
        case check
    }

    @Option(help: ArgumentHelp("heartbeat, lease or check; may be repeated. (default: all)", valueName: "call"))
    var call: [Kind] = []
    @Option(help: ArgumentHelp("Connections. (default: 4)", valueName: "n")) var connections = 4
    @Option(help: ArgumentHelp("Calls at once on each connection. (default: 16)", valueName: "n")) var streams = 16
    @Option(help: ArgumentHelp("How long each kind of call is measured. (default: 3s)", valueName: "time"))
    var duration: TimeArgument?
    @OptionGroup var output: OutputOptions
    @OptionGroup var client: ClientOptions

    func validate() throws {
        guard (1...256).contains(connections) else {
            throw ValidationError("--connections must be from 1 to 256, found \(connections)")
        }
        guard (1...1_000).contains(streams) else {
            throw ValidationError("--streams must be from 1 to 1000, found \(streams)")
        }
    }

    func run() async throws {
        try await reporting(client) {
            let seconds = duration?.duration ?? .seconds(3)
            var clients: [AgentKeeperClient] = []
            var agents: [AgentID] = []
            for number in 0..<connections {
                let keeper = try await client.connect()
                let card = AgentCard(name: "bench-\(getpid())-\(number)", description: "agentkeeper bench")
                agents.append(try await keeper.registerAgent(card, ttl: .seconds(600)))
                clients.append(keeper)
            }
            let pairs = Array(zip(clients, agents))
            var results: [Result] = []
            for kind in call.isEmpty ? Kind.allCases : call {
                results.append(try await measure(kind, pairs, seconds))
            }
            for (keeper, agent) in pairs {
                try await keeper.deregisterAgent(agent)
                await keeper.close()
            }
            try await show(results)
        }
    }

    struct Result: Sendable {
        let kind: Kind
        let seconds: Double
        /// Of one core, by this process.
        let clientCPU: Double
        let latencies: Latencies
    }

    private func measure(
        _ kind: Kind, _ pairs: [(AgentKeeperClient, AgentID)], _ duration: Duration
    ) async throws -> Result {
        let start = ContinuousClock.now
        // What is not warm yet is not measured.
        let begin = start + min(.milliseconds(500), duration / 4)
        let end = begin + duration
        let cpu = processCPU()
        let latencies = try await withThrowingTaskGroup(of: Latencies.self) { group in
            for (number, (keeper, agent)) in pairs.enumerated() {
                for stream in 0..<streams {
                    group.addTask {
                        var latencies = Latencies()
                        let task = "bench/\(getpid())/\(number)/\(stream)"
                        while true {
                            let before = ContinuousClock.now
                            if before >= end { return latencies }
                            try await Self.once(kind, keeper, agent, task) { started in
                                if started >= begin { latencies.add(ContinuousClock.now - started) }
                            }
                        }
                    }
                }
            }
            return try await group.reduce(into: Latencies()) { $0.merge($1) }
        }
        let whole = ContinuousClock.now - start
        return Result(
            kind: kind, seconds: duration.seconds, clientCPU: (processCPU() - cpu) / whole.seconds,
            latencies: latencies)
    }

    /// - Parameter done: told of each call when it began, as soon as it is answered.
    private static func once(
        _ kind: Kind, _ keeper: AgentKeeperClient, _ agent: AgentID, _ task: String,
        _ done: (ContinuousClock.Instant) -> Void
    ) async throws {
        let start = ContinuousClock.now
        switch kind {
        case .heartbeat:
            try await keeper.heartbeat(agent)
            done(start)
        case .lease:
            let lease = try await keeper.acquireLease(on: task, for: agent).lease
            done(start)
            let middle = ContinuousClock.now
            try await keeper.releaseLease(on: task, for: agent, token: lease.token)
            done(middle)
        case .check:
            _ = try await keeper.check("agent:bench", may: "call", on: "tool:bench")
            done(start)
        }
    }

    private func show(_ results: [Result]) async throws {
        try await output.print(
            [
                .init(title: "CALL"), .init(title: "CALLS/S", isNumber: true), .init(title: "P50", isNumber: true),
                .init(title: "P90", isNumber: true), .init(title: "P99", isNumber: true),
                .init(title: "P99.9", isNumber: true), .init(title: "MAX", isNumber: true),
                .init(title: "CLIENT CPU", isNumber: true),
            ]
        ) { _ in
            Page(elements: results, nextToken: nil)
        } row: { result, _ in
            [.init(result.kind.rawValue), .init(String(Int(result.rate)))]
                + [0.5, 0.9, 0.99, 0.999, 1].map { .init(Self.spoken(result.latencies.quantile($0))) }
                + [.init("\(Int((result.clientCPU * 100).rounded()))%")]
        } json: { result in
            .object([
                ("call", .string(result.kind.rawValue)), ("connections", .number(UInt64(connections))),
                ("streams", .number(UInt64(streams))), ("calls", .number(result.latencies.count)),
                ("calls_per_second", .decimal(result.rate.rounded())),
                ("p50_us", .decimal(result.latencies.quantile(0.5))),
                ("p90_us", .decimal(result.latencies.quantile(0.9))),
                ("p99_us", .decimal(result.latencies.quantile(0.99))),
                ("p999_us", .decimal(result.latencies.quantile(0.999))),
                ("max_us", .decimal(result.latencies.quantile(1))), ("client_cpu_cores", .decimal(result.clientCPU)),
            ])
        }
    }

    private static func spoken(_ microseconds: Double) -> String {
        microseconds < 10_000 ? "\(Int(microseconds.rounded()))us" : "\(Int((microseconds / 1_000).rounded()))ms"
    }
}

extension BenchCommand.Result {
    var rate: Double { Double(latencies.count) / seconds }
}

/// A histogram of lengths of time, exact to one part in 32.
struct Latencies: Sendable {
    private static let parts: UInt64 = 32

    private var buckets = [UInt64](repeating: 0, count: 64 * Int(parts))
    private(set) var count: UInt64 = 0
    private var longest: UInt64 = 0

    mutating func add(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = UInt64(max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000))
        buckets[Self.bucket(nanoseconds)] += 1
        count += 1
        longest = max(longest, nanoseconds)
    }

    mutating func merge(_ other: Latencies) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// In microseconds; no more than so large a part of the calls took less.
    func quantile(_ part: Double) -> Double {
        guard count > 0 else { return 0 }
        if part >= 1 { return Double(longest) / 1_000 }
        let rank = UInt64((Double(count) * part).rounded(.up))
        var seen: UInt64 = 0
        for (index, number) in buckets.enumerated() {
            seen += number
            if seen >= max(rank, 1) { return Double(min(Self.end(of: index), longest)) / 1_000 }
        }
        return Double(longest) / 1_000
    }

    /// Numbers below 32 are their own bucket; above, each doubling has 32.
    private static func bucket(_ value: UInt64) -> Int {
        guard value >= parts else { return Int(value) }
        let shift = UInt64(63 - value.leadingZeroBitCount) - 5
        return Int((shift + 1) * parts + (value >> shift) - parts)
    }

    private static func end(of bucket: Int) -> UInt64 {
        let bucket = UInt64(bucket)
        guard bucket >= parts else { return bucket }
        let shift = bucket / parts - 1
        return ((bucket % parts + parts + 1) << shift) - 1
    }
}

extension Duration {
    fileprivate var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

/// This process's CPU time, in seconds.
private func processCPU() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
