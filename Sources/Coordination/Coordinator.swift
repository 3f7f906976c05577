// The one machine behind one lock, and the word to those who wait for it.
//
// Whoever carries a command in, from whichever thread and by whichever protocol, calls `perform`: the
// lock is held for about a microsecond. What the command settled for others, and that there are new
// events, is told after the lock is let go, so nobody's reaction ever runs inside it.

import Synchronization

/// Is told that events were added, on whichever thread added them; reads them from the history.
package protocol EventListener: AnyObject, Sendable {
    func eventsWereAdded()
}

package final class Coordinator: Sendable {
    /// What becomes of a call that waits; runs once, on whichever thread settled it, outside the lock.
    package typealias Settlement = @Sendable (Outcome) -> Void

    private struct State: ~Copyable, Sendable {
        var machine: Machine
        var waiting: [WaiterID: Settlement] = [:]
        /// Replaced as a whole, never changed: it is used outside the lock.
        var listeners: [any EventListener] = []
        var toldSequence = Sequence.zero
    }

    private let state: Mutex<State>

    package init(machine: consuming sending Machine) {
        state = Mutex(State(machine: machine))
    }

    /// Applies a command.
    ///
    /// - Parameter settlement: for commands that may wait; kept when the outcome is `waiting`, until the
    ///   wait is settled or cancelled.
    package func perform(
        _ command: Command, at now: Moment, settlement: Settlement? = nil
    ) -> Outcome {
        let (outcome, news) = state.withLock { state in
            let outcome = state.machine.apply(command, at: now)
            if case .waiting(let waiter) = outcome {
                precondition(settlement != nil, "a command that waits without anybody to tell")
                state.waiting[waiter] = settlement
            }
            if case .cancelWait(let waiter) = command { state.waiting[waiter] = nil }
            return (outcome, Self.news(&state))
        }
        tell(news)
        return outcome
    }

    /// Reads what is true at this moment.
    package func read<Result: Sendable, Failure: Error>(
        at now: Moment, _ body: (borrowing Machine) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let (result, news) = state.withLock { state in
            _ = state.machine.apply(.advance, at: now)
            let result: Swift.Result<Result, Failure>
            do throws(Failure) {
                result = .success(try body(state.machine))
            } catch {
                result = .failure(error)
            }
            return (result, Self.news(&state))
        }
        tell(news)
        return try result.get()
    }

    /// Lets happen what is due.
    package func advance(to now: Moment) {
        _ = perform(.advance, at: now)
    }

    package func add(_ listener: any EventListener) {
        state.withLock { $0.listeners.append(listener) }
    }

    package func remove(_ listener: any EventListener) {
        state.withLock { state in state.listeners.removeAll { $0 === listener } }
    }

    // MARK: News

    private struct News {
        var settled: [(settlement: Settlement, outcome: Outcome)] = []
        var listeners: [any EventListener] = []
    }

    /// What is to be told since the last time; nil, nearly always, when nobody is concerned.
    private static func news(_ state: inout State) -> News? {
        let last = state.machine.lastSequence
        let eventsAdded = last != state.toldSequence
        state.toldSequence = last
        guard state.machine.hasSettled || (eventsAdded && !state.listeners.isEmpty) else { return nil }
        var news = News()
        if eventsAdded { news.listeners = state.listeners }
        for (waiter, outcome) in state.machine.takeSettled() {
            guard let settlement = state.waiting.removeValue(forKey: waiter) else { continue }
            news.settled.append((settlement, outcome))
        }
        return news
    }

    private func tell(_ news: News?) {
        guard let news else { return }
        for (settlement, outcome) in news.settled { settlement(outcome) }
        for listener in news.listeners { listener.eventsWereAdded() }
    }
}
