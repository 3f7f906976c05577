// The daemon's lives: what its journal does while it lives, how it ends, and what it finds when it starts again.

import Coordination
import Journal

extension Simulation {
    // MARK: The journal at work

    /// One or more steps of the writer: it takes what has gathered, commits it, and tells.
    func write() throws(Violation) {
        for _ in 0...random.number(0...3) {
            guard let daemon else { return }
            switch daemon.batch {
            case .none:
                try require(daemon.take(), .equalCommandsGiveEqualBytes, "Up to revision \(revision.value).")
            case .taken(let bytes, let revision, let sequence): try commit(bytes, revision, sequence)
            case .written(let revision, let sequence):
                daemon.batch = .none
                daemon.coordinator.changesAreDurable(upTo: revision, sequence)
                // What a crash may leave from now on is this or later.
                saved = saved.filter { $0.key >= revision.value }
            }
        }
    }

    private func commit(_ bytes: [UInt8], _ revision: Revision, _ sequence: Sequence) throws(Violation) {
        guard let daemon else { return }
        if fault == .acknowledgeBeforeSync {
            daemon.coordinator.changesAreDurable(upTo: revision, sequence)
            try deliver()
            if random.chance(50) { return }
        }
        var frame = [UInt8](repeating: 0, count: Journal.headroom) + (fault?.distort(bytes) ?? bytes)
        do throws(Journal.CommitFailure) {
            try daemon.journal.commit(&frame, upTo: revision)
            daemon.batch = .written(revision, sequence)
            count { $0.commits += 1 }
            say("committed up to \(revision.value)")
            if daemon.isOutOfRoom, disk.capacity == .max { daemon.setRoom(true) }
        } catch {
            say("a commit up to \(revision.value) failed: \(error.error.message)")
            if fault == .ignoreFailedSync, disk.hasFailedSync, !disk.isDown {
                daemon.batch = .written(revision, sequence)
                return
            }
            if error.error.isOutOfRoom, error.mayRetry {
                // It is tried again; meanwhile nothing may be added.
                refuseMore()
                if fault == .dropBatchWithoutRoom { daemon.batch = .written(revision, sequence) }
                return
            }
            try end(after: error.error)
        }
    }

    private func refuseMore() { daemon?.setRoom(false, hasReserve: random.chance(50)) }

    func checkpoint() throws(Violation) {
        guard let daemon else { return }
        do throws(JournalError) {
            if random.chance(20) { try daemon.journal.prepare() } else { try daemon.journal.checkpoint() }
            count { $0.checkpoints += 1 }
            say("brought the database up to date: \(disk.names.keys.sorted())")
        } catch {
            say("a checkpoint failed: \(error.message)")
            if error.isOutOfRoom { return refuseMore() }
            if error.isBusy, disk.isHeldByAnother { return }
            try end(after: error)
        }
    }

    func noteTime() throws(Violation) {
        guard let daemon, let moment = daemon.coordinator.clock(at: now) else { return }
        do throws(JournalError) {
            try daemon.journal.note(moment)
        } catch {
            if !error.isOutOfRoom { try end(after: error) }
        }
    }

    // MARK: Ends

    /// The disk failed, so the process has ended: with the power, or because it could not trust the disk any more.
    private func end(after error: JournalError) throws(Violation) {
        if disk.isDown { return try crash(cutsPower: true) }
        try require(
            disk.hasFailedSync, .everyCrashIsRecoveredFrom, "The daemon ended without a reason: \(error.message).")
        count { $0.failedSyncs += 1 }
        try crash(cutsPower: random.chance(50))
    }

    /// All is gone but the disk, and a while later the daemon starts again.
    func crash(cutsPower: Bool) throws(Violation) {
        say(disk.isDown || cutsPower ? "the power went" : "killed")
        if disk.isDown || cutsPower {
            count { $0.powerCuts += 1 }
            disk.powerCut()
        } else {
            count { $0.kills += 1 }
            disk.processEnds()
        }
        // Only now: what it has open is of no use any more, and can't be written when it is closed.
        forgetDaemon()
        try restart()
    }

    private func forgetDaemon() {
        daemon = nil
        replies = []
    }

    /// Stops as on SIGTERM, and starts again.
    func stop() throws(Violation) {
        guard let stopping = daemon else { return }
        for _ in 0..<8 where daemon === stopping {
            if case .none = stopping.batch, !stopping.take() {
                throw Violation(.equalCommandsGiveEqualBytes, "At a stop.")
            }
            if case .none = stopping.batch { break }
            try write()
            try deliver()
        }
        guard daemon === stopping else { return }
        do throws(JournalError) {
            if let moment = stopping.coordinator.clock(at: now) { try stopping.journal.note(moment) }
            try stopping.journal.close()
        } catch {
            // Without room, or with somebody in its way, it leaves the log as it is, which is as good.
            let isHarmless = error.isOutOfRoom || error.isBusy && disk.isHeldByAnother
            if !isHarmless { return try end(after: error) }
        }
        count { $0.stops += 1 }
        say("stopped")
        forgetDaemon()
        disk.processEnds()
        try restart()
    }

    // MARK: Starts

    private func restart() throws(Violation) {
        if let fault { fault.distort(disk) }
        let downtime = Int64(random.number(0...30)) * Model.second
        clock += downtime
        wall += downtime + (random.chance(20) ? Int64(random.number(-9...9)) * 365 * 86_400 * Model.second : 0)
        try start()
    }

    /// Starts the daemon, however often the power goes meanwhile.
    func start() throws(Violation) {
        for _ in 0..<30 {
            if random.chance(25) {
                disk.cut = (disk.operations + random.number(1...60), random.pick(SimulatedDisk.CutPoint.allCases))
            }
            if random.chance(3) { disk.failingSync = disk.operations + random.number(1...12) }
            if try attempt() { return }
        }
        throw Violation(.everyCrashIsRecoveredFrom, "Thirty starts failed, one after the other.")
    }

    private func open(_ disk: SimulatedDisk) throws(JournalError) -> Journal.Opened {
        let start = StoredCounters(
            clock: Instant(nanoseconds: clock), wall: WallTime(nanoseconds: wall), revision: .zero,
            lastToken: FencingToken(0), lastSequence: .zero, lastTaskSerial: 0, forgottenTerm: Term(0))
        return try Journal.open(disk, limits: limits, options: options, identity: 0x5eed, start: start)
    }

    /// False when it has to be tried again.
    private func attempt() throws(Violation) -> Bool {
        let copy = random.chance(30) ? disk.copy() : nil
        do throws(JournalError) {
            let opened = try open(disk)
            let journal = opened.journal
            var twin: Machine?
            if let copy {
                do throws(JournalError) {
                    twin = try open(copy).take()
                } catch {
                    preconditionFailure("a copy of what could be opened can't be: \(error.message)")
                }
            }
            // A daemon that takes the time it was away for its own.
            let start = fault == .downtimeCounts ? max(tickedAt, 1) : clock
            daemon = SimulatedDaemon(
                journal: journal, machine: opened.take(), twin: twin.take(), resumingAt: Instant(nanoseconds: start),
                stallTolerance: fault == .pauseCounts || fault == .downtimeCounts ? nil : Self.stallTolerance,
                twinIsLate: fault == .notDeterministic)
        } catch {
            say("a start failed: \(error.message)")
            if disk.isDown {
                count { $0.powerCuts += 1 }
                disk.powerCut()
            } else if error.isOutOfRoom {
                // The operator makes room.
                disk.capacity = .max
                disk.processEnds()
            } else if disk.hasFailedSync || error.isBusy && disk.isHeldByAnother {
                count { $0.failedSyncs += 1 }
                disk.processEnds()
            } else {
                throw Violation(.everyCrashIsRecoveredFrom, "A start failed: \(error.message).")
            }
            return false
        }
        disk.cut = nil
        try goOn()
        return true
    }

    /// The daemon is there again: at which point, and is all there that should be?
    private func goOn() throws(Violation) {
        guard let reached = daemon?.coordinator.durableRevision else { return }
        try require(
            reached >= toldRevision, .theAcknowledgedIsThere,
            "Revision \(toldRevision.value) was acknowledged, and only \(reached.value) is there.")
        guard let found = saved[reached.value] else {
            throw Violation(.theUnaskedIsNot, "Revision \(reached.value) is there, which no batch ended with.")
        }
        say("started at revision \(reached.value)")
        revision = reached
        model = found.model
        model.waiting = []
        uptime.durable = found.uptime
        model.awaken(at: uptime)
        saved = [reached.value: Saved(model: model, uptime: found.uptime, sequence: found.sequence)]
        log.removeLast(log.count - Int(found.sequence))
        tickedAt = clock
        guard let rows = Rows(disk) else { throw Violation(.everyCrashIsRecoveredFrom, "The database can't be read.") }
        try model.check(rows)
        if let fault, fault.isInDatabase, fault.distort(rows) { try startOnceMore() }
        let sequence = daemon?.sequenceAtStart.value
        try require(
            sequence == found.sequence, .eventsAreGapless,
            "The last event is \(sequence as Any) after a recovery, and was \(found.sequence).")
        appliedAt = clock
        try execute(.advance)
    }

    /// On a database that a fault has changed behind the daemon's back.
    private func startOnceMore() throws(Violation) {
        disk.processEnds()
        forgetDaemon()
        do throws(JournalError) {
            let opened = try open(disk)
            let journal = opened.journal
            daemon = SimulatedDaemon(
                journal: journal, machine: opened.take(), twin: nil, resumingAt: Instant(nanoseconds: clock),
                stallTolerance: Self.stallTolerance, twinIsLate: false)
        } catch {
            throw Violation(.everyCrashIsRecoveredFrom, "A start failed: \(error.message).")
        }
    }
}
