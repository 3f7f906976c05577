// The one machine behind one lock, and the word to those who wait for it.
//
// Whoever carries a command in, from whichever thread and by whichever protocol, calls `perform`: the
// lock is held for about a microsecond. What the command settled for others, and that there are new
// events, is told after the lock is let go, so nobody's reaction ever runs inside it.
//
// With a journal, what is true here may not be on disk yet. So every outcome and every reading comes with the
// revision that it is based on, and whoever takes it to a client waits until that revision is durable.
// The journal's writer takes the changes out, as many as have gathered since it last did, and says when
// they are on disk. Events are for watchers only then.

import Synchronization

/// Is told that events were added, on whichever thread added them; reads them from the history.
package protocol EventListener: AnyObject, Sendable {
    func eventsWereAdded()
}

/// Writes changes down.
package protocol ChangeWriter: AnyObject, Sendable {
    /// There are changes, after a while in which there were none: `takeChanges` has them. Must not block.
    func changesAreWaiting()
}

package final class Coordinator: Sendable {
    /// What becomes of a call that waits, and the revision it is based on; runs once, on whichever thread settled
    /// it, outside the lock.
    package typealias Settlement = @Sendable (Outcome, Revision) -> Void

    private struct State: ~Copyable, Sendable {
        var machine: Machine
        var waiting: [WaiterID: Settlement] = [:]
        /// Replaced as a whole, never changed: it is used outside the lock.
        var listeners: [any EventListener] = []
        var toldSequence = Sequence.zero
        /// The last event that may be told of.
        var durableSequence = Sequence(.max)
        /// Whoever keeps the writer keeps the coordinator too, which therefore must not keep it.
        weak var writer: (any ChangeWriter)?
        var isJournaled = false
        /// Those who wait until a revision is durable, by a number that each has.
        var durableLine: [UInt64: (revision: Revision, goOn: @Sendable (_ isDurable: Bool) -> Void)] = [:]
        var lastInLine: UInt64 = 0
        /// Whether the writer knows that there are changes.
        var writerIsAwake = false
        /// Bytes of changes that may wait if more is added, and if not; and why no more.
        var room = Coordinator.maxWaitingChangeBytes
        var reserve = Coordinator.maxWaitingChangeBytes
        var noRoomReason = "the disk is slower than the changes come"
    }

    private let state: Mutex<State>
    /// From the monotonic clock to the daemon's own, which goes on over a restart where it stopped.
    private let clockOffset: Span
    private let stallTolerance: Span?
    /// What the machine came with.
    private let restored: (revision: Revision, sequence: Sequence)
    private let durable: Atomic<UInt64>
    private let watchers = Atomic<UInt64>(0)

    /// Changes that wait to be written, in bytes: a disk that has stopped answering must not fill the memory.
    package static let maxWaitingChangeBytes = 64 << 20

    /// - Parameters:
    ///   - start: the monotonic clock now, which is the moment at which the machine stopped; nil when the
    ///     machine is new, and the monotonic clock is the machine's.
    ///   - stallTolerance: when nothing at all was done for longer, the process itself was stopped, and no agent's
    ///     silence counts. The owner sees to it that something is done more often, `advance` at least.
    package init(
        machine: consuming sending Machine, resumingAt start: Instant? = nil, stallTolerance: Span? = nil
    ) {
        clockOffset = start.map { machine.lastInstant - $0 } ?? Span(nanoseconds: 0)
        self.stallTolerance = stallTolerance
        restored = (machine.revision, machine.lastSequence)
        durable = Atomic(.max)
        state = Mutex(State(machine: machine))
    }

    /// Applies a command.
    ///
    /// - Parameters:
    ///   - origin: of the call that the command comes from.
    ///   - settlement: for commands that may wait; kept when the outcome is `waiting`, until the
    ///     wait is settled or cancelled.
    /// - Returns: the outcome, and the revision that must be durable before anybody is told of it.
    package func perform(
        _ command: Command, at now: Moment, from origin: Origin? = nil, settlement: Settlement? = nil
    ) -> (outcome: Outcome, revision: Revision) {
        let (outcome, revision, news) = state.withLock { state in
            let outcome = apply(command, at: now, from: origin, &state)
            if case .waiting(let waiter) = outcome {
                precondition(settlement != nil, "a command that waits without anybody to tell")
                state.waiting[waiter] = settlement
            }
            let news = takeNews(&state)
            // Only now: what was due may have ended this very wait with a grant, which somebody must take or return.
            if case .cancelWait(let waiter) = command { state.waiting[waiter] = nil }
            return (outcome, state.machine.revision, news)
        }
        if let news { tell(news, revision) }
        return (outcome, revision)
    }

    /// Reads what is true at this moment; it may be told to nobody before the revision is durable.
    package func read<Result: Sendable, Failure: Error>(
        at now: Moment, _ body: (borrowing Machine) throws(Failure) -> Result
    ) throws(Failure) -> (result: Result, revision: Revision) {
        try look(at: now) { state throws(Failure) in try body(state.machine) }
    }

    /// Whether the subject may do this on that, and the revision of the policies that say so: nothing but them can
    /// change the answer, and they seldom change. Made apart from `read`, which costs as much again as the check
    /// itself: a generic function of another module works out its types when it runs.
    package func check(
        subject: String, action: String, resource: String, at now: Moment
    ) throws(Refusal) -> (verdict: Verdict, revision: Revision) {
        try look(at: now) { state throws(Refusal) in
            let verdict = try state.machine.check(subject: subject, action: action, resource: resource)
            return (verdict, state.machine.policiesRevision)
        }.result
    }

    private func look<Result: Sendable, Failure: Error>(
        at now: Moment, _ body: (borrowing State) throws(Failure) -> Result
    ) throws(Failure) -> (result: Result, revision: Revision) {
        let (result, revision, news) = state.withLock { state in
            _ = apply(.advance, at: now, &state)
            let result: Swift.Result<Result, Failure>
            do throws(Failure) {
                result = .success(try body(state))
            } catch {
                result = .failure(error)
            }
            let news = takeNews(&state)
            return (result, state.machine.revision, news)
        }
        if let news { tell(news, revision) }
        return (try result.get(), revision)
    }

    /// Lets happen what is due.
    package func advance(to now: Moment) {
        _ = perform(.advance, at: now)
    }

    private func apply(
        _ command: Command, at now: Moment, from origin: Origin? = nil, _ state: inout State
    ) -> Outcome {
        let moment = Moment(instant: now.instant + clockOffset, wall: now.wall)
        if let stallTolerance, moment.instant - state.machine.lastInstant > stallTolerance {
            _ = state.machine.apply(.awaken, at: moment)
        }
        if let refusal = Self.refusal(command.need, state) {
            _ = state.machine.apply(.advance, at: moment)
            return .refused(refusal)
        }
        return state.machine.apply(command, at: moment, from: origin)
    }

    private static func refusal(_ need: Command.Need, _ state: borrowing State) -> Refusal? {
        let room =
            switch need {
            case .room: state.room
            case .reserve: state.reserve
            case .nothing: Int.max
            }
        return state.machine.changeBytes < room ? nil : .limitReached(state.noRoomReason)
    }

    // MARK: Events

    /// The next events that may be told of.
    package func events(
        after sequence: Sequence, matching filter: EventFilter, limit: Int, scanning: Int, at now: Moment
    ) throws(Refusal) -> (events: [Event], examined: Sequence) {
        try look(at: now) { state throws(Refusal) in
            try state.machine.events(
                after: sequence, upTo: state.durableSequence, matching: filter, limit: limit, scanning: scanning)
        }.result
    }

    /// The last event that may be told of.
    package func lastTellableSequence(at now: Moment) -> Sequence {
        look(at: now) { min($0.durableSequence, $0.machine.lastSequence) }.result
    }

    package func add(_ listener: any EventListener) {
        state.withLock { $0.listeners.append(listener) }
    }

    /// Numbers those who watch the events, by whichever protocol, in the order in which they come.
    package func nextWatcherNumber() -> UInt64 {
        watchers.add(1, ordering: .relaxed).newValue
    }

    package func remove(_ listener: any EventListener) {
        state.withLock { state in state.listeners.removeAll { $0 === listener } }
    }

    // MARK: The journal

    /// From now on nothing counts as durable before the writer says so. Called once, before the first call is served; the
    /// machine has been restored. What a look at it has let run out since then is waiting for the writer.
    package func attach(_ writer: any ChangeWriter) {
        let areWaiting = state.withLock { state in
            durable.store(restored.revision.value, ordering: .sequentiallyConsistent)
            state.durableSequence = restored.sequence
            state.writer = writer
            state.isJournaled = true
            state.writerIsAwake = state.machine.hasChanges
            return state.writerIsAwake
        }
        if areWaiting { writer.changesAreWaiting() }
    }

    package func isDurable(_ revision: Revision) -> Bool {
        revision.value <= durable.load(ordering: .sequentiallyConsistent)
    }

    /// Returns when the revision is on disk, at once where there is no journal.
    ///
    /// - Returns: false when the task was cancelled before: whoever waits for a disk that may hang does so for a while.
    package func waitUntilDurable(_ revision: Revision) async -> Bool {
        guard !isDurable(revision) else { return true }
        let place = state.withLock { state in
            state.lastInLine += 1
            return state.lastInLine
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
                let known: Bool? = state.withLock { state in
                    // Looked at again under the lock, since the writer may have gone by meanwhile, or the end have come.
                    if isDurable(revision) { return true }
                    if Task.isCancelled { return false }
                    state.durableLine[place] = (revision, { continuation.resume(returning: $0) })
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            let waiting = state.withLock { $0.durableLine.removeValue(forKey: place) }
            waiting?.goOn(false)
        }
    }

    /// How many wait until something is durable.
    package var durableLineLength: Int { state.withLock { $0.durableLine.count } }

    /// Changes that the writer has not taken yet, in bytes.
    package var waitingChangeBytes: Int { state.withLock { $0.machine.changeBytes } }

    package var durableRevision: Revision { Revision(durable.load(ordering: .sequentiallyConsistent)) }

    /// The daemon's own clock at this moment; nil while nothing runs out by it.
    package func clock(at now: Moment) -> Moment? {
        state.withLock { state in
            state.machine.nextDeadline == nil
                ? nil : Moment(instant: now.instant + clockOffset, wall: now.wall)
        }
    }

    /// Takes down when agents were last heard of, a part of them at a time.
    package func noteHeartbeats(at now: Moment) {
        var start = 0
        while start < state.withLock({ $0.machine.agents.places }) {
            _ = perform(.noteHeartbeats(from: start, count: Self.heartbeatsAtOnce), at: now)
            start += Self.heartbeatsAtOnce
        }
    }

    /// Agents looked at under the lock in one go.
    private static let heartbeatsAtOnce = 2_048

    /// Hands over the changes since the last time, in exchange for empty bytes. When there are none the writer is told
    /// as soon as there are.
    ///
    /// - Returns: how far they go, and nil when there are none.
    package func takeChanges(into bytes: inout [UInt8]) -> (revision: Revision, sequence: Sequence)? {
        state.withLock { state in
            guard state.machine.hasChanges else {
                state.writerIsAwake = false
                return nil
            }
            state.machine.takeChanges(into: &bytes)
            return (state.machine.revision, state.machine.lastSequence)
        }
    }

    /// The changes up to here are on disk. The writer wakes those who wait for that.
    package func changesAreDurable(upTo revision: Revision, _ sequence: Sequence) {
        durable.store(revision.value, ordering: .sequentiallyConsistent)
        let (listeners, waited) = state.withLock { state in
            let isNews = state.durableSequence != sequence
            state.durableSequence = sequence
            let waited = state.durableLine.filter { $0.value.revision <= revision }
            for place in waited.keys { state.durableLine[place] = nil }
            return (isNews ? state.listeners : [], waited.values)
        }
        for waiting in waited { waiting.goOn(true) }
        for listener in listeners { listener.eventsWereAdded() }
    }

    /// Changes of so many bytes may wait for the writer when they add to the state (0: nothing may be added), and so many
    /// when they don't; and what to say to whoever is refused. Without a word from the writer both are
    /// `maxWaitingChangeBytes`, and neither is ever more.
    package func setRoom(_ bytes: Int, reserve: Int, else reason: String) {
        state.withLock { state in
            state.room = min(bytes, Self.maxWaitingChangeBytes)
            state.reserve = min(reserve, Self.maxWaitingChangeBytes)
            state.noRoomReason = reason
        }
    }

    // MARK: News

    private struct News {
        var settled: [(settlement: Settlement, outcome: Outcome)] = []
        var listeners: [any EventListener] = []
        var writer: (any ChangeWriter)?
    }

    /// What is to be told since the last time; nil when nobody is concerned.
    @inline(__always)
    private func takeNews(_ state: inout State) -> News? {
        let last = state.machine.lastSequence
        let eventsAdded = last != state.toldSequence
        let writerSleeps = state.machine.hasChanges && !state.writerIsAwake
        guard eventsAdded || writerSleeps || state.machine.hasSettled else { return nil }
        return gatherNews(&state, eventsAdded, writerSleeps)
    }

    private func gatherNews(_ state: inout State, _ eventsAdded: Bool, _ writerSleeps: Bool) -> News {
        var news = News()
        if writerSleeps {
            state.writerIsAwake = true
            news.writer = state.writer
        }
        state.toldSequence = state.machine.lastSequence
        // With a journal they are told of when they are durable.
        if eventsAdded, !state.isJournaled { news.listeners = state.listeners }
        guard state.machine.hasSettled else { return news }
        for (waiter, outcome) in state.machine.takeSettled() {
            guard let settlement = state.waiting.removeValue(forKey: waiter) else { continue }
            news.settled.append((settlement, outcome))
        }
        return news
    }

    private func tell(_ news: News, _ revision: Revision) {
        news.writer?.changesAreWaiting()
        for (settlement, outcome) in news.settled { settlement(outcome, revision) }
        for listener in news.listeners { listener.eventsWereAdded() }
    }
}
