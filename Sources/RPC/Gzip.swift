// gzip, by zlib (RFC 1952).

import CZlib

enum Gzip {
    enum Failure: Error {
        case broken
        /// More than the limit comes out: a bomb, or a message that is too long.
        case tooLarge
    }

    /// 15 bits of window, and 16 for the gzip format instead of zlib's own (zlib.h, inflateInit2).
    private static let windowBits: Int32 = 15 + 16
    private static let chunk = 16_384

    /// Appends what is compressed in `input` to `output`, `limit` bytes at the most.
    static func decompress(
        _ input: UnsafeRawBufferPointer, into output: inout ByteQueue, limit: Int
    ) throws(Failure) {
        var stream = z_stream()
        guard inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw .broken
        }
        defer { inflateEnd(&stream) }
        stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.avail_in = UInt32(input.count)
        var produced = 0
        while true {
            stream.next_out = output.extend(by: chunk).assumingMemoryBound(to: UInt8.self)
            stream.avail_out = UInt32(chunk)
            let status = inflate(&stream, Z_NO_FLUSH)
            output.truncate(by: Int(stream.avail_out))
            produced += chunk - Int(stream.avail_out)
            guard produced <= limit else { throw .tooLarge }
            switch status {
            case Z_STREAM_END:
                guard stream.avail_in == 0 else { throw .broken }
                return
            case Z_OK where stream.avail_in > 0 || stream.avail_out == 0:
                continue
            default:
                throw .broken
            }
        }
    }

    /// Appends `input`, compressed, to `output`.
    static func compress(_ input: UnsafeRawBufferPointer, into output: inout ByteQueue) {
        var stream = z_stream()
        let ready = deflateInit2_(
            &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        precondition(ready == Z_OK, "out of memory")
        defer { deflateEnd(&stream) }
        let bound = Int(deflateBound(&stream, UInt(input.count)))
        stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.extend(by: bound).assumingMemoryBound(to: UInt8.self)
        stream.avail_out = UInt32(bound)
        let status = deflate(&stream, Z_FINISH)
        precondition(status == Z_STREAM_END, "deflateBound was too small")
        output.truncate(by: Int(stream.avail_out))
    }
}
