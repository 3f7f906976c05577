// What a request's header fields say, read field by field as they arrive and mostly not kept.

import Glibc

struct RequestHead {
    enum ContentType {
        case missing
        case grpc
        case other
    }

    enum Encoding {
        case identity
        case gzip
        case unknown(String)
    }

    var isPost = false
    var isHead = false
    var contentType = ContentType.missing
    /// The index of the method in the server's table.
    var method: Int?
    /// `:path`, of a method that the server does not know; for the message.
    var unknownPath = ""
    var encoding = Encoding.identity
    var acceptsGzip = false
    var timeoutNanoseconds: Int64?
    var malformedTimeout: String?
    /// Custom fields, in order.
    var metadata = Metadata()

    /// - Parameter find: gives the index of the method with this path.
    @inline(__always)
    mutating func take(
        name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>,
        find: (UnsafeBufferPointer<UInt8>) -> Int?
    ) {
        guard let first = name.first else { return }
        if first == UInt8(ascii: ":") {
            if name.isText(":path") {
                method = find(value)
                if method == nil { unknownPath = value.text }
            } else if name.isText(":method") {
                isPost = value.isText("POST")
                isHead = value.isText("HEAD")
            }
        } else if name.isText("content-type") {
            contentType = Self.isGRPC(value) ? .grpc : .other
        } else if name.isText("te") || name.isText("user-agent") || name.isText("accept-encoding") {
            // Clients that send no `te: trailers` understand trailers all the same; the others say
            // nothing that a call needs.
        } else if name.hasPrefix("grpc-") {
            takeReserved(name: name, value: value)
        } else {
            metadata.addRaw(name.text, value.text)
        }
    }

    private mutating func takeReserved(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        if name.isText("grpc-timeout") {
            timeoutNanoseconds = Timeout.parse(value)
            malformedTimeout = timeoutNanoseconds == nil ? value.text : nil
        } else if name.isText("grpc-encoding") {
            if value.isText("gzip") {
                encoding = .gzip
            } else if !value.isText("identity") {
                encoding = .unknown(value.text)
            }
        } else if name.isText("grpc-accept-encoding") {
            acceptsGzip = value.split(separator: UInt8(ascii: ",")).contains { item in
                item.filter { $0 != UInt8(ascii: " ") }.elementsEqual("gzip".utf8)
            }
        }
    }

    /// `application/grpc`, alone or as `+proto`, with or without parameters. Other message formats,
    /// such as `+json`, are none that we speak.
    private static func isGRPC(_ value: UnsafeBufferPointer<UInt8>) -> Bool {
        if value.isText("application/grpc") { return true }
        let base = "application/grpc"
        guard value.hasPrefix("application/grpc") else { return false }
        let rest = value.dropFirst(base.utf8.count)
        return rest.first == UInt8(ascii: ";") || rest.elementsEqual("+proto".utf8)
            || rest.starts(with: "+proto;".utf8)
    }
}

extension UnsafeBufferPointer<UInt8> {
    @inline(__always)
    func isText(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && hasPrefix(text)
    }

    @inline(__always)
    func hasPrefix(_ text: StaticString) -> Bool {
        guard let baseAddress, count >= text.utf8CodeUnitCount else { return false }
        return memcmp(baseAddress, text.utf8Start, text.utf8CodeUnitCount) == 0
    }

    var text: String { String(decoding: self, as: UTF8.self) }
}
