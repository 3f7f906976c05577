// gRPC's framing of messages: a flag byte, a length in four bytes, the message.
//
// A message that is too long is told from its prefix, before any of it is kept.

struct MessageReader: ~Copyable {
    static let prefixBytes = 5

    private var buffer = ByteQueue()
    /// A compressed message, inflated.
    private var inflated = ByteQueue()
    /// The bytes of the message last read, still at the front of `buffer`.
    private var taken = 0

    /// Bytes that are kept and not read yet.
    var bufferedBytes: Int { buffer.count &- taken }

    enum Next {
        /// Valid until the reader changes.
        case message(UnsafeRawBufferPointer)
        case incomplete
        case failed(Status)
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        buffer.append(bytes)
    }

    /// The next message that is complete.
    mutating func next(encoding: MessageEncoding, limit: Int) -> Next {
        if taken > 0 {
            buffer.removeFirst(taken)
            taken = 0
        }
        let bytes = buffer.bytes
        guard bytes.count >= Self.prefixBytes else { return .incomplete }
        let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
        guard bytes[0] <= 1 else {
            return .failed(Status(.internal, "a message's first byte must be 0 or 1 (compressed), found \(bytes[0])"))
        }
        guard length <= limit else {
            return .failed(Self.tooLong(length, limit: limit))
        }
        guard bytes.count >= Self.prefixBytes + length else { return .incomplete }
        let message = UnsafeRawBufferPointer(rebasing: bytes[Self.prefixBytes..<Self.prefixBytes + length])
        taken = Self.prefixBytes + length
        guard bytes[0] == 1 else { return .message(message) }

        guard encoding == .gzip else {
            return .failed(Status(.internal, "a message is marked as compressed, but grpc-encoding names no encoding"))
        }
        inflated.reset(keeping: 65_536)
        do throws(Gzip.Failure) {
            try Gzip.decompress(message, into: &inflated, limit: limit)
        } catch {
            switch error {
            case .tooLarge:
                return .failed(
                    Status(
                        .resourceExhausted, "a message may have \(limit) bytes at the most, also when decompressed"))
            case .broken:
                return .failed(Status(.internal, "a message is not valid gzip"))
            }
        }
        return .message(inflated.bytes)
    }

    /// Of a call with one message, as soon as it can be told: too long, or more than one.
    func firstMessageProblem(limit: Int) -> Status? {
        let bytes = buffer.bytes
        guard bytes.count >= Self.prefixBytes else { return nil }
        let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
        if length > limit { return Self.tooLong(length, limit: limit) }
        return bytes.count > Self.prefixBytes + length ? ServerCall.notOneMessage : nil
    }

    private static func tooLong(_ length: Int, limit: Int) -> Status {
        Status(.resourceExhausted, "a message may have \(limit) bytes at the most, this one has \(length)")
    }

    /// Whether part of a message is left.
    var hasRest: Bool { buffer.count > taken }

    mutating func reset() {
        taken = 0
        buffer.reset(keeping: 4_096)
        inflated.reset(keeping: 0)
    }
}

package enum MessageEncoding: Sendable {
    case identity
    case gzip
}
