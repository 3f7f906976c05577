// What the suites share: a daemon for all of them where they don't harm each other, and how to fail well.

import AgentKeeper
import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// One daemon for all suites that leave others alone.
let shared = SharedDaemon()

/// The error that `body` must throw.
func error<Value>(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Value
) async -> AgentKeeperError? {
    do {
        let value = try await body()
        Issue.record("no error was thrown, but \(value) returned", sourceLocation: sourceLocation)
        return nil
    } catch let error as AgentKeeperError {
        return error
    } catch {
        Issue.record("\(error) is no AgentKeeperError", sourceLocation: sourceLocation)
        return nil
    }
}

/// A name that no other test uses.
func unique(_ name: String) -> String { "\(name)-\(UInt64.random(in: 0...UInt64.max))" }

/// Waits for the cancellation of its task, as work does that looks after it; a minute at the most.
///
/// - Returns: whether it was cancelled.
func sleepUntilCancelled() async -> Bool {
    try? await Task.sleep(for: .seconds(60))
    return Task.isCancelled
}

extension ClientConfiguration {
    /// Its goodbye may take as long as a busy machine needs.
    static var patient: ClientConfiguration {
        var configuration = ClientConfiguration()
        configuration.closeGrace = .seconds(60)
        return configuration
    }
}

/// Time as it passes for us: without that for which our threads were ready to run and the machine had something else to do
/// (the second number of /proc/self/task/*/schedstat).
struct Stopwatch {
    private let begun = ContinuousClock.now
    private let waits = Self.waits()

    var elapsed: Duration {
        // Of the threads that are there now: what one that has ended had waited before must not be taken back.
        let withheld = Self.waits().map { thread, wait in max(0, wait - (waits[thread] ?? 0)) }
        return ContinuousClock.now - begun - .nanoseconds(withheld.reduce(0, +))
    }

    /// Thread → nanoseconds.
    private static func waits() -> [String: Int64] {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        let waits = threads.compactMap { thread -> (String, Int64)? in
            // One that has ended meanwhile has no file.
            let text = try? String(contentsOfFile: "/proc/self/task/\(thread)/schedstat", encoding: .utf8)
            return text?.split(separator: " ").dropFirst().first.flatMap { Int64($0) }.map { (thread, $0) }
        }
        return Dictionary(uniqueKeysWithValues: waits)
    }
}

/// What several tasks say, in order.
final class Recorder<Value: Sendable>: Sendable {
    private let state = Mutex<[Value]>([])

    var values: [Value] { state.withLock { $0 } }
    func add(_ value: Value) { state.withLock { $0.append(value) } }
}

extension EmbeddedDaemon {
    /// A daemon whose port nobody else is given, for a test that looks at what comes after it.
    static func startAlone() async throws -> EmbeddedDaemon {
        try await start(EmbeddedOptions(port: try await freePort()))
    }
}

/// A port for a daemon that is to come back to it, or to be missed: the kernel gives it nobody who asks for any, being below its ephemeral
/// ports (net.ipv4.ip_local_port_range begins with 32768).
func freePort() async throws -> Int {
    while true {
        let port = Int.random(in: 20_000..<32_000)
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        guard let channel = try? await bootstrap.bind(host: "127.0.0.1", port: port).get() else { continue }
        try await channel.close().get()
        return port
    }
}
