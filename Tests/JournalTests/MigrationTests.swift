// Databases of earlier versions become the present one.

import Coordination
import Testing

@testable import Journal

@Suite struct MigrationTests {
    private let directory = TemporaryDirectory()

    /// A database of version 1 with three events.
    private func version1() throws -> Database {
        try Schema.create(on: directory.disk, identity: 7, counters: start)
        let database = try directory.database()
        try database.execute("DROP TABLE events")
        try database.execute(
            """
            CREATE TABLE events (
                sequence INTEGER PRIMARY KEY,
                occurred_at TEXT NOT NULL,
                topic TEXT NOT NULL,
                agent_id TEXT,
                subject TEXT NOT NULL,
                occurred_clock_ns INTEGER NOT NULL,
                payload BLOB NOT NULL,
                checksum INTEGER NOT NULL
            )
            """)
        let insertion = try database.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        for number in 1...3 as ClosedRange<UInt64> {
            // As version 1 wrote it: without the two columns that came later.
            var values = event(number).values
            values.removeSubrange(5...6)
            try insertion.run(values + [.integer(checksum(values[...]))])
        }
        try database.execute("PRAGMA user_version = 1")
        return database
    }

    private func event(_ number: UInt64) -> EventRow {
        let policy = Policy(id: PolicyID("p\(number)"), subject: "s", action: "a", resource: "r", effect: .deny)
        return EventRow(
            event: Event(
                sequence: Sequence(number), topic: .policySet, occurredAt: WallTime(nanoseconds: 5),
                payload: .policy(policy), agent: number == 2 ? AgentID(high: 1, low: 2) : nil),
            at: Instant(nanoseconds: Int64(number)))
    }

    @Test func `Events of version 1 are there in version 2, without a reason`() throws {
        let database = try version1()
        try Schema.migrate(database)
        #expect(try database.value("PRAGMA user_version") == 2)
        let scan = try database.prepare(EventRow.layout.scan)
        for number in 1...3 as ClosedRange<UInt64> {
            #expect(try scan.step())
            #expect(try EventRow(row: scan).values == event(number).values)
        }
        #expect(try !scan.step())
        // The table is just like one that was made anew.
        let other = TemporaryDirectory()
        try Schema.create(on: other.disk, identity: 7, counters: start)
        let columns = "SELECT group_concat(name || type || \"notnull\" || pk) = '%' FROM pragma_table_info('events')"
        let fresh = try other.database()
        let names = try fresh.prepare(columns.replacing("= '%'", with: ""))
        #expect(try names.step())
        guard case .text(let expected) = try names.value(0) else { preconditionFailure("no text") }
        #expect(try database.value(columns.replacing("%", with: expected)) == 1)
    }

    @Test func `A row that is damaged does not become one that looks whole, and the database stays as it was`() throws {
        let database = try version1()
        try database.execute("UPDATE events SET subject = 'x' WHERE sequence = 2")
        let before = try database.contents()
        #expect(
            complaint { () throws(JournalError) in try Schema.migrate(database) }
                == "agentkeeper.db is damaged: a row of table events has a wrong checksum; "
                + "nothing was changed, and a backup is needed")
        #expect(try database.value("PRAGMA user_version") == 1)
        #expect(try database.contents() == before)
    }
}
