// SQLite, as much of it as the journal needs.

import CSQLite

/// A connection, used by one thread at a time.
final class Database: @unchecked Sendable {
    // Unchecked, because of the pointer: who has the object uses it alone.
    private let handle: OpaquePointer

    enum Mode {
        case readWrite
        case readOnly
    }

    /// Opens a file, which is made if need be when it may be written.
    init(_ location: (path: String, vfs: String?), _ mode: Mode) throws(JournalError) {
        var handle: OpaquePointer?
        let flags =
            SQLITE_OPEN_NOMUTEX
            | (mode == .readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
        let code = sqlite3_open_v2(location.path, &handle, flags, location.vfs)
        guard code == SQLITE_OK, let handle else {
            let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            let extended = handle.map { sqlite3_extended_errcode($0) } ?? code
            sqlite3_close(handle)
            throw .database("\(location.path): \(message)", code: extended)
        }
        self.handle = handle
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, 2_000)
    }

    deinit { sqlite3_close_v2(handle) }

    func execute(_ sql: String) throws(JournalError) {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw failure() }
    }

    func prepare(_ sql: String) throws(JournalError) -> Statement {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement else { throw failure() }
        return Statement(statement, self)
    }

    /// The only value of the only row.
    func value(_ sql: String) throws(JournalError) -> Int64 {
        let statement = try prepare(sql)
        guard try statement.step() else { throw .damaged("agentkeeper.db is damaged: there is no answer to \(sql)") }
        return statement.integer(0)
    }

    /// All that happens in `body` is one transaction; if it throws, nothing of it has happened.
    func transaction<Result: ~Copyable>(
        _ body: () throws(JournalError) -> Result
    ) throws(JournalError) -> Result {
        try execute("BEGIN IMMEDIATE")
        do throws(JournalError) {
            let result = try body()
            try execute("COMMIT")
            return result
        } catch {
            // It may have been rolled back by the error already.
            if sqlite3_get_autocommit(handle) == 0 { sqlite3_exec(handle, "ROLLBACK", nil, nil, nil) }
            throw error
        }
    }

    /// Copies the database as it is to another, while others may write to it.
    func copy(to other: Database) throws(JournalError) {
        guard let backup = sqlite3_backup_init(other.handle, "main", handle, "main") else { throw other.failure() }
        let code = sqlite3_backup_step(backup, -1)
        guard sqlite3_backup_finish(backup) == SQLITE_OK, code == SQLITE_DONE else {
            throw code == SQLITE_BUSY || code == SQLITE_LOCKED ? failure(code) : other.failure()
        }
    }

    /// Leaves the files as they are when the connection is closed.
    func keepLogOnClose() {
        _ = agentkeeper_sqlite3_keep_log_on_close(handle)
    }

    func failure(_ code: Int32? = nil) -> JournalError {
        let extended = code ?? sqlite3_extended_errcode(handle)
        let message = String(cString: sqlite3_errmsg(handle))
        return switch extended & 0xff {
        case SQLITE_CORRUPT, SQLITE_NOTADB: .damaged("agentkeeper.db is damaged: \(message)")
        default: .database(message, code: extended)
        }
    }
}

/// A prepared statement. Values are bound and read by position, from 0.
final class Statement: @unchecked Sendable {
    private let handle: OpaquePointer
    private unowned let database: Database

    init(_ handle: OpaquePointer, _ database: Database) {
        self.handle = handle
        self.database = database
    }

    deinit { sqlite3_finalize(handle) }

    /// - Returns: whether there is a row.
    func step() throws(JournalError) -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw database.failure()
        }
    }

    /// Runs a statement that has no rows, and makes it ready for the next time.
    func run(_ values: [SQLValue]) throws(JournalError) {
        bind(values)
        defer { sqlite3_reset(handle) }
        while try step() {}
    }

    func reset() { sqlite3_reset(handle) }

    func bind(_ values: [SQLValue]) {
        for (index, value) in values.enumerated() {
            let place = Int32(index + 1)
            // SQLITE_TRANSIENT copies the bytes: they are gone when this returns.
            let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
            switch value {
            case .null: sqlite3_bind_null(handle, place)
            case .integer(let integer): sqlite3_bind_int64(handle, place, integer)
            case .text(var text):
                _ = text.withUTF8 { bytes in
                    // An empty text may have no address, which would be NULL.
                    guard let start = bytes.baseAddress, !bytes.isEmpty else {
                        return sqlite3_bind_text(handle, place, "", 0, transient)
                    }
                    return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                        sqlite3_bind_text(handle, place, $0, Int32(bytes.count), transient)
                    }
                }
            case .blob(let blob):
                _ = blob.withUnsafeBytes { bytes in
                    bytes.count == 0
                        ? sqlite3_bind_zeroblob(handle, place, 0)
                        : sqlite3_bind_blob(handle, place, bytes.baseAddress, Int32(bytes.count), transient)
                }
            }
        }
    }

    var columnCount: Int { Int(sqlite3_column_count(handle)) }

    func integer(_ column: Int) -> Int64 { sqlite3_column_int64(handle, Int32(column)) }

    /// The value of a column of the present row, of whatever type it has.
    func value(_ column: Int) throws(JournalError) -> SQLValue {
        let column = Int32(column)
        switch sqlite3_column_type(handle, column) {
        case SQLITE_NULL: return .null
        case SQLITE_INTEGER: return .integer(sqlite3_column_int64(handle, column))
        case SQLITE_TEXT:
            let bytes = UnsafeBufferPointer(
                start: sqlite3_column_text(handle, column), count: Int(sqlite3_column_bytes(handle, column)))
            // What is no UTF-8 becomes another text, and the row's checksum tells.
            return .text(String(decoding: bytes, as: UTF8.self))
        case SQLITE_BLOB:
            let count = Int(sqlite3_column_bytes(handle, column))
            return .blob([UInt8](UnsafeRawBufferPointer(start: sqlite3_column_blob(handle, column), count: count)))
        default: throw .damaged("agentkeeper.db is damaged: there is a value of a type that was never written")
        }
    }
}

enum SQLValue: Sendable, Equatable {
    case null
    case integer(Int64)
    case text(String)
    case blob([UInt8])
}
