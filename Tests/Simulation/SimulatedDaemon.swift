// The daemon from one start to its end: the real core behind its lock, the real journal, and beside them a second core
// that is given the same commands and must record the same bytes.

import Coordination
import Journal

final class SimulatedDaemon: ChangeWriter, @unchecked Sendable {
    // Unchecked: a simulation is one thread.

    struct Call {
        var command: Command
        var waiter: WaiterID
    }

    /// What the journal's writer has in hand.
    enum Batch {
        case none
        case taken([UInt8], Revision, Sequence)
        /// On disk, and nobody has been told.
        case written(Revision, Sequence)
    }

    struct Result {
        var outcome: Outcome
        /// What the outcome is based on, and the last one when all was looked at.
        var revision: Revision
        var lastRevision: Revision
        var settled: [(call: Int, command: Command, outcome: Outcome)]
        /// Nil when they are gone already.
        var events: [Event]?
        var lastSequence: Sequence
        var counts: Counts
    }

    let journal: Journal
    let coordinator: Coordinator
    /// The last event that it found.
    let sequenceAtStart: Sequence
    private let twin: Coordinator?
    private let twinIsLate: Bool
    var batch = Batch.none
    /// Calls that wait.
    var calls: [Int: Call] = [:]
    private(set) var isOutOfRoom = false
    private var settlements: [(call: Int, outcome: Outcome)] = []

    init(
        journal: Journal, machine: consuming sending Machine, twin: consuming sending Machine?,
        resumingAt start: Instant,
        stallTolerance: Span?, twinIsLate: Bool
    ) {
        self.journal = journal
        self.twinIsLate = twinIsLate
        sequenceAtStart = machine.lastSequence
        coordinator = Coordinator(machine: machine, resumingAt: start, stallTolerance: stallTolerance)
        if let twin {
            self.twin = Coordinator(machine: twin, resumingAt: start, stallTolerance: stallTolerance)
        } else {
            self.twin = nil
        }
        coordinator.attach(self)
    }

    func changesAreWaiting() {}

    /// Whether anything may be added at present; if not, what there is may perhaps be prolonged.
    func setRoom(_ hasRoom: Bool, hasReserve: Bool = true) {
        isOutOfRoom = !hasRoom
        for core in [coordinator, twin].compactMap(\.self) {
            core.setRoom(hasRoom ? .max : 0, reserve: hasReserve ? .max : 0, else: "there is no room")
        }
    }

    func execute(_ command: Command, at now: Moment, call: Int, after sequence: Sequence) -> Result {
        let origin = Model.trace(ofCall: call).map { Origin(trace: $0) }
        let (outcome, revision) = coordinator.perform(command, at: now, from: origin) { [weak self] outcome, _ in
            self?.settlements.append((call, outcome))
        }
        if let twin {
            var now = now
            if twinIsLate { now.wall.nanoseconds += 1 }
            _ = twin.perform(command, at: now, from: origin) { _, _ in }
            // As the reading below does, which lets be forgotten what is one too many since the command.
            twin.advance(to: now)
        }
        if case .waiting(let waiter) = outcome { calls[call] = Call(command: command, waiter: waiter) }
        let view = coordinator.read(at: now) { machine in
            (
                try? machine.events(after: sequence, matching: EventFilter(), limit: .max, scanning: .max).events,
                machine.lastSequence, machine.counts
            )
        }
        var settled: [(call: Int, command: Command, outcome: Outcome)] = []
        for (call, outcome) in settlements {
            guard let waiting = calls.removeValue(forKey: call) else { continue }
            settled.append((call, waiting.command, outcome))
        }
        settlements = []
        return Result(
            outcome: outcome, revision: revision, lastRevision: view.revision, settled: settled,
            events: view.result.0, lastSequence: view.result.1, counts: view.result.2)
    }

    /// Takes what has gathered. False when the second core recorded something else.
    func take() -> Bool {
        var (bytes, others): ([UInt8], [UInt8]) = ([], [])
        guard let end = coordinator.takeChanges(into: &bytes) else { return true }
        batch = .taken(bytes, end.revision, end.sequence)
        guard let twin else { return true }
        _ = twin.takeChanges(into: &others)
        return bytes == others
    }
}
