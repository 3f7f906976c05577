// Values as bytes, little-endian: what the journal's log and the payloads in its database are made of.

/// Appends values to bytes.
package struct ByteWriter: Sendable {
    package var bytes: [UInt8] = []

    package init() {}

    @inline(__always)
    package mutating func byte(_ value: UInt8) { bytes.append(value) }

    @inline(__always)
    package mutating func fixed<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    package mutating func text(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            varint(UInt64(bytes.count))
            self.bytes.append(contentsOf: UnsafeRawBufferPointer(bytes))
        }
    }

    package mutating func blob(_ blob: [UInt8]) {
        varint(UInt64(blob.count))
        bytes.append(contentsOf: blob)
    }

    package mutating func list<Value>(_ values: [Value], _ write: (inout ByteWriter, Value) -> Void) {
        varint(UInt64(values.count))
        for value in values { write(&self, value) }
    }

    package mutating func optional<Value>(_ value: Value?, _ write: (inout ByteWriter, Value) -> Void) {
        byte(value == nil ? 0 : 1)
        if let value { write(&self, value) }
    }
}

/// Takes values from bytes. Bytes that end too early, or say what cannot be, are an error and no trap: what
/// is read may have been damaged.
package struct ByteReader: ~Copyable {
    /// The bytes are not what a writer made.
    package struct Malformed: Error {}

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    package var isAtEnd: Bool { position == bytes.count }
    package var remaining: Int { bytes.count - position }

    package mutating func byte() throws(Malformed) -> UInt8 {
        guard position < bytes.count else { throw Malformed() }
        defer { position += 1 }
        return bytes[position]
    }

    package mutating func fixed<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(Malformed) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw Malformed() }
        defer { position += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Value.self))
    }

    package mutating func varint() throws(Malformed) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            let next = try byte()
            value |= UInt64(next & 0x7f) << shift
            if next < 0x80 { return value }
        }
        throw Malformed()
    }

    package mutating func count() throws(Malformed) -> Int {
        let count = try varint()
        // Nothing has an encoding shorter than a byte: a greater count is damage, and would be allocated.
        guard count <= UInt64(remaining) else { throw Malformed() }
        return Int(count)
    }

    package mutating func slice() throws(Malformed) -> UnsafeRawBufferPointer {
        try slice(of: try count())
    }

    package mutating func slice(of count: Int) throws(Malformed) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw Malformed() }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    package mutating func text() throws(Malformed) -> String {
        guard let text = String(validating: try slice(), as: UTF8.self) else { throw Malformed() }
        return text
    }

    package mutating func blob() throws(Malformed) -> [UInt8] { [UInt8](try slice()) }

    package mutating func list<Value>(
        _ read: (inout ByteReader) throws(Malformed) -> Value
    ) throws(Malformed) -> [Value] {
        var values: [Value] = []
        for _ in 0..<(try count()) { values.append(try read(&self)) }
        return values
    }

    package mutating func optional<Value>(
        _ read: (inout ByteReader) throws(Malformed) -> Value
    ) throws(Malformed) -> Value? {
        switch try byte() {
        case 0: return nil
        case 1: return try read(&self)
        default: throw Malformed()
        }
    }
}
