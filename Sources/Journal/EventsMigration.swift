// From version 1 of the tables to version 2, in which events say why they happened, and on which trace. Those that
// happened before say neither.
//
// What the tables looked like then is written down here, not taken from `EventRow`, which goes on changing.

import CSQLite
import Coordination

enum EventsMigration {
    static func run(_ database: Database) throws(JournalError) {
        try database.execute("ALTER TABLE events RENAME TO events_1")
        try database.execute(
            """
            CREATE TABLE events (
                sequence INTEGER PRIMARY KEY,
                occurred_at TEXT NOT NULL,
                topic TEXT NOT NULL,
                agent_id TEXT,
                subject TEXT NOT NULL,
                reason TEXT,
                trace_parent TEXT,
                occurred_clock_ns INTEGER NOT NULL,
                payload BLOB NOT NULL,
                checksum INTEGER NOT NULL
            )
            """)
        let old = try database.prepare(
            "SELECT sequence, occurred_at, topic, agent_id, subject, occurred_clock_ns, payload, checksum "
                + "FROM events_1 ORDER BY sequence")
        let insertion = try database.prepare(
            "INSERT INTO events (sequence, occurred_at, topic, agent_id, subject, reason, trace_parent, "
                + "occurred_clock_ns, payload, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        while try old.step() {
            // A row that is damaged must not become one that looks whole.
            var values = try old.unsealed(ofTable: "events")
            values.insert(contentsOf: [.null, .null], at: 5)
            try insertion.run(values + [.integer(checksum(values[...]))])
        }
        old.reset()
        try database.execute("DROP TABLE events_1")
    }
}
