// The trace that a call belongs to, as W3C Trace Context (level 1, section 3.2) has it in the field `traceparent`:
//
//     00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//
// version, trace id, the caller's span, flags. It is taken up and told again, never acted on: the daemon samples
// nothing and makes no spans of its own. What is malformed is as if it were not there, as the recommendation demands:
// a call must not fail by what merely accompanies it.

package struct TraceContext: Hashable, Sendable {
    /// 128 bits, not all zero.
    package let traceHigh: UInt64
    package let traceLow: UInt64
    /// The caller's span; not zero.
    package let parent: UInt64
    /// Bit 0: the caller may have recorded the trace.
    package let flags: UInt8

    /// The length of a `traceparent` of version 00, in bytes, which every later version begins with.
    private static let bytes = 55

    /// Nil when any of it can't be.
    package init?(traceHigh: UInt64, traceLow: UInt64, parent: UInt64, flags: UInt8) {
        guard traceHigh | traceLow != 0, parent != 0 else { return nil }
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.parent = parent
        self.flags = flags
    }

    /// Nil when the text is no `traceparent`. Of a version later than 00 what is known is read, which is its beginning,
    /// and of the flags only the one that every version has.
    package init?(_ text: String) {
        var text = text
        let parsed = text.withUTF8 { bytes -> TraceContext? in
            guard bytes.count >= Self.bytes else { return nil }
            let dash = UInt8(ascii: "-")
            guard bytes[2] == dash, bytes[35] == dash, bytes[52] == dash,
                let version = Self.hex(bytes[0..<2]), version != 0xff,
                let traceHigh = Self.hex(bytes[3..<19]), let traceLow = Self.hex(bytes[19..<35]),
                let parent = Self.hex(bytes[36..<52]), let flags = Self.hex(bytes[53..<55])
            else { return nil }
            if bytes.count > Self.bytes, version == 0 || bytes[Self.bytes] != dash { return nil }
            return TraceContext(
                traceHigh: traceHigh, traceLow: traceLow, parent: parent,
                flags: UInt8(version == 0 ? flags : flags & 1))
        }
        guard let parsed else { return nil }
        self = parsed
    }

    /// Lowercase digits only (section 3.2.2).
    private static func hex(_ digits: Slice<UnsafeBufferPointer<UInt8>>) -> UInt64? {
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }

    /// 32 hexadecimal digits.
    package var traceID: String { Self.digits(traceHigh, 16) + Self.digits(traceLow, 16) }

    /// As `traceparent`, in version 00.
    package var text: String { "00-\(traceID)-\(Self.digits(parent, 16))-\(Self.digits(UInt64(flags), 2))" }

    private static func digits(_ value: UInt64, _ count: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: count - digits.count) + digits
    }
}
