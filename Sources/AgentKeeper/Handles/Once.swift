// Something that is said once, and heard by all who wait for it, before and after.

import Synchronization

final class Once<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
        var next = 0
    }

    private let state = Mutex(State())

    /// Nil until it is said.
    var value: Value? { state.withLock { $0.value } }

    /// - Returns: false when it was said before; the first word stands.
    @discardableResult
    func say(_ value: Value) -> Bool {
        let waiters: [CheckedContinuation<Value?, Never>]? = state.withLock { state in
            guard state.value == nil else { return nil }
            state.value = value
            defer { state.waiters.removeAll() }
            return Array(state.waiters.values)
        }
        guard let waiters else { return false }
        for waiter in waiters { waiter.resume(returning: value) }
        return true
    }

    /// Waits for it; nil when the task is cancelled first.
    func wait() async -> Value? {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let value: Value? = state.withLock { state in
                    if state.value == nil { state.waiters[number] = waiter }
                    return state.value
                }
                if let value { waiter.resume(returning: value) }
                // A cancellation from before we waited has found nobody.
                if Task.isCancelled { giveUp(number) }
            }
        } onCancel: {
            giveUp(number)
        }
    }

    private func giveUp(_ number: Int) {
        state.withLock { $0.waiters.removeValue(forKey: number) }?.resume(returning: nil)
    }
}

/// How work ended that was to be cancelled by a loss.
struct Guarded<Success: Sendable, Loss: Sendable>: Sendable {
    var result: Result<Success, any Error>
    /// Nil when the work was over first.
    var loss: Loss?
}

private enum GuardedEnd<Success: Sendable, Loss: Sendable>: Sendable {
    case body(Result<Success, any Error>)
    case loss(Loss?)
}

/// Runs `body` in a task of its own that is cancelled as soon as `loss` is said, and waits for its end.
func guarded<Success: Sendable, Loss: Sendable>(
    by loss: Once<Loss>, _ body: @escaping @Sendable () async throws -> Success
) async -> Guarded<Success, Loss> {
    await withTaskGroup(of: GuardedEnd<Success, Loss>.self) { group in
        group.addTask {
            do { return .body(.success(try await body())) } catch { return .body(.failure(error)) }
        }
        group.addTask { .loss(await loss.wait()) }
        var lost: Loss?
        for await end in group {
            switch end {
            case .loss(let loss):
                lost = loss
                if loss != nil { group.cancelAll() }
            case .body(let result):
                group.cancelAll()
                return Guarded(result: result, loss: lost)
            }
        }
        preconditionFailure("a task of a group has not ended")
    }
}
