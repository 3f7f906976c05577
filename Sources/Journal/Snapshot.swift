// A directory's state in one file of its own, taken while a daemon may be at work there: a backup, or what is
// checked. The database is copied as SQLite copies it, and what the log has beyond it is put in as at a start;
// so everything is there that was acknowledged before the copy began.

import Coordination

package enum Snapshot {
    /// What a directory holds.
    package struct Contents: Sendable {
        package let counters: StoredCounters
        package let counts: Counts
        /// Changes that were in the log and not yet in the database.
        package let revisionsInLog: UInt64
        package let segments: Int
    }

    package static let databaseName = Schema.fileName

    /// How often the daemon may move the log away under the copy before that is taken for damage.
    private static let attempts = 20

    /// Copies the state of a directory to a new file of another one, or the same.
    ///
    /// - Throws: `unusable` when there is no database; `damaged` when something is missing or doesn't fit.
    package static func take(
        _ disk: any Disk, to name: String, on other: any Disk, limits: Limits
    ) throws(JournalError) -> Contents {
        for number in 1...attempts {
            do throws(JournalError) {
                if let contents = try attempt(disk, to: name, on: other, limits: limits) { return contents }
            } catch {
                guard error.mayBeThatTheLogWasMoved, number < attempts else { throw error }
            }
        }
        throw .unusable("the log is put into the database faster than both can be copied; try again later")
    }

    /// Nil when a part of the log went into the database after that was copied.
    private static func attempt(
        _ disk: any Disk, to name: String, on other: any Disk, limits: Limits
    ) throws(JournalError) -> Contents? {
        guard try onDisk({ () throws(DiskError) in try disk.list() }).contains(Schema.fileName) else {
            throw .unusable("there is no \(Schema.fileName): this is no data directory")
        }
        let location = disk.databaseLocation(Schema.fileName)
        try Schema.checkHeader(
            of: try onDisk { () throws(DiskError) in try disk.open(Schema.fileName) }, named: location.path)
        let source = try Database(location, .readOnly)
        let copy = try Database(other.databaseLocation(name), .readWrite)
        try source.copy(to: copy)
        // One file, and nothing beside it.
        try copy.execute("PRAGMA journal_mode = DELETE")
        try Schema.migrate(copy)
        try checkStructure(copy)

        let ledger = try Ledger(copy, limits: limits)
        let saved = ledger.revision
        let segments = try LogReader.segments(on: disk)
        let reader = LogReader(disk: disk, identity: ledger.daemon.identity)
        let reached = try reader.replay(segments, after: saved, into: ledger)
        // What is missing at the end of a log can't be told from what was never written. But it is in the database.
        guard try Ledger.daemonRow(source).counters.revision <= reached else { return nil }
        try ledger.write()
        let machine = try Loading.machine(from: copy, limits: limits, startTokensAbove: FencingToken(0))
        machine.checkInvariants()
        return Contents(
            counters: ledger.daemon.counters, counts: machine.counts, revisionsInLog: reached.value - saved.value,
            segments: segments.count)
    }

    /// Whether pages and indices hang together, which rows alone don't show.
    private static func checkStructure(_ database: Database) throws(JournalError) {
        let check = try database.prepare("PRAGMA integrity_check(1)")
        guard try check.step(), case .text(let answer) = try check.value(0) else {
            throw .damaged("agentkeeper.db can't be checked")
        }
        guard answer == "ok" else { throw .damaged("agentkeeper.db is damaged: \(answer)") }
    }
}

extension JournalError {
    /// A segment that was there is gone, or a part of the log is missing.
    fileprivate var mayBeThatTheLogWasMoved: Bool {
        switch self {
        case .disk(let error): error.operation == "open"
        case .damaged: true
        default: isBusy
        }
    }
}
