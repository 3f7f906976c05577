// What a response's header block says: headers, trailers, or both in one.

struct ResponseFields {
    private(set) var httpStatus: Int?
    private(set) var isGRPC = false
    private(set) var contentType: String?
    private(set) var encoding = MessageEncoding.identity
    private var statusCode: String?
    private var statusMessage = ""
    private(set) var metadata = Metadata()

    mutating func take(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        if name.first == UInt8(ascii: ":") {
            if name.isText(":status") { httpStatus = Int(value.text) }
        } else if name.isText("content-type") {
            contentType = value.text
            // `+proto`, `+json`: whatever follows, it is gRPC, and the bytes are the caller's to read.
            isGRPC = value.hasPrefix("application/grpc")
        } else if name.isText("grpc-status") {
            statusCode = value.text
        } else if name.isText("grpc-message") {
            statusMessage = PercentEncoding.decode(value.text)
        } else if name.isText("grpc-encoding") {
            // Of another encoding, only messages that are marked as compressed can't be read.
            if value.isText("gzip") { encoding = .gzip }
        } else {
            // Fields of gRPC's own that we do not read (`grpc-accept-encoding`) may tell the caller something.
            metadata.addRaw(name.text, value.text)
        }
    }

    /// What the server said in gRPC's words.
    var status: Status? {
        statusCode.map { .fromWire(code: $0, message: statusMessage) }
    }

    /// A 1xx: to be forgotten, the response follows (RFC 9110, 15.2).
    var isInterim: Bool { httpStatus.map { (100..<200).contains($0) } ?? false }
}
