// Header fields on their way to nghttp2.

import CNghttp2

/// A list of fields that is sent again and again: laid out once, for the life of the process, and
/// neither copied by us nor by nghttp2 (NGHTTP2_NV_FLAG_NO_COPY_NAME and _VALUE).
package final class PreparedHeaders: @unchecked Sendable {
    // Immutable after init, which is what makes sharing it between threads sound.
    let fields: UnsafeMutableBufferPointer<nghttp2_nv>

    package init(_ list: [(name: String, value: String)]) {
        fields = .allocate(capacity: list.count)
        for (index, field) in list.enumerated() {
            let (name, nameCount) = Self.permanentCopy(field.name)
            let (value, valueCount) = Self.permanentCopy(field.value)
            fields.initializeElement(
                at: index,
                to: nghttp2_nv(
                    name: name, value: value, namelen: nameCount, valuelen: valueCount,
                    flags: UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)))
        }
    }

    deinit {
        for field in fields {
            field.name.deallocate()
            field.value.deallocate()
        }
        fields.deallocate()
    }

    private static func permanentCopy(_ text: String) -> (UnsafeMutablePointer<UInt8>, Int) {
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, text.utf8.count))
        var count = 0
        for byte in text.utf8 {
            (bytes + count).initialize(to: byte)
            count += 1
        }
        return (bytes, count)
    }
}

/// A field that is made for one message: nghttp2 copies it.
package struct HeaderField: Hashable, Sendable {
    /// Lowercase, as HTTP/2 demands (RFC 9113, 8.2).
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

extension Array where Element == HeaderField {
    /// Calls `body` with the fields as nghttp2 wants them, valid while it runs.
    func withNghttp2Fields<Result>(_ body: (UnsafeBufferPointer<nghttp2_nv>) -> Result) -> Result {
        let byteCount = reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: byteCount + 1) { bytes in
            withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: count + 1) { fields in
                var end = 0
                func place(_ text: String) -> (UnsafeMutablePointer<UInt8>, Int) {
                    let start = end
                    for byte in text.utf8 {
                        bytes.initializeElement(at: end, to: byte)
                        end += 1
                    }
                    return (bytes.baseAddress! + start, end - start)
                }
                for (index, field) in enumerated() {
                    let (name, nameCount) = place(field.name)
                    let (value, valueCount) = place(field.value)
                    fields.initializeElement(
                        at: index,
                        to: nghttp2_nv(
                            name: name, value: value, namelen: nameCount, valuelen: valueCount,
                            flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
                }
                return body(UnsafeBufferPointer(start: fields.baseAddress!, count: count))
            }
        }
    }
}
