// The answer to AcquireLease, laid down byte by byte.
//
// It is the daemon's most frequent answer, and five messages deep in pointers for protobuf-c, which
// measures each of them twice and writes what it measured: 3 000 of a call's 24 000 instructions. The
// sizes are known here at a glance. The fields and their numbers are those of agentkeeper.proto; the
// contract suite reads every one of them with another protobuf implementation.

import Coordination

struct LeaseReply {
    private static let idBytes = 32

    private let lease: Lease
    private let acquired: Bool
    private let task: Int
    private let acquiredAt: TimestampField
    private let expiresAt: TimestampField
    /// The size of the Lease message.
    private let leaseBytes: Int

    init(_ lease: Lease, acquired: Bool) {
        self.lease = lease
        self.acquired = acquired
        task = lease.task.text.utf8.count
        acquiredAt = TimestampField(lease.acquiredAt)
        expiresAt = TimestampField(lease.expiresAt)
        leaseBytes =
            WireCursor.lengthPrefixed(task) + WireCursor.lengthPrefixed(Self.idBytes)
            + WireCursor.lengthPrefixed(1 + WireCursor.varintBytes(lease.token.value))
            + WireCursor.lengthPrefixed(acquiredAt.byteCount) + WireCursor.lengthPrefixed(expiresAt.byteCount)
    }

    var byteCount: Int { WireCursor.lengthPrefixed(leaseBytes) + (acquired ? 2 : 0) }

    /// Writes AcquireLeaseResponse; there is room for `byteCount` bytes.
    func write(to destination: UnsafeMutableRawPointer) {
        var cursor = WireCursor(destination)
        cursor.message(field: 1, bytes: leaseBytes)
        cursor.text(field: 1, lease.task.text, bytes: task)
        cursor.message(field: 2, bytes: Self.idBytes)
        cursor.id(lease.holder)
        cursor.message(field: 3, bytes: 1 + WireCursor.varintBytes(lease.token.value))
        cursor.varint(field: 1, lease.token.value)
        acquiredAt.write(field: 4, to: &cursor)
        expiresAt.write(field: 5, to: &cursor)
        if acquired { cursor.varint(field: 2, 1) }
        assert(cursor.position == destination + byteCount)
    }
}

/// A google.protobuf.Timestamp; parts that are zero are left out, as proto3 has it.
private struct TimestampField {
    private let seconds: UInt64
    private let nanos: UInt64
    let byteCount: Int

    init(_ time: WallTime) {
        let (seconds, nanos) = time.secondsAndNanos
        self.seconds = UInt64(bitPattern: seconds)
        self.nanos = UInt64(nanos)
        byteCount =
            (seconds == 0 ? 0 : 1 + WireCursor.varintBytes(self.seconds))
            + (nanos == 0 ? 0 : 1 + WireCursor.varintBytes(self.nanos))
    }

    func write(field: UInt8, to cursor: inout WireCursor) {
        cursor.message(field: field, bytes: byteCount)
        if seconds != 0 { cursor.varint(field: 1, seconds) }
        if nanos != 0 { cursor.varint(field: 2, nanos) }
    }
}

/// Where the next byte goes. Field numbers are below 16, so that a tag is one byte.
private struct WireCursor {
    private(set) var position: UnsafeMutableRawPointer

    init(_ start: UnsafeMutableRawPointer) { position = start }

    static func varintBytes(_ value: UInt64) -> Int {
        (70 &- (value | 1).leadingZeroBitCount) / 7
    }

    /// A tag, a length, and so many bytes.
    static func lengthPrefixed(_ bytes: Int) -> Int {
        1 + varintBytes(UInt64(bytes)) + bytes
    }

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            byte(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        byte(UInt8(truncatingIfNeeded: rest))
    }

    mutating func varint(field: UInt8, _ value: UInt64) {
        byte(field &<< 3)
        varint(value)
    }

    /// What comes before the bytes of a message or a text.
    mutating func message(field: UInt8, bytes: Int) {
        byte(field &<< 3 | 2)
        varint(UInt64(bytes))
    }

    mutating func text(field: UInt8, _ text: String, bytes: Int) {
        message(field: field, bytes: bytes)
        var text = text
        text.withUTF8 { position.copyMemory(from: UnsafeRawPointer($0.baseAddress!), byteCount: bytes) }
        position += bytes
    }

    mutating func id(_ id: AgentID) {
        id.writeHex(to: position.assumingMemoryBound(to: UInt8.self))
        position += 32
    }

    private mutating func byte(_ value: UInt8) {
        position.storeBytes(of: value, as: UInt8.self)
        position += 1
    }
}

extension WallTime {
    /// As protobuf splits it: the nanoseconds count forward, also before 1970.
    var secondsAndNanos: (seconds: Int64, nanos: Int32) {
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return rest < 0 ? (seconds - 1, Int32(rest + 1_000_000_000)) : (seconds, Int32(rest))
    }
}
