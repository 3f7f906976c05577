// The receiving side of one call at the client: from header fields and bytes to messages and an end.
//
// No I/O, no clock, no task in here: what arrives is told to it, and it answers what is to be done. It is
// asked for messages one at a time, and the status comes after the last of them; only what the client
// itself decides (a deadline, a cancellation, a message that can't be read) discards what is still there.
// A call ends once: the first word is the last.

import HTTP2

struct ClientCall: ~Copyable {
    private enum Phase {
        /// The response's headers are still to come.
        case waiting
        /// They are in, messages follow; the status if the headers said one, for a response that ends
        /// without trailers (Trailers-Only).
        case receiving(ResponseFields)
        /// The server has said all; its messages are not all read yet.
        case answered(CallFailure, MessageEncoding)
        case over(CallFailure)
    }

    /// What an event asks for.
    enum Action: Equatable {
        case none
        /// There may be a message, or the headers, for whoever waits.
        case look
        /// The end is known, and the stream, if it is open, is to be reset with the code.
        case end(reset: HTTP2ErrorCode)
        /// The server never looked at the call: it may be sent anew, once for every answer like this.
        case sendAnew
    }

    enum Next {
        /// Valid until the call changes.
        case message(UnsafeRawBufferPointer)
        /// None now.
        case wait
        /// No more; the status, which may be OK, and the trailers.
        case ended(CallFailure)
        /// As `ended`, but it came about just now: the stream is to be reset.
        case broken(CallFailure)
    }

    private var phase = Phase.waiting
    private var fields = ResponseFields()
    private var reader = MessageReader()
    private let maxReplyBytes: Int

    init(maxReplyBytes: Int) {
        self.maxReplyBytes = maxReplyBytes
    }

    /// The response's metadata, once its headers are in.
    private(set) var metadata: Metadata?

    /// How the call ended, once the server or the client has said it.
    var end: CallFailure? {
        switch phase {
        case .waiting, .receiving: nil
        case .answered(let end, _), .over(let end): end
        }
    }

    /// Bytes that arrived and that nobody has taken.
    var bufferedBytes: Int { reader.bufferedBytes }

    // MARK: What arrives

    mutating func headerField(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        fields.take(name: name, value: value)
    }

    mutating func headersEnded(tooLarge: Bool) -> Action {
        let block = fields
        fields = ResponseFields()
        if tooLarge { return finish(Status(.resourceExhausted, "the response's headers are too large")) }
        switch phase {
        case .waiting:
            if block.isInterim { return .none }
            let http = block.httpStatus ?? 0
            guard http == 200, block.isGRPC else {
                // A proxy's answer, most likely. What gRPC says goes before what HTTP says.
                return finish(block.status ?? Self.foreign(http, block.contentType))
            }
            phase = .receiving(block)
            // A block that carries the status is trailers, without headers ahead of them.
            if block.status == nil { metadata = block.metadata }
            return .look
        case .receiving(let head):
            let status = block.status ?? Status(.unknown, "the trailers have no grpc-status")
            return answered(status, block.metadata, head.encoding)
        case .answered, .over:
            return .none
        }
    }

    private static func foreign(_ http: Int, _ contentType: String?) -> Status {
        guard http == 200 else { return .fromHTTP(http) }
        return Status(.unknown, "the answer is no gRPC: content-type \(quoted(contentType ?? ""))")
    }

    mutating func dataReceived(_ bytes: UnsafeRawBufferPointer) -> Action {
        guard case .receiving = phase else { return .none }
        reader.append(bytes)
        return .look
    }

    /// The server has sent all that it will.
    mutating func remoteEnded() -> Action {
        guard case .receiving(let head) = phase else { return .none }
        guard let status = head.status else { return answered(.fromHTTP(200), Metadata(), head.encoding) }
        return answered(status, head.metadata, head.encoding)
    }

    private mutating func answered(_ status: Status, _ trailers: Metadata, _ encoding: MessageEncoding) -> Action {
        phase = .answered(CallFailure(status, trailers: trailers), encoding)
        // The server need not hear the rest of the request (gRPC over HTTP/2, "Early Server Closure").
        return .end(reset: .noError)
    }

    /// The stream is gone. Of one that ended as it should, the end is known by now.
    mutating func closed(_ code: HTTP2ErrorCode) -> Action {
        switch phase {
        case .waiting where code == .refusedStream: .sendAnew
        case .waiting, .receiving: finish(.fromReset(code))
        case .answered, .over: .none
        }
    }

    /// The client's own decision.
    mutating func finish(_ status: Status, notSentBecause reason: Status? = nil) -> Action {
        switch phase {
        case .waiting, .receiving:
            var failure = CallFailure(status)
            failure.notSentBecause = reason
            phase = .over(failure)
            return .end(reset: .cancel)
        case .answered, .over:
            return .none
        }
    }

    // MARK: What is taken

    mutating func next() -> Next {
        let end: CallFailure?
        let encoding: MessageEncoding
        switch phase {
        case .waiting: return .wait
        case .over(let failure): return .ended(failure)
        case .receiving(let head): (end, encoding) = (nil, head.encoding)
        case .answered(let answer, let named): (end, encoding) = (answer, named)
        }
        switch reader.next(encoding: encoding, limit: maxReplyBytes) {
        case .message(let bytes):
            return .message(bytes)
        case .failed(let status):
            return fail(status)
        case .incomplete:
            guard let end else { return .wait }
            if end.status.code == .ok, reader.hasRest {
                return fail(Status(.internal, "the last message is cut off"))
            }
            phase = .over(end)
            return .ended(end)
        }
    }

    private mutating func fail(_ status: Status) -> Next {
        let failure = CallFailure(status)
        phase = .over(failure)
        return .broken(failure)
    }
}
