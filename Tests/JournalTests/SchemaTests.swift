import Coordination
import Testing

@testable import Journal

@Suite struct SchemaTests {
    private let directory = TemporaryDirectory()

    /// What is said of the file in the directory that bears the database's name.
    private var complaintAboutHeader: String? {
        complaint { () throws(JournalError) in
            let file = try onDisk { () throws(DiskError) in try directory.disk.open(Schema.fileName) }
            try Schema.checkHeader(of: file, named: "FILE")
        }
    }

    @Test func `A new database is ours, whole, and of this version`() throws {
        var counters = start
        counters.lastToken = FencingToken(77)
        try Schema.create(on: directory.disk, identity: 0xffff_fffe, counters: counters)
        #expect(try directory.names == ["agentkeeper.db"])
        #expect(complaintAboutHeader == nil)
        let database = try directory.database()
        #expect(try database.value("PRAGMA user_version") == 2)
        #expect(try database.value("PRAGMA application_id") == 0x414b_7072)
        let daemon = try Ledger.daemonRow(database)
        #expect(daemon.identity == 0xffff_fffe && daemon.counters == counters && daemon.lastPosition == 0)
        try Schema.migrate(database)
    }

    @Test func `What is no database of ours is refused in a sentence`() throws {
        let noDatabase = "FILE is no SQLite database; move it away, or choose another directory"
        for bytes in [[], Array("SQLite format 3\0".utf8), [UInt8](repeating: 0x41, count: 4_096)] {
            try directory.put(bytes, into: Schema.fileName)
            #expect(complaintAboutHeader == noDatabase)
        }
        for (sql, sentence): ([String], String) in [
            (["CREATE TABLE t (x)"], "FILE is a database of another program; choose another directory"),
            (
                ["PRAGMA application_id = 1", "PRAGMA user_version = 1", "CREATE TABLE t (x)"],
                "FILE is a database of another program; choose another directory"
            ),
            (
                ["PRAGMA application_id = 1095463026", "PRAGMA user_version = 3", "CREATE TABLE t (x)"],
                "FILE was written by a newer version (schema 3, this one knows 2); "
                    + "use that version, or a backup from before"
            ),
            (
                ["PRAGMA application_id = 1095463026", "CREATE TABLE t (x)"],
                "FILE has schema version 0, which never was"
            ),
        ] {
            try directory.disk.remove(Schema.fileName)
            let database = try directory.database()
            for statement in sql { try database.execute(statement) }
            #expect(complaintAboutHeader == sentence)
        }
    }

    @Test func `A directory with a file that is refused stays as it was, byte by byte`() throws {
        try directory.put(Array("a diary".utf8), into: Schema.fileName)
        let path = directory.path
        let expected =
            "\(path)/agentkeeper.db is no SQLite database; move it away, or choose another directory"
        #expect(complaint { () throws(JournalError) in _ = try DirectoryLock(path: path) } == expected)
        #expect(complaint { () throws(JournalError) in _ = try Keeper(directory.disk) } == expected)
        #expect(try directory.names == ["agentkeeper.db"])
        #expect(try directory.bytes(of: Schema.fileName) == Array("a diary".utf8))
    }

    @Test func `A creation that was interrupted is begun anew`() throws {
        // The file, half made, and the journal that SQLite would roll it back with.
        try directory.put(Array("SQLite format 3\0, and then nothing".utf8), into: "agentkeeper.db.new")
        try directory.put([1, 2, 3], into: "agentkeeper.db.new-journal")
        let keeper = try Keeper(directory.disk, identity: 5)
        #expect(keeper.journal.identity == 5)
        #expect(try directory.names.filter { $0.contains(".new") } == [])
        #expect(try directory.names.contains("agentkeeper.db"))
    }

    @Test func `A version that nothing leads away from is refused, and stays as it is`() throws {
        try Schema.create(on: directory.disk, identity: 7, counters: start)
        let database = try directory.database()
        try database.execute("PRAGMA user_version = 0")
        let before = try database.contents()
        #expect(
            complaint { () throws(JournalError) in try Schema.migrate(database) }
                == "there is no way from schema version 0 to 1")
        #expect(try database.value("PRAGMA user_version") == 0)
        #expect(try database.contents() == before)
    }

    @Test func `Of a transaction that fails nothing has happened, its version and its tables included`() throws {
        let database = try directory.database()
        let said = complaint { () throws(JournalError) in
            try database.transaction { () throws(JournalError) in
                try database.execute("PRAGMA user_version = 5")
                try database.execute("CREATE TABLE t (x)")
                try database.execute("CREATE TABLE t (x)")
            }
        }
        #expect(said == "agentkeeper.db failed: table t already exists (SQLite code 1)")
        #expect(try database.value("PRAGMA user_version") == 0)
        #expect(try database.contents() == [])
        // And the next one works.
        try database.transaction { () throws(JournalError) in try database.execute("CREATE TABLE t (x)") }
    }
}
