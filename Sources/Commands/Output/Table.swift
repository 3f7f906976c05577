// Tables for people: aligned columns, a heading, and lines that never wrap on a terminal.
//
// A terminal that is too narrow costs the columns that can be cut, the widest first, down to a few characters each.
// What somebody may want to copy, an id above all, is never cut: if even that is too much, the lines wrap.

struct Table {
    struct Column {
        let title: String
        var isNumber = false
        /// Whether it may be cut on a narrow terminal.
        var cuts = false
    }

    struct Cell: ExpressibleByStringInterpolation {
        let text: String
        var colour: Terminal.Colour?

        init(_ text: String, _ colour: Terminal.Colour? = nil) {
            self.text = printable(text)
            self.colour = colour
        }

        init(stringLiteral value: String) { self.init(value) }
    }

    private static let gap = 2
    private static let narrowest = 8

    private let columns: [Column]
    private let terminal: Terminal
    private var rows: [[Cell]] = []
    private var widths: [Int]?

    init(_ columns: [Column], _ terminal: Terminal) {
        self.columns = columns
        self.terminal = terminal
    }

    mutating func add(_ row: [Cell]) {
        precondition(row.count == columns.count)
        rows.append(row)
    }

    /// Writes the rows that were added since the last time; the first time with the heading. A list of a million is
    /// written page by page, and the first page decides how wide the columns are.
    mutating func write(to output: inout Output) {
        let isFirst = widths == nil
        let widths = widths ?? fit()
        self.widths = widths
        if isFirst { output.line(line(columns.map { Cell($0.title, .bold) }, widths)) }
        for row in rows { output.line(line(row, widths)) }
        rows.removeAll(keepingCapacity: true)
    }

    private func fit() -> [Int] {
        var widths = columns.indices.map { index in
            rows.reduce(columns[index].title.columns) { max($0, $1[index].text.columns) }
        }
        guard let most = terminal.width else { return widths }
        var surplus = widths.reduce(0, +) + Self.gap * (columns.count - 1) - most
        while surplus > 0 {
            let candidates = columns.indices.filter { columns[$0].cuts && widths[$0] > Self.narrowest }
            guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { break }
            // Down to the next widest, so that the widest alone pays until there are two.
            let next = candidates.filter { $0 != widest }.map { widths[$0] }.max() ?? Self.narrowest
            let cut = max(1, min(surplus, widths[widest] - max(next, Self.narrowest)))
            widths[widest] -= cut
            surplus -= cut
        }
        return widths
    }

    private func line(_ cells: [Cell], _ widths: [Int]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let isLast = index == cells.count - 1
            let text = columns[index].cuts && terminal.width != nil ? cell.text.cut(to: widths[index]) : cell.text
            let padding = String(repeating: " ", count: max(0, widths[index] - text.columns))
            let painted = terminal.paint(text, cell.colour)
            if columns[index].isNumber {
                line += padding + painted
            } else {
                // No spaces at the end of a line.
                line += isLast ? painted : painted + padding
            }
            if !isLast { line += String(repeating: " ", count: Self.gap) }
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}

/// One thing with all that belongs to it: a name and a value a line.
struct Fields {
    private var fields: [(name: String, value: Table.Cell)] = []

    mutating func add(_ name: String, _ value: Table.Cell) { fields.append((name, value)) }

    func write(to output: inout Output, _ terminal: Terminal) {
        let width = fields.reduce(0) { max($0, $1.name.columns) } + 2
        for (name, value) in fields {
            let padding = String(repeating: " ", count: width - name.columns)
            output.line(terminal.paint(name, .faint) + padding + terminal.paint(value.text, value.colour))
        }
    }
}
