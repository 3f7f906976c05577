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

/// Time as it passes for us: without that for which our threads were ready to run and the machine had something else to do
/// (the second number of /proc/self/task/*/schedstat).
struct Stopwatch {
    private let begun = ContinuousClock.now
    private let withheld = Self.withheld()

    var elapsed: Duration { ContinuousClock.now - begun - (Self.withheld() - withheld) }

    private static func withheld() -> Duration {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        let waits = threads.compactMap { thread in
            // One that has ended meanwhile has no file.
            let text = try? String(contentsOfFile: "/proc/self/task/\(thread)/schedstat", encoding: .utf8)
            return text?.split(separator: " ").dropFirst().first.flatMap { Int64($0) }
        }
        return .nanoseconds(waits.reduce(0, +))
    }
}

/// What several tasks say, in order.
final class Recorder<Value: Sendable>: Sendable {
    private let state = Mutex<[Value]>([])

    var values: [Value] { state.withLock { $0 } }
    func add(_ value: Value) { state.withLock { $0.append(value) } }
}

/// A port for a daemon that is to come back to it: the kernel gives it nobody who asks for any, being below its ephemeral
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
