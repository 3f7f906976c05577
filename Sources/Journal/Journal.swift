// A data directory at work: the log that commits go to, and the database that follows behind it.
//
//     changes ─▶ log (a write and a sync for each commit) ─▶ closed segment ─▶ ledger ─▶ database
//
// A commit touches the log alone, and only blocks that were written before; so it costs one flush of the disk,
// however much it gathered. Every few seconds the segment is closed and put into the database, where of all that
// happened to a record only the last is written, and the segment's file becomes the next. After a crash
// what is left of the log is put into the database in just the same way, and then the database is loaded.
//
// SQLite alone was measured first, tuned: 64 microseconds of CPU and 160 of waiting for a commit of one change, where
// the log takes 24 and 110, and three times as much for a commit of many when many leases are held.
//
// Nothing here runs by itself: `JournalRunner` has the threads, a simulation takes the steps in any order.

import Coordination
import Synchronization

package final class Journal: @unchecked Sendable {
    // Unchecked: the log writer has a lock; what belongs to the database is used by one thread at a time, as
    // `checkpoint` says.

    package struct Options: Sendable {
        /// Whether a commit waits for the disk. If not, a crash of the machine, though not of the daemon, loses
        /// what was committed last.
        package var syncs = true
        /// The size of the first segment, and the most one may have, in bytes. Each is twice as large as the one
        /// before it for as long as they fill up before they are closed.
        package var firstSegmentBytes = 1 << 20
        package var maxSegmentBytes = 64 << 20

        package init() {}
    }

    private let disk: any Disk
    private let database: Database
    private let ledger: Ledger
    private let options: Options
    /// A random number that the directory was given when it was new.
    package let identity: UInt32
    private let log: Mutex<LogWriter>
    /// Closed segments that are not yet in the database, the oldest first.
    private var waiting: [Segment] = []
    /// Segments that are in the database, and whose files may be used again.
    private var spare: [Segment] = []
    private var nextSegmentBytes: Int

    private init(
        disk: any Disk, database: Database, ledger: Ledger, options: Options, first: Segment, revision: Revision
    ) {
        self.disk = disk
        self.database = database
        self.ledger = ledger
        self.options = options
        identity = ledger.daemon.identity
        nextSegmentBytes = options.firstSegmentBytes
        log = Mutex(LogWriter(identity: identity, syncs: options.syncs, first: first, durable: revision))
    }

    // MARK: The start

    /// A journal, and the machine as it was, which records its changes.
    package struct Opened: ~Copyable, Sendable {
        package let journal: Journal
        package var machine: Machine

        /// The machine goes to its owner.
        package consuming func take() -> Machine { machine }
    }

    /// Opens a directory: makes it ready if it is new, or else puts what the log has into the database, and
    /// loads it.
    ///
    /// - Parameters:
    ///   - identity: random; for a new directory.
    ///   - start: what the counters of a new directory begin with.
    ///   - token: what tokens must exceed in any case.
    package static func open(
        _ disk: any Disk, limits: Limits, options: Options = Options(), identity: UInt32, start: StoredCounters,
        tokensStartAbove token: FencingToken = FencingToken(0)
    ) throws(JournalError) -> Opened {
        let names = try onDisk { () throws(DiskError) in try disk.list() }
        let isNew = !names.contains(Schema.fileName)
        let segments = try LogReader.segments(on: disk)
        if isNew {
            guard segments.isEmpty else {
                throw .damaged("there is a log without its database \(Schema.fileName)")
            }
            try Schema.create(on: disk, identity: identity, counters: start)
        } else {
            let file = try onDisk { () throws(DiskError) in try disk.open(Schema.fileName) }
            try Schema.checkHeader(of: file, named: disk.databaseLocation(Schema.fileName).path)
        }
        if names.contains(databaseLog) { try renewDatabaseLog(disk) }
        let database = try openDatabase(disk)
        try Schema.migrate(database)

        let ledger = try Ledger(database, limits: limits)
        let reader = LogReader(disk: disk, identity: ledger.daemon.identity)
        let reached = try reader.replay(segments, after: ledger.revision, into: ledger)
        if names.contains(Ballast.fileName) {
            // What it was kept for is now: room to put the log into the database.
            try onDisk { () throws(DiskError) in try disk.remove(Ballast.fileName) }
        }
        // What can't be loaded is not written either: a directory that is refused stays as it was.
        let machine = try ledger.write(inspectedBy: { () throws(JournalError) -> Machine in
            try Loading.machine(from: database, limits: limits, startTokensAbove: token)
        })

        // The old segments are in the database. A new one is begun: nothing is ever added to what a crash left.
        let number = (segments.last ?? 0) + 1
        let first = try onDisk { () throws(DiskError) in
            for segment in segments.dropLast() { try disk.remove(LogFormat.name(ofSegment: segment)) }
            return try Self.prepareSegment(
                disk, number, bytes: options.firstSegmentBytes, syncs: options.syncs, recycling: segments.last)
        }
        let journal = Journal(
            disk: disk, database: database, ledger: ledger, options: options, first: first, revision: reached)
        return Opened(journal: journal, machine: machine)
    }

    private static let databaseLog = Schema.fileName + "-wal"

    /// Writes SQLite's log over itself. A sync that failed in an earlier life of the daemon may have left pages in
    /// the kernel's memory that the disk never got, which reads find and no later sync writes (Rebello et al.: Can
    /// Applications Recover from fsync Failures?, 2020). SQLite would take them for safe, and build on them.
    private static func renewDatabaseLog(_ disk: any Disk) throws(JournalError) {
        let file = try onDisk { () throws(DiskError) in try disk.create(databaseLog) }
        do throws(DiskError) {
            var bytes = [UInt8](repeating: 0, count: 1 << 20)
            var offset = 0
            while true {
                let count = try bytes.withUnsafeMutableBufferPointer { bytes throws(DiskError) in
                    let buffer = UnsafeMutableRawBufferPointer(bytes)
                    let count = try file.read(into: buffer, at: offset)
                    try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
                    return count
                }
                offset += count
                if count < bytes.count { break }
            }
        } catch {
            // A file system that never writes in place may be too full for it, which must not keep the daemon away.
            if !JournalError.disk(error).isOutOfRoom { throw .disk(error) }
            return
        }
        try onDisk { () throws(DiskError) in try file.sync() }
    }

    private static func openDatabase(_ disk: any Disk) throws(JournalError) -> Database {
        let database = try Database(disk.databaseLocation(Schema.fileName), .readWrite)
        // A start that fails must not move what a crash left in SQLite's own log.
        database.keepLogOnClose()
        let mode = try database.prepare("PRAGMA journal_mode = WAL")
        guard try mode.step(), case .text("wal") = try mode.value(0) else {
            throw .unusable("the database can't be written with a log (WAL): is its disk a network share?")
        }
        try database.execute("PRAGMA synchronous = FULL")
        try database.execute("PRAGMA cache_size = -8000")
        return database
    }

    // MARK: Commits

    /// Writes changes down; on return they are as durable as the options say.
    ///
    /// - Parameter frame: the changes, behind `headroom` bytes.
    package func commit(_ frame: inout [UInt8], upTo revision: Revision) throws(CommitFailure) {
        do throws(LogWriter.CommitFailure) {
            try log.withLock { log throws(LogWriter.CommitFailure) in try log.commit(&frame, upTo: revision) }
        } catch {
            throw CommitFailure(error: .disk(error.error), mayRetry: error.mayRetry)
        }
    }

    package static let headroom = LogFormat.headerBytes

    package struct CommitFailure: Error {
        package let error: JournalError
        /// Whether the same commit may be tried again. If not, what is on disk is no longer known: the process has
        /// to end.
        package let mayRetry: Bool
    }

    /// Takes down what time it is, so that after a crash the clock goes on from about here and not from the last
    /// change. Doesn't wait for the disk: to lose it prolongs what is held, and no more.
    package func note(_ moment: Moment) throws(JournalError) {
        try onDisk { () throws(DiskError) in
            try log.withLock { log throws(DiskError) in try log.note(moment) }
        }
    }

    // MARK: The database

    /// Puts what was committed into the database, and makes the next segment ready. One thread at a time, which
    /// may be another than the one that commits; the same goes for `prepare`.
    ///
    /// - Returns: whether there was anything to do.
    @discardableResult
    package func checkpoint() throws(JournalError) -> Bool {
        log.withLock { log in
            log.close()
            waiting += log.takeClosed()
        }
        let done = waiting
        if !done.isEmpty {
            let reader = LogReader(disk: disk, identity: identity)
            do throws(JournalError) {
                _ = try reader.replay(
                    done.map(\.number),
                    lengths: Dictionary(uniqueKeysWithValues: done.map { ($0.number, $0.usedBytes) }),
                    after: ledger.revision, into: ledger)
            } catch {
                // The next attempt reads all of it anew.
                try ledger.forget()
                throw error
            }
            try ledger.write()
            waiting = []
            spare += done
        }
        try prepare()
        try onDisk { () throws(DiskError) in
            while let segment = spare.popLast() { try disk.remove(LogFormat.name(ofSegment: segment.number)) }
        }
        return !done.isEmpty
    }

    /// Sees to it that there is a segment to go on in, made of one that is done with if there is one. The writer that
    /// has filled one up already gets a larger one.
    package func prepare() throws(JournalError) {
        let (needsNext, number) = log.withLock { log in
            let closed = log.takeClosed()
            waiting += closed
            if !closed.isEmpty { nextSegmentBytes = min(nextSegmentBytes * 2, options.maxSegmentBytes) }
            return (log.needsNext, log.currentNumber + 1)
        }
        guard needsNext else { return }
        // The largest, which is the newest.
        let recycled = spare.popLast()
        let segment = try onDisk { () throws(DiskError) in
            try Self.prepareSegment(
                disk, number, bytes: nextSegmentBytes, syncs: options.syncs, recycling: recycled?.number)
        }
        log.withLock { $0.setNext(segment) }
    }

    /// Bytes of closed segments that are not in the database yet.
    package var waitingBytes: Int { waiting.reduce(0) { $0 + $1.usedBytes } }

    /// Of file systems, or a multiple of it.
    private static let blockBytes = 4_096

    /// A segment whose blocks have all been written.
    private static func prepareSegment(
        _ disk: any Disk, _ number: UInt32, bytes: Int, syncs: Bool, recycling old: UInt32?
    ) throws(DiskError) -> Segment {
        let name = LogFormat.name(ofSegment: number)
        if let old { try disk.rename(LogFormat.name(ofSegment: old), to: name) }
        let file = try disk.createLog(name, syncs: syncs)
        // A file may end anywhere, and is written in whole blocks.
        var end = try file.size() / blockBytes * blockBytes
        let zeros = [UInt8](repeating: 0, count: min(bytes, 1 << 20))
        while end < bytes {
            let count = min(zeros.count, bytes - end)
            try zeros.withUnsafeBufferPointer { zeros throws(DiskError) in
                try file.write(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(zeros)[..<count]), at: end)
            }
            end += count
        }
        try file.sync()
        try disk.syncDirectory()
        return Segment(number: number, file: file, bytes: max(end, bytes))
    }

    /// Puts everything into the database and leaves no log behind. Nothing may be committed any more.
    package func close() throws(JournalError) {
        // The present segment is closed when the next one is ready, which the first of these sees to.
        try checkpoint()
        while try checkpoint() {}
        try database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        try onDisk { () throws(DiskError) in
            for name in try disk.list() where LogFormat.number(ofSegment: name) != nil || name == Ballast.fileName {
                try disk.remove(name)
            }
            try disk.syncDirectory()
        }
    }

    // MARK: Numbers

    package struct Numbers: Sendable {
        package var logBytes = 0
        package var segmentBytes = 0
        /// What can be committed without the disk having to find room for it.
        package var preparedBytes = 0
        /// Whether the next segment is to be made ready.
        package var needsNext = false
    }

    /// How far the present segment is used.
    package var numbers: Numbers {
        log.withLock {
            Numbers(
                logBytes: $0.usedBytes, segmentBytes: $0.segmentBytes, preparedBytes: $0.preparedBytes,
                needsNext: $0.needsNext)
        }
    }
}

extension LogReader {
    /// Puts what was committed after `revision` into the ledger's hands.
    func replay(
        _ segments: [UInt32], lengths: [UInt32: Int] = [:], after revision: Revision, into ledger: Ledger
    ) throws(JournalError) -> Revision {
        try replay(segments, lengths: lengths, after: revision) { record throws(JournalError) in
            switch record {
            case .transaction(let transaction): try ledger.apply(transaction)
            case .clock(let moment): ledger.note(moment)
            }
        }
    }
}

/// A file operation of the journal's.
func onDisk<Result>(_ body: () throws(DiskError) -> Result) throws(JournalError) -> Result {
    do throws(DiskError) {
        return try body()
    } catch {
        throw .disk(error)
    }
}
