// A request's target taken apart: path segments and parameters, percent-decoded, each checked as it is used.

/// Where a request goes. What is malformed in it is complained of by who takes it: whom to tell, a person or a program,
/// is known before.
struct Target {
    /// As they came.
    private let path: Substring
    private let query: Substring

    /// - Parameter text: in origin or absolute form (RFC 9112, section 3.2).
    init(_ text: String) {
        var rest = text.prefix { $0 != "#" }
        if rest.lowercased().hasPrefix("http://") {
            let authority = rest.dropFirst("http://".count)
            rest = authority.firstIndex { $0 == "/" || $0 == "?" }.map { authority[$0...] } ?? "/"
        }
        path = rest.prefix { $0 != "?" }
        query = rest.dropFirst(path.count + 1)
    }

    /// Whether it leads to what programs read, as far as that can be told.
    var isForPrograms: Bool {
        let parts = path.dropFirst().split(separator: "/").map { percentDecoded($0, plusIsSpace: false) }
        return parts.first == "api" || parts == ["events"]
    }

    /// Decoded; a slash inside a name is `%2F`.
    func segments() throws(Problem) -> [String] {
        var segments: [String] = []
        for part in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let segment = percentDecoded(part, plusIsSpace: false) else {
                throw .invalid("the path must be UTF-8, percent-encoded, found \(quoted(String(part)))")
            }
            segments.append(segment)
        }
        // A slash at the end leads to the same place.
        if segments.count > 1, segments.last == "" { segments.removeLast() }
        return segments
    }

    func parameters() throws(Problem) -> Parameters { try Parameters(query) }
}

/// The parameters of a request. Each is taken once by whoever knows it, and what is left over is an error: a filter
/// that was misspelt must not look like one that matches all.
struct Parameters {
    private var items: [(name: String, value: String)] = []
    private var known: [String] = []

    /// - Parameter query: without its question mark.
    init(_ query: Substring) throws(Problem) {
        for part in query.split(separator: "&") {
            let name = part.prefix { $0 != "=" }
            guard let decoded = percentDecoded(name, plusIsSpace: true),
                let value = percentDecoded(part.dropFirst(name.count + 1), plusIsSpace: true)
            else { throw .invalid("parameters must be UTF-8, percent-encoded, found \(quoted(String(part)))") }
            items.append((decoded, value))
        }
    }

    mutating func texts(_ name: String, most: Int = 64) throws(Problem) -> [String] {
        known.append(name)
        let values = items.filter { $0.name == name }.map(\.value)
        items.removeAll { $0.name == name }
        guard values.count <= most else {
            throw .invalid("\(name) may be given \(most) times at the most, found \(values.count)")
        }
        return values
    }

    mutating func text(_ name: String) throws(Problem) -> String? {
        let values = try texts(name)
        guard values.count <= 1 else { throw .invalid("\(name) may be given once, found \(values.count) times") }
        // A form sends its empty fields as well.
        return values.first.flatMap { $0.isEmpty ? nil : $0 }
    }

    mutating func number(_ name: String, _ range: ClosedRange<UInt64>) throws(Problem) -> UInt64? {
        guard let text = try text(name) else { return nil }
        guard let number = UInt64(text), range.contains(number) else {
            let bound = range.upperBound == .max ? "" : " to \(range.upperBound)"
            throw .invalid("\(name) must be a whole number from \(range.lowerBound)\(bound), found \(quoted(text))")
        }
        return number
    }

    mutating func value<Value>(_ name: String, _ values: [(String, Value)]) throws(Problem) -> Value? {
        guard let text = try text(name) else { return nil }
        return try Self.choose(name, text, values)
    }

    mutating func values<Value>(_ name: String, _ values: [(String, Value)]) throws(Problem) -> [Value] {
        var chosen: [Value] = []
        for text in try texts(name) where !text.isEmpty { chosen.append(try Self.choose(name, text, values)) }
        return chosen
    }

    private static func choose<Value>(
        _ name: String, _ text: String, _ values: [(String, Value)]
    ) throws(Problem) -> Value {
        guard let value = values.first(where: { $0.0 == text })?.1 else {
            let names = values.map(\.0).joined(separator: ", ")
            throw .invalid("\(name) must be one of \(names), found \(quoted(text))")
        }
        return value
    }

    /// Complains of what nobody has taken.
    func end() throws(Problem) {
        guard let (name, _) = items.first else { return }
        let hint = known.isEmpty ? "there are none" : "there are " + known.joined(separator: ", ")
        throw .invalid("there is no parameter \(quoted(name)) here; \(hint)")
    }
}

/// RFC 3986, section 2.1; nil where the text is none of it, or not UTF-8.
private func percentDecoded(_ text: Substring, plusIsSpace: Bool) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "%"):
            guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else {
                return nil
            }
            bytes.append(high << 4 | low)
        case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
        default: bytes.append(byte)
        }
    }
    return String(validating: bytes, as: UTF8.self)
}

private func hexValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
}

/// As an error message quotes a text of somebody else's.
func quoted(_ text: String) -> String {
    text.count <= 200 ? "\"\(text)\"" : "\"\(text.prefix(200))…\""
}
