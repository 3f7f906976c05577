// Rows that are changed, and not yet written to the database. What is not among them is read from there, so
// a record that is made and ends between two checkpoints never touches the disk.

import DequeModule

/// Of a table whose records are found by their key.
struct ChangedRows<Row: StoredRow> {
    /// Nil for a row that is to be deleted.
    private var changed: [Row.Key: Row?] = [:]
    private let lookup: Statement
    private let insertion: Statement
    private let deletion: Statement

    init(_ database: Database) throws(JournalError) {
        lookup = try database.prepare(Row.layout.lookup)
        insertion = try database.prepare(Row.layout.insertion)
        deletion = try database.prepare(Row.layout.deletion)
    }

    func row(_ key: Row.Key) throws(JournalError) -> Row? {
        if let known = changed[key] { return known }
        lookup.bind(Row.values(of: key))
        defer { lookup.reset() }
        return try lookup.step() ? try Row(row: lookup) : nil
    }

    /// A row that must be there, for a change is about it.
    func required(_ key: Row.Key) throws(JournalError) -> Row {
        guard let row = try row(key) else {
            throw .damaged(
                "agentkeeper.db and its log disagree: the log changes \(key) of table \(Row.layout.name), which is not there"
            )
        }
        return row
    }

    mutating func put(_ row: Row) { changed.updateValue(row, forKey: row.key) }
    mutating func remove(_ key: Row.Key) { changed.updateValue(nil, forKey: key) }

    /// By key: neighbours share pages, and equal changes make equal files.
    func write() throws(JournalError) {
        for (key, row) in changed.sorted(by: { $0.key < $1.key }) {
            if let row { try insertion.run(row.sealed) } else { try deletion.run(Row.values(of: key)) }
        }
    }

    mutating func clear() { changed = [:] }
}

/// Of a table that only grows at its end and is forgotten from its beginning.
struct AppendedRows<Row: StoredRow> {
    private(set) var rows: Deque<Row> = []
    private let insertion: Statement

    init(_ database: Database) throws(JournalError) {
        insertion = try database.prepare(Row.layout.insertion)
    }

    mutating func append(_ row: Row) { rows.append(row) }

    /// Forgets the first ones for as long as they are not wanted.
    mutating func drop(while isUnwanted: (Row) -> Bool) {
        while let first = rows.first, isUnwanted(first) { rows.removeFirst() }
    }

    mutating func keepLast(_ count: Int) {
        if rows.count > count { rows.removeFirst(rows.count - count) }
    }

    func write() throws(JournalError) {
        for row in rows { try insertion.run(row.sealed) }
    }

    mutating func clear() { rows = [] }
}
