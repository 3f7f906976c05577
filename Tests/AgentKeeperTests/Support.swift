// What the suites share: a daemon for all of them where they don't harm each other, and how to fail well.

import AgentKeeper
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

/// What several tasks say, in order.
final class Recorder<Value: Sendable>: Sendable {
    private let state = Mutex<[Value]>([])

    var values: [Value] { state.withLock { $0 } }
    func add(_ value: Value) { state.withLock { $0.append(value) } }
}
