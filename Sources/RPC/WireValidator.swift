// A walk over a message's bytes before protobuf-c sees them.
//
// protobuf-c takes any bytes for text, cuts text off at U+0000 (it hands out C strings), and makes an
// allocation of each field: two bytes on the wire can become a hundred in memory. This walk checks the
// text, and counts the fields, first. It follows the descriptors, so it knows nothing of the messages.

import CProtobufC

struct WireValidator {
    private var fieldsLeft: Int
    private let maxFields: Int
    /// Deeper than any message of ours; a schema can't recurse without end.
    private static let maxDepth = 32

    init(maxFields: Int) {
        fieldsLeft = maxFields
        self.maxFields = maxFields
    }

    mutating func check(
        _ bytes: UnsafeRawBufferPointer, as type: UnsafePointer<ProtobufCMessageDescriptor>, depth: Int = 0
    ) throws(Status) {
        guard depth <= Self.maxDepth else { throw broken(type, "it is nested too deeply") }
        var reader = WireReader(bytes)
        while !reader.isAtEnd {
            fieldsLeft &-= 1
            guard fieldsLeft >= 0 else {
                throw Status(.resourceExhausted, "a message may have \(maxFields) fields at the most")
            }
            guard let tag = reader.varint(), tag >> 3 != 0, tag >> 3 < 1 << 29 else {
                throw broken(type, "a field's tag is broken at byte \(reader.offset)")
            }
            let field = Self.field(UInt32(truncatingIfNeeded: tag >> 3), of: type)
            switch UInt32(tag & 7) {
            case PROTOBUF_C_WIRE_TYPE_VARINT.rawValue:
                guard reader.varint() != nil else { throw cutOff(type, field) }
            case PROTOBUF_C_WIRE_TYPE_64BIT.rawValue:
                guard reader.skip(8) else { throw cutOff(type, field) }
            case PROTOBUF_C_WIRE_TYPE_32BIT.rawValue:
                guard reader.skip(4) else { throw cutOff(type, field) }
            case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED.rawValue:
                guard let length = reader.varint(), length <= UInt64(bytes.count),
                    let value = reader.take(Int(length))
                else { throw cutOff(type, field) }
                if let field { try check(value, of: field, in: type, depth: depth) }
            default:
                throw broken(type, "a field has wire type \(tag & 7), which proto3 does not use")
            }
        }
    }

    private mutating func check(
        _ value: UnsafeRawBufferPointer, of field: UnsafePointer<ProtobufCFieldDescriptor>,
        in type: UnsafePointer<ProtobufCMessageDescriptor>, depth: Int
    ) throws(Status) {
        switch field.pointee.type {
        case PROTOBUF_C_TYPE_STRING:
            switch UTF8Check.check(value) {
            case .valid: break
            case .zero: throw textError(type, field, "contains U+0000")
            case .invalid(let offset): throw textError(type, field, "is not valid UTF-8 at byte \(offset)")
            }
        case PROTOBUF_C_TYPE_MESSAGE:
            try check(
                value, as: field.pointee.descriptor.assumingMemoryBound(to: ProtobufCMessageDescriptor.self),
                depth: depth + 1)
        default:
            break
        }
    }

    /// Messages have a dozen fields at the most: a walk is faster than a search.
    private static func field(
        _ number: UInt32, of type: UnsafePointer<ProtobufCMessageDescriptor>
    ) -> UnsafePointer<ProtobufCFieldDescriptor>? {
        guard let fields = type.pointee.fields else { return nil }
        for index in 0..<Int(type.pointee.n_fields) where fields[index].id == number {
            return fields + index
        }
        return nil
    }

    private func cutOff(
        _ type: UnsafePointer<ProtobufCMessageDescriptor>, _ field: UnsafePointer<ProtobufCFieldDescriptor>?
    ) -> Status {
        broken(type, field.map { "\(String(cString: $0.pointee.name)) is cut off" } ?? "a field is cut off")
    }

    private func broken(_ type: UnsafePointer<ProtobufCMessageDescriptor>, _ why: String) -> Status {
        Status(.invalidArgument, "the request is no valid \(String(cString: type.pointee.name)): \(why)")
    }

    private func textError(
        _ type: UnsafePointer<ProtobufCMessageDescriptor>, _ field: UnsafePointer<ProtobufCFieldDescriptor>,
        _ why: String
    ) -> Status {
        Status(
            .invalidArgument,
            "\(String(cString: type.pointee.short_name)).\(String(cString: field.pointee.name)) \(why)")
    }
}

/// The protobuf wire format's elements, with bounds.
private struct WireReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while offset < bytes.count, shift < 64 {
            let byte = bytes[offset]
            offset &+= 1
            value |= UInt64(byte & 0x7f) &<< shift
            if byte < 0x80 { return value }
            shift &+= 7
        }
        return nil
    }

    mutating func skip(_ count: Int) -> Bool {
        guard bytes.count &- offset >= count else { return false }
        offset &+= count
        return true
    }

    mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
        let start = offset
        guard skip(count) else { return nil }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<offset])
    }
}

/// Whether bytes are UTF-8 (RFC 3629) without U+0000.
enum UTF8Check {
    enum Result: Equatable {
        case valid
        case zero
        case invalid(at: Int)
    }

    static func check(_ bytes: UnsafeRawBufferPointer) -> Result {
        var index = 0
        let count = bytes.count
        while index < count {
            // Eight bytes at once: none has its top bit set, and none is zero.
            while count &- index >= 8 {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                let high: UInt64 = 0x8080_8080_8080_8080
                guard word & high == 0, (word &- 0x0101_0101_0101_0101) & ~word & high == 0 else { break }
                index &+= 8
            }
            guard index < count else { break }
            let lead = bytes[index]
            if lead == 0 { return .zero }
            if lead < 0x80 {
                index &+= 1
                continue
            }
            guard let length = sequenceLength(bytes, at: index) else { return .invalid(at: index) }
            index &+= length
        }
        return .valid
    }

    /// The length of the well-formed sequence of two bytes or more at `index` (Unicode 15, table 3-7).
    private static func sequenceLength(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Int? {
        let length: Int
        let second: ClosedRange<UInt8>
        switch bytes[index] {
        case 0xc2...0xdf: (length, second) = (2, 0x80...0xbf)
        case 0xe0: (length, second) = (3, 0xa0...0xbf)
        case 0xe1...0xec, 0xee...0xef: (length, second) = (3, 0x80...0xbf)
        case 0xed: (length, second) = (3, 0x80...0x9f)
        case 0xf0: (length, second) = (4, 0x90...0xbf)
        case 0xf1...0xf3: (length, second) = (4, 0x80...0xbf)
        case 0xf4: (length, second) = (4, 0x80...0x8f)
        default: return nil
        }
        guard bytes.count - index >= length, second.contains(bytes[index + 1]) else { return nil }
        for position in 2..<max(2, length) where bytes[index + position] & 0xc0 != 0x80 { return nil }
        return length
    }
}
