// A state that changes, and whoever follows it.

import Synchronization

final class Broadcast<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var followers: [Int: AsyncStream<Value>.Continuation] = [:]
        var next = 0
        var isOver = false
    }

    private let state: Mutex<State>

    init(_ value: Value) { state = Mutex(State(value: value)) }

    var value: Value { state.withLock { $0.value } }

    /// - Parameter change: nil for no change.
    @discardableResult
    func update(_ change: (Value) -> Value?) -> Bool {
        state.withLock { state in
            guard let value = change(state.value) else { return false }
            state.value = value
            // In order, since nobody gets between.
            for follower in state.followers.values { follower.yield(value) }
            return true
        }
    }

    /// No change follows.
    func finish() {
        let followers = state.withLock { state in
            state.isOver = true
            defer { state.followers.removeAll() }
            return Array(state.followers.values)
        }
        for follower in followers { follower.finish() }
    }

    /// The value as it is, then each change. A follower who doesn't read misses the oldest changes, never the last.
    func follow() -> AsyncStream<Value> {
        let (stream, continuation) = AsyncStream.makeStream(of: Value.self, bufferingPolicy: .bufferingNewest(64))
        let (number, isOver) = state.withLock { state in
            continuation.yield(state.value)
            state.next += 1
            if !state.isOver { state.followers[state.next] = continuation }
            return (state.next, state.isOver)
        }
        if isOver {
            continuation.finish()
        } else {
            // Not within it: it runs under a lock of the task that is being cancelled, which `update`, under ours, may want
            // at this very moment to resume that task.
            continuation.onTermination = { [weak self] _ in
                Background.run { [weak self] in self?.forget(number) }
            }
        }
        return stream
    }

    private func forget(_ number: Int) {
        _ = state.withLock { $0.followers.removeValue(forKey: number) }
    }
}
