// A table of the database as a kind of record: its columns, and how a record becomes a row and comes back.
//
// The columns are the truth and can be read with `sqlite3`. Each row ends with a checksum of all the others, so
// that a bit that flipped on the disk is found when the row is read and does not become a wrong token.

import Coordination

/// How a table is laid out.
struct TableLayout: Sendable {
    struct Column: Sendable {
        let name: String
        let declaration: String

        init(_ name: String, _ declaration: String) {
            self.name = name
            self.declaration = declaration
        }
    }

    let name: String
    let columns: [Column]
    /// The columns that a record is found by.
    let key: [String]
    /// What the columns' declarations don't say.
    var constraint: String?
    var suffix = ""
    /// The order in which records are read back.
    let order: String

    var creation: String {
        let lines =
            columns.map { "\($0.name) \($0.declaration)" } + ["checksum INTEGER NOT NULL"]
            + (constraint.map { [$0] } ?? [])
        return "CREATE TABLE \(name) (\n    \(lines.joined(separator: ",\n    "))\n)\(suffix)"
    }

    private var names: String { columns.map(\.name).joined(separator: ", ") }
    private var condition: String { key.map { "\($0) = ?" }.joined(separator: " AND ") }

    var insertion: String {
        let places = [String](repeating: "?", count: columns.count + 1).joined(separator: ", ")
        return "INSERT OR REPLACE INTO \(name) (\(names), checksum) VALUES (\(places))"
    }

    var deletion: String { "DELETE FROM \(name) WHERE \(condition)" }
    var lookup: String { "SELECT \(names), checksum FROM \(name) WHERE \(condition)" }
    var scan: String { "SELECT \(names), checksum FROM \(name) ORDER BY \(order)" }
}

protocol StoredRow: Sendable {
    associatedtype Key: Hashable & Comparable & Sendable
    static var layout: TableLayout { get }
    var key: Key { get }
    /// The key's columns.
    static func values(of key: Key) -> [SQLValue]
    /// All columns but the checksum.
    var values: [SQLValue] { get }
    init(from row: inout RowReader) throws(JournalError)
}

extension StoredRow {
    /// All columns.
    var sealed: [SQLValue] { values + [.integer(checksum(values[...]))] }

    /// Takes the present row of a statement.
    init(row statement: Statement) throws(JournalError) {
        var reader = RowReader(table: Self.layout, values: try statement.unsealed(ofTable: Self.layout.name))
        self = try Self(from: &reader)
    }
}

extension Statement {
    /// The present row, checked, without its checksum.
    func unsealed(ofTable table: String) throws(JournalError) -> [SQLValue] {
        var values: [SQLValue] = []
        values.reserveCapacity(columnCount)
        for column in 0..<columnCount { values.append(try value(column)) }
        guard values.popLast() == .integer(checksum(values[...])) else {
            throw .damaged("agentkeeper.db is damaged: a row of table \(table) has a wrong checksum")
        }
        return values
    }
}

/// Of a row's other columns, in the order of the layout.
func checksum(_ values: ArraySlice<SQLValue>) -> Int64 {
    var print = Fingerprint()
    for value in values {
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
    return Int64(bitPattern: print.value)
}

/// Takes a row apart, column by column in the layout's order.
struct RowReader {
    private let table: TableLayout
    private let values: [SQLValue]
    private var next = 0

    init(table: TableLayout, values: [SQLValue]) {
        self.table = table
        self.values = values
    }

    func wrong(_ value: SQLValue) -> JournalError {
        .damaged("agentkeeper.db is damaged: \(table.columns[next - 1].name) of table \(table.name) can't be \(value)")
    }

    mutating func take() -> SQLValue {
        next += 1
        return values[next - 1]
    }

    mutating func text() throws(JournalError) -> String {
        let value = take()
        guard case .text(let text) = value else { throw wrong(value) }
        return text
    }

    mutating func integer() throws(JournalError) -> Int64 {
        let value = take()
        guard case .integer(let integer) = value else { throw wrong(value) }
        return integer
    }

    mutating func blob() throws(JournalError) -> [UInt8] {
        let value = take()
        guard case .blob(let blob) = value else { throw wrong(value) }
        return blob
    }

    /// What `convert` makes of a value that must be there.
    mutating func converted<Value>(_ convert: (String) -> Value?) throws(JournalError) -> Value {
        let text = try text()
        guard let value = convert(text) else { throw wrong(.text(text)) }
        return value
    }

    /// What `convert` makes of a value that may be NULL.
    mutating func optional<Value>(_ convert: (SQLValue) -> Value?) throws(JournalError) -> Value? {
        let value = take()
        if value == .null { return nil }
        guard let converted = convert(value) else { throw wrong(value) }
        return converted
    }

    mutating func unsigned() throws(JournalError) -> UInt64 { UInt64(bitPattern: try integer()) }

    mutating func small() throws(JournalError) -> UInt32 {
        let value = try integer()
        guard let small = UInt32(exactly: value) else { throw wrong(.integer(value)) }
        return small
    }

    mutating func flag() throws(JournalError) -> Bool {
        let value = try integer()
        guard value == 0 || value == 1 else { throw wrong(.integer(value)) }
        return value == 1
    }

    mutating func agent() throws(JournalError) -> AgentID { try converted { AgentID($0) } }
    mutating func time() throws(JournalError) -> WallTime { try converted { WallTime(iso8601: $0) } }
    mutating func instant() throws(JournalError) -> Instant { Instant(nanoseconds: try integer()) }

    mutating func optionalAgent() throws(JournalError) -> AgentID? {
        try optional { if case .text(let text) = $0 { AgentID(text) } else { nil } }
    }

    mutating func optionalTime() throws(JournalError) -> WallTime? {
        try optional { if case .text(let text) = $0 { WallTime(iso8601: text) } else { nil } }
    }

    mutating func optionalInteger() throws(JournalError) -> Int64? {
        try optional { if case .integer(let integer) = $0 { integer } else { nil } }
    }
}

extension SQLValue {
    static func unsigned(_ value: UInt64) -> SQLValue { .integer(Int64(bitPattern: value)) }
    static func time(_ time: WallTime) -> SQLValue { .text(time.iso8601) }
    static func agent(_ agent: AgentID) -> SQLValue { .text(agent.description) }
    static func flag(_ flag: Bool) -> SQLValue { .integer(flag ? 1 : 0) }

    /// NULL where there is nothing.
    static func optional<Value>(_ value: Value?, _ convert: (Value) -> SQLValue) -> SQLValue {
        value.map(convert) ?? .null
    }
}
