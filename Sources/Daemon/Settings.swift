// What the daemon was asked to do: flags over environment variables over defaults, each checked, and
// each complaint naming where the value came from.

import Coordination
import Glibc
import Journal
import Logging
import NIOCore
import RPC

struct Settings {
    /// A complaint about one setting.
    struct Problem: Error {
        let message: String
    }

    let address: ListenAddress
    /// Nil when there is to be none.
    let metricsAddress: ListenAddress?
    /// Whether the metrics address was asked for: then it must be had.
    let metricsAddressWasAskedFor: Bool
    /// Whether the page may act, and not only look.
    let allowsActions: Bool
    let threads: Int
    /// Whether the daemon belongs to the program that started it.
    let exitsWithParent: Bool
    var limits = Limits()
    var rpcLimits = RPCLimits()
    /// Nil when state is kept in memory.
    let dataDirectory: String?
    var journalOptions = Journal.Options()
    let logger: Logger
    /// For whoever has a thread for nothing else, and rather waits than leaves a line out.
    let patientLogger: Logger

    init(
        _ listeners: ListenerOptions, _ state: StateOptions, _ log: LogOptions, environment: Environment
    ) throws(Problem) {
        let source = Source(environment: environment)
        address = try source.value("addr", listeners.address, ListenAddress.init) ?? .defaultRPC
        let metrics = try source.value("metrics-addr", listeners.metricsAddress) { text throws(Problem) in
            if text == "off" { return MetricsAddress.off }
            do throws(Problem) {
                return .at(try ListenAddress(text))
            } catch {
                throw Problem(message: "\(error.message); or \"off\" for none")
            }
        }
        metricsAddressWasAskedFor = metrics != nil
        switch metrics {
        case .off: metricsAddress = nil
        case .at(let address): metricsAddress = address
        case nil: metricsAddress = .defaultMetrics
        }
        allowsActions = try source.isSet("dashboard-actions", listeners.dashboardActions)
        guard !allowsActions || metricsAddress != nil else {
            throw Problem(message: "--dashboard-actions: there is no page with --metrics-addr off")
        }
        threads = try source.value("threads", listeners.threads, count(1...256)) ?? min(System.coreCount, 4)
        exitsWithParent = listeners.exitWithParent
        if let count = try source.value("max-connections", listeners.maxConnections, count(1...1_000_000)) {
            rpcLimits.maxConnections = count
        }
        if let count = try source.value("event-history", state.eventHistory, count(1...10_000_000)) {
            limits.maxEvents = count
        }
        if let time = try source.value("dead-agent-retention", state.deadAgentRetention, timeSpan) {
            limits.deadAgentRetention = time
        }
        if let count = try source.value("max-dead-agents", state.maxDeadAgents, count(0...100_000_000)) {
            limits.maxDeadAgents = count
        }
        if let time = try source.value("finished-task-retention", state.finishedTaskRetention, timeSpan) {
            limits.finishedTaskRetention = time
        }
        if let count = try source.value("max-finished-tasks", state.maxFinishedTasks, count(0...100_000_000)) {
            limits.maxFinishedTasks = count
        }
        if let time = try source.value("event-retention", state.eventRetention, timeSpan) {
            limits.eventRetention = time
        }
        dataDirectory = try source.value("data-dir", state.dataDir) { text throws(Problem) in
            guard !text.isEmpty else { throw Problem(message: "must be the path of a directory, found nothing") }
            return text
        }
        let sync = try source.value("sync", state.sync) { text throws(Problem) in
            guard text == "full" || text == "off" else {
                throw Problem(message: "must be full or off, found \(quoted(text))")
            }
            return text
        }
        guard sync == nil || dataDirectory != nil else {
            throw Problem(message: "--sync: there is nothing to sync without --data-dir")
        }
        journalOptions.syncs = sync != "off"
        let level = try source.value("log-level", log.logLevel) { text throws(Problem) in
            guard let level = Logger.Level(rawValue: text) else {
                throw Problem(
                    message: "must be trace, debug, info, notice, warning, error or critical, found \(quoted(text))")
            }
            return level
        }
        let format = try source.value("log-format", log.logFormat) { text throws(Problem) in
            guard let format = LogFormat(rawValue: text) else {
                throw Problem(message: "must be text or json, found \(quoted(text))")
            }
            return format
        }
        func logger(_ patience: StandardError.Patience) -> Logger {
            Logger(label: "agentkeeper") { _ in
                LineLogHandler(format: format ?? .text, level: level ?? .info, patience: patience)
            }
        }
        self.logger = logger(.moment)
        patientLogger = logger(.unlimited)
    }

    private enum MetricsAddress {
        case off
        case at(ListenAddress)
    }

    /// A flag, or its environment variable.
    private struct Source {
        let environment: Environment

        func isSet(_ flag: String, _ given: Bool) throws(Problem) -> Bool {
            try value(flag, given ? "true" : nil) { text throws(Problem) in
                switch text.lowercased() {
                case "true", "1", "yes", "on": return true
                case "false", "0", "no", "off": return false
                default: throw Problem(message: "must be true or false, found \(quoted(text))")
                }
            } ?? false
        }

        func value<Value>(
            _ flag: String, _ given: String?, _ parse: (String) throws(Problem) -> Value
        ) throws(Problem) -> Value? {
            let variable = "AGENTKEEPER_" + flag.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
            guard let text = given ?? environment[variable] else { return nil }
            do throws(Problem) {
                return try parse(text)
            } catch {
                throw Problem(message: "\(given == nil ? variable : "--" + flag): \(error.message)")
            }
        }
    }
}

/// The process's environment variables.
struct Environment {
    /// An empty variable counts as none, as is usual for containers.
    subscript(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }
}

/// `HOST:PORT`; an empty host is every interface.
struct ListenAddress: CustomStringConvertible {
    let host: String
    let port: Int

    static let defaultRPC = ListenAddress(host: "127.0.0.1", port: 7070)
    static let defaultMetrics = ListenAddress(host: "127.0.0.1", port: 9090)

    private init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    init(_ text: String) throws(Settings.Problem) {
        let isAddress = !text.contains("://") && !text.contains(where: \.isWhitespace)
        guard isAddress, let colon = text.lastIndex(of: ":") else {
            throw Settings.Problem(message: "must be HOST:PORT, such as 127.0.0.1:7070, found \(quoted(text))")
        }
        var host = text[..<colon]
        // The way that others write every interface.
        if host == "*" { host = "" }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Settings.Problem(
                message: "an IPv6 address goes in brackets, such as [::1]:7070, found \(quoted(text))")
        }
        let digits = text[text.index(after: colon)...]
        guard let port = UInt16(digits), digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), text.prefix(2) != "[]"
        else {
            throw Settings.Problem(message: "the port must be a number from 0 to 65535, found \(quoted(text))")
        }
        self.init(host: String(host), port: Int(port))
    }

    var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

private func count(_ range: ClosedRange<Int>) -> (String) throws(Settings.Problem) -> Int {
    { text throws(Settings.Problem) in
        guard let number = Int(text), range.contains(number) else {
            throw Settings.Problem(
                message: "must be a whole number from \(range.lowerBound) to \(range.upperBound), found \(quoted(text))"
            )
        }
        return number
    }
}

/// `90s`, `30m`, `24h`, `7d`.
private func timeSpan(_ text: String) throws(Settings.Problem) -> Span {
    let seconds: [Character: UInt32] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
    guard let unit = text.last.flatMap({ seconds[$0] }), let number = UInt32(text.dropLast()),
        number <= 10 * 365 * 86_400 / unit
    else {
        throw Settings.Problem(
            message: "must be a time such as 90s, 30m, 24h or 7d, up to ten years, found \(quoted(text))")
    }
    return .seconds(number * unit)
}
