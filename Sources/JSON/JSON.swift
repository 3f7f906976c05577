// JSON for programs, and a text inside it. The fields keep the order in which they are written, which an encoder over
// dictionaries would not do: a line of `watch` or of the log is read by people as well.

package enum JSON: Sendable {
    case null
    case bool(Bool)
    /// Tokens and sequences are below 2^53: every reader keeps them exact.
    case number(UInt64)
    case decimal(Double)
    case string(String)
    case array([JSON])
    case object([(String, JSON)])
    /// Written already, on one line.
    case written(String)

    package static func texts(_ texts: [String]) -> JSON { .array(texts.map { .string($0) }) }
    package static func optional(_ text: (some CustomStringConvertible)?) -> JSON {
        text.map { .string($0.description) } ?? .null
    }

    package static func count(_ value: some BinaryInteger) -> JSON { .number(UInt64(clamping: value)) }

    /// On one line.
    package var line: String {
        var text = ""
        write(to: &text, indent: nil)
        return text
    }

    /// On as many lines as it takes, for one document.
    package var document: String {
        var text = ""
        write(to: &text, indent: 0)
        return text
    }

    private func write(to text: inout String, indent: Int?) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let value): text += String(value)
        case .decimal(let value): text += value.isFinite ? "\(value)" : "null"
        case .string(let value): JSON.quote(value, to: &text)
        case .written(let line): text += line
        case .array(let values):
            JSON.list(values, "[", "]", to: &text, indent) { value, text, indent in
                value.write(to: &text, indent: indent)
            }
        case .object(let fields):
            JSON.list(fields, "{", "}", to: &text, indent) { field, text, indent in
                JSON.quote(field.0, to: &text)
                text += indent == nil ? ":" : ": "
                field.1.write(to: &text, indent: indent)
            }
        }
    }

    private static func list<Element>(
        _ elements: [Element], _ open: String, _ close: String, to text: inout String, _ indent: Int?,
        _ write: (Element, inout String, Int?) -> Void
    ) {
        text += open
        for (index, element) in elements.enumerated() {
            if index > 0 { text += "," }
            if let indent { text += "\n" + String(repeating: "  ", count: indent + 1) }
            write(element, &text, indent.map { $0 + 1 })
        }
        if let indent, !elements.isEmpty { text += "\n" + String(repeating: "  ", count: indent) }
        text += close
    }

    /// Everything that a terminal would obey is escaped, also where JSON would allow it.
    package static func quote(_ value: String, to text: inout String) {
        text += "\""
        defer { text += "\"" }
        // Nearly every text is plain.
        if value.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            text += value
            return
        }
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.isControl && scalar.value <= 0xffff:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
    }
}

extension Unicode.Scalar {
    /// Those beyond ASCII too: a terminal obeys U+009B as it does ESC [, and a separator of lines would make one line
    /// two.
    package var isControl: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}
