// Tables for people, JSON for programs; lists of any length, page by page.

import AgentKeeper
import ArgumentParser
import JSON

enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
    case table
    case json
}

struct OutputOptions: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("A table for people, or JSON for programs.", valueName: "format"))
    var output: OutputFormat = .table

    /// One thing.
    func print(_ json: @autoclosure () -> JSON, _ fields: (inout Fields) -> Void) {
        var output = Output()
        switch self.output {
        case .json: output.line(json().document)
        case .table:
            var all = Fields()
            fields(&all)
            all.write(to: &output, Terminal.current())
        }
        output.flush()
    }

    /// What a command that changes something says: one line.
    func print(_ json: @autoclosure () -> JSON, line: @autoclosure () -> String) {
        var output = Output()
        output.line(self.output == .json ? json().document : printable(line()))
        output.flush()
    }

    /// A list, written as its pages come.
    func print<Element>(
        _ columns: [Table.Column], limit: Int? = nil,
        _ page: (String?) async throws -> Page<Element>,
        row: (Element, Terminal) -> [Table.Cell], json: (Element) -> JSON
    ) async throws {
        let terminal = Terminal.current()
        var output = Output()
        var table = Table(columns, terminal)
        var token: String?
        var left = limit ?? .max
        var isFirst = true
        repeat {
            let next = try await page(token)
            let elements = next.elements.prefix(left)
            left -= elements.count
            token = next.nextToken
            switch self.output {
            case .table:
                for element in elements { table.add(row(element, terminal)) }
                // The first lines decide the widths: a page without any decides nothing.
                if !elements.isEmpty || token == nil { table.write(to: &output) }
            case .json:
                for element in elements {
                    output.text((isFirst ? "[\n  " : ",\n  ") + json(element).line)
                    isFirst = false
                }
            }
            output.flush()
        } while token != nil && left > 0
        if self.output == .json { output.line(isFirst ? "[]" : "\n]") }
        output.flush()
    }
}

struct LimitOption: ParsableArguments {
    @Option(help: ArgumentHelp("At most so many. (default: all)", valueName: "n"))
    var limit: Int?

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit must be at least 1, found \(limit)") }
    }
}
