// The database between two lives of the daemon, through SQLite and nothing else: what a person sees who looks
// into it, and what a fault can be planted in.

import CSQLite
import Coordination

final class Rows {
    enum Value: Equatable, CustomStringConvertible {
        case null
        case integer(Int64)
        case text(String)
        case blob([UInt8])

        var description: String {
            switch self {
            case .null: ""
            case .integer(let integer): "\(integer)"
            case .text(let text): text
            case .blob(let bytes): "\(bytes.count) bytes"
            }
        }
    }

    private let handle: OpaquePointer

    /// Nil when it can't be opened.
    init?(_ disk: SimulatedDisk) {
        var handle: OpaquePointer?
        let location = disk.databaseLocation("agentkeeper.db")
        guard
            sqlite3_open_v2(location.path, &handle, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE, location.vfs)
                == SQLITE_OK,
            let handle
        else {
            sqlite3_close(handle)
            return nil
        }
        self.handle = handle
        _ = agentkeeper_sqlite3_keep_log_on_close(handle)
    }

    deinit { sqlite3_close(handle) }

    func query(_ sql: String) -> [[Value]] {
        var statement: OpaquePointer?
        guard sqlite3_prepare_v2(handle, sql, -1, &statement, nil) == SQLITE_OK else { return [] }
        defer { sqlite3_finalize(statement) }
        var rows: [[Value]] = []
        while sqlite3_step(statement) == SQLITE_ROW {
            rows.append((0..<sqlite3_column_count(statement)).map { value(statement, $0) })
        }
        return rows
    }

    private func value(_ statement: OpaquePointer?, _ column: Int32) -> Value {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: return .integer(sqlite3_column_int64(statement, column))
        case SQLITE_TEXT: return .text(String(cString: sqlite3_column_text(statement, column)))
        case SQLITE_BLOB:
            let count = Int(sqlite3_column_bytes(statement, column))
            return .blob([UInt8](UnsafeRawBufferPointer(start: sqlite3_column_blob(statement, column), count: count)))
        default: return .null
        }
    }

    /// How many rows were changed.
    @discardableResult
    func execute(_ sql: String) -> Int {
        sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK ? Int(sqlite3_changes(handle)) : 0
    }

    /// Gives every row of a table the checksum that its columns should have: nobody can tell that it was changed.
    func seal(_ table: String) {
        let columns = query("SELECT name FROM pragma_table_info('\(table)') ORDER BY cid").map { "\($0[0])" }
        let key = columns[0]
        for row in query("SELECT \(columns.joined(separator: ", ")) FROM \(table)") {
            var print = Fingerprint()
            for value in row.dropLast() {
                switch value {
                case .null: print.add(0)
                case .integer(let integer):
                    print.add(1)
                    print.add(UInt64(bitPattern: integer))
                case .text(let text):
                    print.add(2)
                    print.add(text)
                case .blob(let blob):
                    print.add(3)
                    blob.withUnsafeBytes { print.add($0) }
                }
            }
            let known: String = if case .text(let text) = row[0] { "'\(text)'" } else { "\(row[0])" }
            let more = table == "candidates" ? " AND agent_id = '\(row[1])'" : ""
            execute("UPDATE \(table) SET checksum = \(Int64(bitPattern: print.value)) WHERE \(key) = \(known)\(more)")
        }
    }
}

extension Model {
    /// Compares what is in the database after a recovery with what should be.
    func check(_ rows: Rows) throws(Violation) {
        try compare(
            "lease",
            rows.query("SELECT task_id, holder_agent_id, token, is_claim FROM leases").map { $0.map(\.description) },
            leases.map { [$0.key.text, "\($0.value.agent)", "\($0.value.token ?? 0)", $0.value.isClaim ? "1" : "0"] })
        try compare(
            "living agent",
            rows.query("SELECT agent_id, status, ttl_seconds FROM agents WHERE status <> 'DEAD'").map {
                $0.map(\.description)
            },
            agents.map { ["\($0.key)", "\($0.value.status)".uppercased(), "\($0.value.ttl / Self.second)"] })
        try compare(
            "open task",
            rows.query(
                "SELECT task_id, status, ifnull(claimed_by_agent_id, ''), retry_count FROM tasks WHERE status IN ('PENDING', 'CLAIMED')"
            ).map { $0.map(\.description) },
            work.filter { $0.value.status == .pending || $0.value.status == .claimed }.map {
                [
                    $0.key.text, "\($0.value.status)".uppercased(), $0.value.claimer.map { "\($0)" } ?? "",
                    "\($0.value.retries)",
                ]
            })
        try compare(
            "policy",
            rows.query("SELECT id, subject, action, resource, effect FROM policies").map { $0.map(\.description) },
            policies.values.map {
                [$0.id.text, $0.subject, $0.action, $0.resource, $0.effect == .allow ? "ALLOW" : "DENY"]
            })
        try compare(
            "candidate",
            rows.query("SELECT group_name, agent_id FROM candidates").map { $0.map(\.description) },
            candidates.flatMap { group, agents in agents.map { [group.text, "\($0)"] } })
        for row in rows.query("SELECT group_name, term, leader_agent_id FROM elections") {
            let election = elections[GroupName("\(row[0])")]
            try require(
                election.map { "\($0.term)" } == "\(row[1])", .termsNeverGoBack,
                "The term of \(row[0]) is \(row[1]) after a recovery, and was \(election as Any).")
            try require(
                election?.leader.map { "\($0)" } ?? "" == "\(row[2])", .oneLeaderATerm,
                "\(row[2]) leads \(row[0]) after a recovery, and it was \(election as Any).")
        }
    }

    private func compare(_ what: String, _ found: [[String]], _ expected: [[String]]) throws(Violation) {
        let (found, expected) = (Set(found), Set(expected))
        if let missing = expected.subtracting(found).min(by: { $0.lexicographicallyPrecedes($1) }) {
            throw Violation(.theAcknowledgedIsThere, "The \(what) \(missing) is not there after a recovery.")
        }
        if let extra = found.subtracting(expected).min(by: { $0.lexicographicallyPrecedes($1) }) {
            throw Violation(.theUnaskedIsNot, "The \(what) \(extra) is there after a recovery.")
        }
    }
}
