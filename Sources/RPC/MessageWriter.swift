// gRPC's framing of messages, the other way round from `MessageReader`.

extension ByteQueue {
    /// Below this many bytes gzip costs more than it saves.
    private static let worthCompressing = 512

    /// Appends a message of `byteCount` bytes, which `write` lays down, behind its prefix.
    mutating func appendMessage(byteCount: Int, gzip: Bool, _ write: (UnsafeMutableRawPointer) -> Void) {
        guard gzip, byteCount >= Self.worthCompressing else {
            appendPrefix(compressed: 0, length: byteCount)
            return write(extend(by: byteCount))
        }
        var message = ByteQueue()
        write(message.extend(by: byteCount))
        var compressed = ByteQueue()
        Gzip.compress(message.bytes, into: &compressed)
        appendPrefix(compressed: 1, length: compressed.count)
        append(compressed.bytes)
    }

    mutating func appendMessage(_ bytes: UnsafeRawBufferPointer, gzip: Bool) {
        appendMessage(byteCount: bytes.count, gzip: gzip) { destination in
            if let source = bytes.baseAddress { destination.copyMemory(from: source, byteCount: bytes.count) }
        }
    }

    private mutating func appendPrefix(compressed: UInt8, length: Int) {
        let prefix = extend(by: MessageReader.prefixBytes)
        prefix.storeBytes(of: compressed, as: UInt8.self)
        prefix.storeBytes(of: UInt32(length).bigEndian, toByteOffset: 1, as: UInt32.self)
    }
}
