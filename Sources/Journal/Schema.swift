// The database file: what makes it ours, its version, and how an older one becomes the present one.

import CSQLite
import Coordination

enum Schema {
    static let fileName = "agentkeeper.db"
    /// "AKpr" in the file's header, where `file` and SQLite look for it.
    static let applicationID: Int64 = 0x414b_7072
    /// Goes up by one with every change of the tables.
    static let version: Int64 = 2

    private static let layouts: [TableLayout] = [
        DaemonRow.layout, StoredAgent.layout, StoredLease.layout, ReleaseRow.layout, RequestRow.layout,
        StoredElection.layout, CandidateRow.layout, PolicyRow.layout, StoredTask.layout, EventRow.layout,
    ]

    /// What brings a database of the version that is the key to the next one. Version 1 is the first.
    private static let migrations: [Int64: @Sendable (Database) throws(JournalError) -> Void] = [
        1: { database throws(JournalError) in try EventsMigration.run(database) }
    ]

    /// Says so if the file is none of ours, or one that this version can't read. Reads 100 bytes and touches nothing: a
    /// file that is refused must stay as it was.
    static func checkHeader(of file: any DiskFile, named name: String) throws(JournalError) {
        var header = [UInt8](repeating: 0, count: 100)
        let count: Int
        do throws(DiskError) {
            count = try header.withUnsafeMutableBufferPointer { bytes throws(DiskError) in
                try file.read(into: UnsafeMutableRawBufferPointer(bytes), at: 0)
            }
        } catch {
            throw .disk(error)
        }
        guard count == 100, header.starts(with: "SQLite format 3\0".utf8) else {
            throw .unusable("\(name) is no SQLite database; move it away, or choose another directory")
        }
        func number(_ offset: Int) -> Int64 {
            header[offset..<offset + 4].reduce(0) { $0 << 8 | Int64($1) }
        }
        let (version, application) = (number(60), number(68))
        guard application == applicationID else {
            throw .unusable("\(name) is a database of another program; choose another directory")
        }
        guard version <= Self.version else {
            throw .unusable(
                "\(name) was written by a newer version (schema \(version), this one knows \(Self.version)); "
                    + "use that version, or a backup from before")
        }
        guard version > 0 else { throw .unusable("\(name) has schema version \(version), which never was") }
    }

    /// Makes a new database, under another name first: what bears the right one is whole.
    static func create(on disk: any Disk, identity: UInt32, counters: StoredCounters) throws(JournalError) {
        let name = fileName + ".new"
        try onDisk { () throws(DiskError) in
            // What a start that was interrupted left behind.
            for old in try disk.list() where old.hasPrefix(name) { try disk.remove(old) }
        }
        try fill(try Database(disk.databaseLocation(name), .readWrite), identity, counters)
        try onDisk { () throws(DiskError) in
            try disk.rename(name, to: fileName)
            try disk.syncDirectory()
        }
    }

    private static func fill(
        _ database: Database, _ identity: UInt32, _ counters: StoredCounters
    ) throws(JournalError) {
        try database.transaction { () throws(JournalError) in
            try database.execute("PRAGMA application_id = \(applicationID)")
            try database.execute("PRAGMA user_version = \(version)")
            for layout in layouts { try database.execute(layout.creation) }
            try database.prepare(DaemonRow.layout.insertion)
                .run(DaemonRow(identity: identity, counters: counters, lastPosition: 0).sealed)
        }
    }

    static func migrate(_ database: Database) throws(JournalError) {
        let found = try database.value("PRAGMA user_version")
        guard found < version else { return }
        try database.transaction { () throws(JournalError) in
            for step in found..<version {
                guard let migrate = migrations[step] else {
                    throw .unusable("there is no way from schema version \(step) to \(step + 1)")
                }
                try migrate(database)
            }
            try database.execute("PRAGMA user_version = \(version)")
        }
    }
}
