// How the log is laid down: segments of frames, each frame what one commit gathered.
//
// A segment is a file of a fixed size whose blocks were all written before it is used, since a sync that
// changes nothing but data costs a third less than one that makes a file grow (measured: 155 against 240
// microseconds). So a segment is full of old bytes, and a frame must prove that it is none of them: its
// checksum covers its segment's number, which no two segments share, and the directory's identity.
//
// After a crash the last frame may be torn, and everything in it was never acknowledged. But a frame that
// is unreadable while a later one says that the changes in it were durable by then has been damaged since,
// and to go on without it would be to forget what was promised.

import CZlib
import Coordination

enum LogFormat {
    /// "AKLG" in a file.
    static let magic: UInt32 = 0x474c_4b41
    static let headerBytes = 48
    /// Frames begin at multiples of this.
    static let alignment = 8

    static func name(ofSegment number: UInt32) -> String {
        let digits = String(number)
        return "log." + String(repeating: "0", count: max(0, 10 - digits.utf8.count)) + digits
    }

    static func number(ofSegment name: String) -> UInt32? {
        // The greatest number has no next one, and was never given.
        guard name.hasPrefix("log."), let number = UInt32(name.dropFirst(4)), number < .max else { return nil }
        return self.name(ofSegment: number) == name ? number : nil
    }

    static func padded(_ count: Int) -> Int { (count + alignment - 1) & ~(alignment - 1) }
}

/// What a frame says of itself.
struct FrameHeader: Equatable {
    /// The directory's, and the segment's number in it.
    var identity: UInt32
    var segment: UInt32
    /// The first revision in it; it holds all up to `last`.
    var first: Revision
    var last: Revision
    /// The last revision that was durable when the frame was written.
    var durable: Revision
    var payloadBytes: Int

    /// A frame that changes nothing and says what time it was: it ends before it begins.
    var isClock: Bool { last < first }
    static let clockBytes = 16

    /// What a clock frame says.
    func moment(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Moment {
        let instant = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int64.self))
        let wall = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: Int64.self))
        return Moment(instant: Instant(nanoseconds: instant), wall: WallTime(nanoseconds: wall))
    }

    /// Puts the header before a payload that leaves room for it.
    func seal(_ frame: UnsafeMutableRawBufferPointer) {
        frame.storeBytes(of: LogFormat.magic.littleEndian, toByteOffset: 0, as: UInt32.self)
        frame.storeBytes(of: UInt32(payloadBytes).littleEndian, toByteOffset: 8, as: UInt32.self)
        frame.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
        frame.storeBytes(of: identity.littleEndian, toByteOffset: 16, as: UInt32.self)
        frame.storeBytes(of: segment.littleEndian, toByteOffset: 20, as: UInt32.self)
        frame.storeBytes(of: first.value.littleEndian, toByteOffset: 24, as: UInt64.self)
        frame.storeBytes(of: last.value.littleEndian, toByteOffset: 32, as: UInt64.self)
        frame.storeBytes(of: durable.value.littleEndian, toByteOffset: 40, as: UInt64.self)
        let sum = Self.checksum(UnsafeRawBufferPointer(frame), payloadBytes)
        frame.storeBytes(of: sum.littleEndian, toByteOffset: 4, as: UInt32.self)
    }

    /// The whole frame that begins at `offset`; nil when there is none of this segment.
    init?(_ bytes: UnsafeRawBufferPointer, at offset: Int, identity: UInt32, segment: UInt32) {
        guard offset + LogFormat.headerBytes <= bytes.count else { return nil }
        func word<Value: FixedWidthInteger>(_ place: Int, _ type: Value.Type) -> Value {
            Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + place, as: Value.self))
        }
        guard word(0, UInt32.self) == LogFormat.magic, word(16, UInt32.self) == identity,
            word(20, UInt32.self) == segment
        else { return nil }
        let payload = Int(word(8, UInt32.self))
        guard payload <= bytes.count - offset - LogFormat.headerBytes else { return nil }
        let whole = UnsafeRawBufferPointer(
            rebasing: bytes[offset..<offset + LogFormat.headerBytes + payload])
        guard Self.checksum(whole, payload) == word(4, UInt32.self) else { return nil }
        let isClock = word(32, UInt64.self) < word(24, UInt64.self)
        guard !isClock || payload == Self.clockBytes else { return nil }
        self.identity = identity
        self.segment = segment
        first = Revision(word(24, UInt64.self))
        last = Revision(word(32, UInt64.self))
        durable = Revision(word(40, UInt64.self))
        payloadBytes = payload
    }

    init(identity: UInt32, segment: UInt32, first: Revision, last: Revision, durable: Revision, payloadBytes: Int) {
        self.identity = identity
        self.segment = segment
        self.first = first
        self.last = last
        self.durable = durable
        self.payloadBytes = payloadBytes
    }

    /// Of all that follows the checksum.
    private static func checksum(_ frame: UnsafeRawBufferPointer, _ payloadBytes: Int) -> UInt32 {
        let covered = UnsafeRawBufferPointer(rebasing: frame[8..<LogFormat.headerBytes + payloadBytes])
        let bytes = covered.baseAddress!.assumingMemoryBound(to: UInt8.self)
        return UInt32(truncatingIfNeeded: crc32_z(0, bytes, covered.count))
    }
}
