// Counts the frames that arrive, by their nine-byte headers, before nghttp2 sees them.
//
// nghttp2 drops frames of unknown types, and frames of streams that are over, without a word to us: a
// flood of those would cost CPU and never be noticed. So every frame is counted here, whatever becomes
// of it, and what turns out to be useful is forgiven by the session.

struct FrameMeter {
    private static let headerBytes = 9
    /// The client's connection preface, ahead of its first frame (RFC 9113, 3.4).
    private static let prefaceBytes = 24

    /// Bytes to pass over: the rest of a payload, or of the preface.
    private var skip: Int
    /// The frame header that is being read: its bytes so far, and the length that they tell.
    private var headerCount = 0
    private var payloadLength = 0

    init(expectsPreface: Bool) {
        skip = expectsPreface ? Self.prefaceBytes : 0
    }

    /// - Returns: how many frame headers were completed by these bytes.
    mutating func count(_ bytes: UnsafeRawBufferPointer) -> Int {
        var frames = 0
        var index = 0
        while index < bytes.count {
            if skip > 0 {
                let passed = min(skip, bytes.count &- index)
                skip &-= passed
                index &+= passed
                continue
            }
            if headerCount == 0, bytes.count &- index >= Self.headerBytes {
                // The usual case: the length, in the first three bytes, is all there.
                let word = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self))
                skip = Int(word &>> 8)
                index &+= Self.headerBytes
                frames &+= 1
                continue
            }
            if headerCount < 3 { payloadLength = payloadLength &<< 8 | Int(bytes[index]) }
            headerCount &+= 1
            index &+= 1
            if headerCount == Self.headerBytes {
                frames &+= 1
                skip = payloadLength
                headerCount = 0
                payloadLength = 0
            }
        }
        return frames
    }
}
