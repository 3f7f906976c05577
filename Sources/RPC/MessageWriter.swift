// gRPC's framing of messages, the other way round from `MessageReader`.

extension ByteQueue {
    /// Below this many bytes gzip costs more than it saves.
    static let worthCompressing = 512

    /// Appends a message behind its prefix.
    mutating func appendMessage(_ bytes: UnsafeRawBufferPointer, gzip: Bool) {
        guard gzip, bytes.count >= Self.worthCompressing else {
            appendPrefix(compressed: 0, length: bytes.count)
            return append(bytes)
        }
        var compressed = ByteQueue()
        Gzip.compress(bytes, into: &compressed)
        appendPrefix(compressed: 1, length: compressed.count)
        append(compressed.bytes)
    }

    private mutating func appendPrefix(compressed: UInt8, length: Int) {
        let prefix = extend(by: MessageReader.prefixBytes)
        prefix.storeBytes(of: compressed, as: UInt8.self)
        prefix.storeBytes(of: UInt32(length).bigEndian, toByteOffset: 1, as: UInt32.self)
    }
}
