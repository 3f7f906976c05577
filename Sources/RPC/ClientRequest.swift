// The sending side of one call at the client: its headers, and its messages on their way out.
//
// What was sent is kept, up to a limit and until the server answers, so that a call which the server
// never looked at can be sent anew.

import HTTP2

struct ClientRequest: ~Copyable {
    /// Messages, framed: what was sent (while it is kept), then what is to be sent.
    private var body = ByteQueue()
    private var sentBytes = 0
    private var keepsSent = true
    private let maxReplayBytes: Int
    private let compresses: Bool
    /// No message follows.
    private(set) var isComplete = false

    init(compresses: Bool, maxReplayBytes: Int) {
        self.compresses = compresses
        self.maxReplayBytes = maxReplayBytes
    }

    /// Bytes that wait to be sent.
    var pendingBytes: Int { body.count - sentBytes }

    mutating func append(_ message: UnsafeRawBufferPointer) {
        body.appendMessage(message, gzip: compresses)
    }

    mutating func complete() { isComplete = true }

    /// The next piece of the body, as nghttp2 asks for it.
    mutating func fill(_ buffer: UnsafeMutableRawBufferPointer) -> BodyPiece {
        let count = min(buffer.count, pendingBytes)
        if count > 0 {
            buffer.baseAddress!.copyMemory(from: body.bytes.baseAddress! + sentBytes, byteCount: count)
            sentBytes += count
            if sentBytes > maxReplayBytes { keepsSent = false }
            if !keepsSent { forgetSent() }
        }
        if pendingBytes == 0, isComplete { return .last(count) }
        return count > 0 ? .bytes(count) : .pause
    }

    /// The server has begun to answer: nothing will be sent anew.
    mutating func answerBegan() {
        keepsSent = false
        forgetSent()
    }

    private mutating func forgetSent() {
        body.removeFirst(sentBytes)
        sentBytes = 0
    }

    /// Goes back to the beginning.
    ///
    /// - Returns: false if the beginning is not kept any more.
    mutating func rewind() -> Bool {
        sentBytes = 0
        return keepsSent
    }

    // MARK: Headers

    /// - Parameter timeoutNanoseconds: what is left until the deadline.
    static func headers(
        path: String, authority: String, userAgent: String, options: CallOptions, timeoutNanoseconds: Int64?
    ) -> [HeaderField] {
        var fields = [
            HeaderField(name: ":method", value: "POST"), HeaderField(name: ":scheme", value: "http"),
            HeaderField(name: ":path", value: path), HeaderField(name: ":authority", value: authority),
        ]
        // Right after the pseudo-header fields, as the gRPC document asks.
        if let timeoutNanoseconds {
            fields.append(HeaderField(name: "grpc-timeout", value: Timeout.format(timeoutNanoseconds)))
        }
        fields += [
            HeaderField(name: "te", value: "trailers"),
            HeaderField(name: "content-type", value: "application/grpc"),
            HeaderField(name: "user-agent", value: userAgent),
            HeaderField(name: "grpc-accept-encoding", value: "identity,gzip"),
        ]
        if options.compressesRequests { fields.append(HeaderField(name: "grpc-encoding", value: "gzip")) }
        return fields + options.metadata.fields.map { HeaderField(name: $0.key, value: $0.value) }
    }

    /// What a call's path and metadata may have, in bytes, as HTTP/2 counts headers: nghttp2 sends no block
    /// above 65,536, and servers seldom take more than a quarter of that.
    static let maxHeaderBytes = 49_152

    /// What is wrong with headers that are about to be sent: a server would take them for a broken frame.
    static func problem(path: String, _ metadata: Metadata) -> Status? {
        let size = metadata.fields.reduce(path.utf8.count) { $0 + $1.key.utf8.count + $1.value.utf8.count + 32 }
        guard size <= maxHeaderBytes else {
            return Status(
                .resourceExhausted, "path and metadata may have \(maxHeaderBytes) bytes at the most, found \(size)")
        }
        for field in metadata.fields {
            let isKey = !field.key.isEmpty && field.key.utf8.allSatisfy(isKeyByte)
            guard isKey, !field.key.hasPrefix("grpc-") else {
                return Status(.internal, "\(quoted(field.key)) can't be a metadata key")
            }
            guard field.value.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else {
                return Status(
                    .internal, "the metadata of \(field.key) is not printable ASCII; use a key that ends in -bin")
            }
        }
        return nil
    }

    private static func isKeyByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x61...0x7a, UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."): true
        default: false
        }
    }
}
