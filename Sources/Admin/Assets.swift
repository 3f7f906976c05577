// The files of dashboard/, as they are served. Each has a tag of its content, so that a browser that has it is told
// so in a few bytes, and has the new one at once after an update.

import CDashboard
import NIOCore

struct Asset: Sendable {
    let type: String
    let body: ByteBuffer
    /// An entity tag (RFC 9110, section 8.8.3).
    let tag: String

    static let all: [String: Asset] = {
        var assets: [String: Asset] = [:]
        for file in UnsafeBufferPointer(start: cdashboard_files, count: cdashboard_count) {
            let bytes = UnsafeBufferPointer(start: file.bytes, count: file.size)
            assets[String(cString: file.name)] = Asset(
                type: String(cString: file.type), body: ByteBuffer(bytes: bytes), tag: tag(of: bytes))
        }
        return assets
    }()

    /// FNV-1a, 64 bits (draft-eastlake-fnv): nobody attacks his own program's files.
    private static func tag(of bytes: UnsafeBufferPointer<UInt8>) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return "\"\(String(hash, radix: 16))\""
    }
}
