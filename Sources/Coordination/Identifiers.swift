// A type for each thing that has a name or a number, so that none is passed for another.

/// A name chosen by a client, compared by its UTF-8 bytes.
///
/// Swift's `String` compares by canonical equivalence, under which two different byte strings can be
/// one task. On the wire, in the journal and in every other client they are two, so they are two here.
package protocol Name: Hashable, Comparable, Sendable, CustomStringConvertible {
    var text: String { get }
    init(_ text: String)
}

extension Name {
    @inlinable package static func == (left: Self, right: Self) -> Bool {
        left.text.hasSameBytes(as: right.text)
    }

    @inlinable package func hash(into hasher: inout Hasher) {
        let hashed: Void? = text.utf8.withContiguousStorageIfAvailable { bytes in
            hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
        }
        if hashed == nil {
            for byte in text.utf8 { hasher.combine(byte) }
        }
    }

    @inlinable package static func < (left: Self, right: Self) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    @inlinable package var isEmpty: Bool { text.isEmpty }
    package var description: String { text }
}

extension String {
    /// Whether both have the same UTF-8 bytes; `==` would also equate canonically equivalent ones.
    @inlinable package func hasSameBytes(as other: String) -> Bool {
        let same = utf8.withContiguousStorageIfAvailable { mine in
            other.utf8.withContiguousStorageIfAvailable { theirs in
                UnsafeRawBufferPointer(mine).hasSameBytes(as: UnsafeRawBufferPointer(theirs))
            }
        }
        return (same ?? nil) ?? utf8.elementsEqual(other.utf8)
    }
}

extension UnsafeRawBufferPointer {
    /// Eight bytes a step: names are compared at every lookup.
    @inlinable func hasSameBytes(as other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        guard count >= 8 else { return elementsEqual(other) }
        var offset = 0
        while offset < count {
            // The last step goes back a little, over bytes that were compared before.
            let start = Swift.min(offset, count &- 8)
            let mine = loadUnaligned(fromByteOffset: start, as: UInt64.self)
            if mine != other.loadUnaligned(fromByteOffset: start, as: UInt64.self) { return false }
            offset &+= 8
        }
        return true
    }
}

/// What a lease is on: any non-empty text of the client's, or the id of a task of the queue.
package struct TaskID: Name {
    package let text: String
    @inlinable package init(_ text: String) { self.text = text }
}

/// An election's name.
package struct GroupName: Name {
    package let text: String
    @inlinable package init(_ text: String) { self.text = text }
}

/// A policy's name.
package struct PolicyID: Name {
    package let text: String
    @inlinable package init(_ text: String) { self.text = text }
}

/// A client's name for one attempt of his, the same on every retry. About 128 random bits.
package struct RequestID: Name {
    package let text: String
    @inlinable package init(_ text: String) { self.text = text }
}

/// An agent: 128 random bits, 32 lowercase hex digits as text.
package struct AgentID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    @inlinable package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads 32 lowercase hex digits; nil for anything else, which then is no agent's id.
    package init?(hex: UnsafeBufferPointer<UInt8>) {
        guard hex.count == 32 else { return nil }
        let bytes = UnsafeRawBufferPointer(hex)
        guard let first = Self.read(bytes, at: 0), let second = Self.read(bytes, at: 8),
            let third = Self.read(bytes, at: 16), let fourth = Self.read(bytes, at: 24)
        else { return nil }
        self.init(high: first &<< 32 | second, low: third &<< 32 | fourth)
    }

    /// Eight digits at once, each in a byte of its own: a letter is its low four bits and nine.
    private static func read(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt64? {
        let digits = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        let isLetter = digits &>> 6 & 0x0101_0101_0101_0101
        var nibbles = digits & 0x0f0f_0f0f_0f0f_0f0f &+ isLetter &* 9
        // What is no digit is found by writing the digits again.
        guard nibbles & 0xf0f0_f0f0_f0f0_f0f0 == 0, write(nibbles) == digits else { return nil }
        nibbles = (nibbles | nibbles &>> 4) & 0x00ff_00ff_00ff_00ff
        nibbles = (nibbles | nibbles &>> 8) & 0x0000_ffff_0000_ffff
        return (nibbles | nibbles &>> 16) & 0xffff_ffff
    }

    /// Eight digits of eight bytes, each below 16.
    private static func write(_ nibbles: UInt64) -> UInt64 {
        let isLetter = (nibbles &+ 0x0606_0606_0606_0606) &>> 4 & 0x0101_0101_0101_0101
        return nibbles &+ 0x3030_3030_3030_3030 &+ isLetter &* 0x27
    }

    package init?(_ text: String) {
        var text = text
        guard let id = text.withUTF8({ AgentID(hex: $0) }) else { return nil }
        self = id
    }

    /// Writes the 32 digits to `destination`, which has room for them.
    package func writeHex(to destination: UnsafeMutablePointer<UInt8>) {
        let words = [high &>> 32, high & 0xffff_ffff, low &>> 32, low & 0xffff_ffff] as InlineArray<4, UInt64>
        for index in 0..<4 {
            var nibbles = words[index]
            nibbles = (nibbles | nibbles &<< 16) & 0x0000_ffff_0000_ffff
            nibbles = (nibbles | nibbles &<< 8) & 0x00ff_00ff_00ff_00ff
            nibbles = (nibbles | nibbles &<< 4) & 0x0f0f_0f0f_0f0f_0f0f
            UnsafeMutableRawPointer(destination + index &* 8)
                .storeBytes(of: Self.write(nibbles).bigEndian, as: UInt64.self)
        }
    }

    package var description: String {
        String(unsafeUninitializedCapacity: 32) { buffer in
            writeHex(to: buffer.baseAddress!)
            return 32
        }
    }

    @inlinable package static func < (left: AgentID, right: AgentID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

/// The number that a resource checks to turn away a worker whose lease has passed to another.
///
/// One counter for the whole daemon: strictly increasing over all tasks, never reused, never 0.
package struct FencingToken: Hashable, Comparable, Sendable {
    package let value: UInt64

    @inlinable package init(_ value: UInt64) { self.value = value }

    @inlinable package static func < (left: FencingToken, right: FencingToken) -> Bool {
        left.value < right.value
    }
}

/// How often an election has changed its leader; 1 for the first.
package struct Term: Hashable, Comparable, Sendable {
    package let value: UInt64

    @inlinable package init(_ value: UInt64) { self.value = value }

    @inlinable package static func < (left: Term, right: Term) -> Bool {
        left.value < right.value
    }
}

/// An event's number: one counter for all topics, up by exactly one for each event; 1 is the first.
package struct Sequence: Hashable, Comparable, Sendable {
    package let value: UInt64

    @inlinable package init(_ value: UInt64) { self.value = value }

    /// Before the first event.
    package static let zero = Sequence(0)

    @inlinable package static func < (left: Sequence, right: Sequence) -> Bool {
        left.value < right.value
    }
}

/// Counts the commands that changed anything, from 1, over restarts too: a point in the journal.
package struct Revision: Hashable, Comparable, Sendable {
    package let value: UInt64

    @inlinable package init(_ value: UInt64) { self.value = value }

    /// Before the first change; nothing waits for it.
    package static let zero = Revision(0)

    @inlinable package static func < (left: Revision, right: Revision) -> Bool {
        left.value < right.value
    }
}

/// A call that waits inside the core for a lease or a task; given out by the core, never reused.
package struct WaiterID: Hashable, Sendable {
    package let value: UInt64

    @inlinable package init(_ value: UInt64) { self.value = value }
}
