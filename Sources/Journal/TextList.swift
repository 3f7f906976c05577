// Lists of texts in one column, as JSON, so that a person reads them and SQLite's `json_each` takes them
// apart. Only arrays and objects of strings are ever written, and only they are read.

enum TextList {
    /// `["a","b"]`
    static func array(_ texts: [String]) -> String {
        var json: [UInt8] = [UInt8(ascii: "[")]
        for (index, text) in texts.enumerated() {
            if index > 0 { json.append(UInt8(ascii: ",")) }
            append(text, to: &json)
        }
        json.append(UInt8(ascii: "]"))
        return String(decoding: json, as: UTF8.self)
    }

    /// `{"key":"value"}`; a key may stand there more than once.
    static func object(_ pairs: [(String, String)]) -> String {
        var json: [UInt8] = [UInt8(ascii: "{")]
        for (index, pair) in pairs.enumerated() {
            if index > 0 { json.append(UInt8(ascii: ",")) }
            append(pair.0, to: &json)
            json.append(UInt8(ascii: ":"))
            append(pair.1, to: &json)
        }
        json.append(UInt8(ascii: "}"))
        return String(decoding: json, as: UTF8.self)
    }

    private static func append(_ text: String, to json: inout [UInt8]) {
        json.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                json.append(UInt8(ascii: "\\"))
                json.append(byte)
            case 0..<0x20:
                json.append(contentsOf: "\\u00".utf8)
                json.append(digits[Int(byte >> 4)])
                json.append(digits[Int(byte & 15)])
            default: json.append(byte)
            }
        }
        json.append(UInt8(ascii: "\""))
    }

    private static let digits = Array("0123456789abcdef".utf8)

    static func parseArray(_ json: String) -> [String]? {
        var reader = Reader(json)
        return reader.texts(open: "[", close: "]", separators: [UInt8(ascii: ",")])
    }

    static func parseObject(_ json: String) -> [(String, String)]? {
        var reader = Reader(json)
        guard
            let texts = reader.texts(open: "{", close: "}", separators: [UInt8(ascii: ":"), UInt8(ascii: ",")]),
            texts.count % 2 == 0
        else { return nil }
        return stride(from: 0, to: texts.count, by: 2).map { (texts[$0], texts[$0 + 1]) }
    }

    private struct Reader {
        private let bytes: [UInt8]
        private var position = 0

        init(_ json: String) { bytes = Array(json.utf8) }

        /// Strings with these separators between them, in turn.
        mutating func texts(open: Unicode.Scalar, close: Unicode.Scalar, separators: [UInt8]) -> [String]? {
            guard take(UInt8(open.value)) else { return nil }
            var texts: [String] = []
            if !take(UInt8(close.value)) {
                repeat {
                    guard let text = text() else { return nil }
                    texts.append(text)
                } while take(separators[(texts.count - 1) % separators.count])
                guard take(UInt8(close.value)) else { return nil }
            }
            return position == bytes.count ? texts : nil
        }

        private mutating func take(_ byte: UInt8) -> Bool {
            guard position < bytes.count, bytes[position] == byte else { return false }
            position += 1
            return true
        }

        private mutating func text() -> String? {
            guard take(UInt8(ascii: "\"")) else { return nil }
            var text: [UInt8] = []
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                switch byte {
                case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
                case UInt8(ascii: "\\"):
                    guard let escaped = escape() else { return nil }
                    text.append(escaped)
                default: text.append(byte)
                }
            }
            return nil
        }

        private mutating func escape() -> UInt8? {
            guard position < bytes.count else { return nil }
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): return byte
            case UInt8(ascii: "u"):
                // Only what `append` writes so.
                guard bytes[position...].starts(with: "00".utf8), position + 4 <= bytes.count,
                    let high = digits.firstIndex(of: bytes[position + 2]), high < 2,
                    let low = digits.firstIndex(of: bytes[position + 3])
                else { return nil }
                position += 4
                return UInt8(high << 4 | low)
            default: return nil
            }
        }
    }
}
