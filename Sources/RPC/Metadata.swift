// Custom metadata: pairs of a lowercase key and a value, in order; a key may repeat. Keys that end in
// `-bin` carry bytes, which travel as base64 (gRPC over HTTP/2, "Custom-Metadata").

package struct Metadata: Sendable, Hashable {
    package private(set) var fields: [HeaderPair] = []

    package struct HeaderPair: Sendable, Hashable {
        package let key: String
        /// As it travels: of a `-bin` key, base64.
        package let value: String
    }

    package init() {}

    /// - Parameter key: lowercase letters, digits, `_`, `-`, `.`; not one of gRPC's own (`grpc-…`).
    package mutating func add(_ key: String, _ value: String) {
        precondition(!key.hasSuffix("-bin"), "\(key) carries bytes")
        fields.append(HeaderPair(key: key, value: value))
    }

    package mutating func add(_ key: String, bytes: [UInt8]) {
        precondition(key.hasSuffix("-bin"), "a key of bytes ends in -bin, found \(key)")
        fields.append(HeaderPair(key: key, value: Base64.encode(bytes)))
    }

    /// Takes a field as it came over the wire.
    mutating func addRaw(_ key: String, _ value: String) {
        fields.append(HeaderPair(key: key, value: value))
    }

    package subscript(_ key: String) -> String? {
        fields.first { $0.key == key }?.value
    }

    /// The bytes of a `-bin` key, each value of a list that was joined with commas on its own; values
    /// that are no base64 are left out.
    package func bytes(_ key: String) -> [[UInt8]] {
        fields.filter { $0.key == key }.flatMap { field in
            field.value.utf8.split(separator: 0x2c).compactMap { Base64.decode($0) }
        }
    }
}

/// RFC 4648 base64: written without padding, read with or without, as the gRPC document asks.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 4 + 2) / 3)
        var bits: UInt32 = 0
        var held = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            held += 8
            while held >= 6 {
                held -= 6
                text.append(alphabet[Int(bits >> UInt32(held) & 63)])
            }
        }
        if held > 0 { text.append(alphabet[Int(bits << UInt32(6 - held) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }

    static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var held = 0
        var padded = false
        for character in text where character != 0x20 {
            if character == 0x3d {
                padded = true
                continue
            }
            guard !padded, let value = value(of: character) else { return nil }
            bits = bits << 6 | value
            held += 6
            if held >= 8 {
                held -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
            }
        }
        return held < 6 ? bytes : nil
    }

    private static func value(of character: UInt8) -> UInt32? {
        switch character {
        case 0x41...0x5a: UInt32(character - 0x41)
        case 0x61...0x7a: UInt32(character - 0x61 + 26)
        case 0x30...0x39: UInt32(character - 0x30 + 52)
        case 0x2b: 62
        case 0x2f: 63
        default: nil
        }
    }
}
