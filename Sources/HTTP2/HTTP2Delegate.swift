// The narrow waist between HTTP/2 and whatever runs over it.
//
// A session turns bytes into these calls, in the order of the frames; the delegate answers with the
// session's `submit…` calls, which may be made from within. For each stream the delegate hands over an
// object of its own and gets it back with every call, so that nobody looks a stream up twice.

/// Runs over a session. Called on the session's thread alone, from within `receive` and `send`. The
/// objects that it gives for streams stay alive until `streamClosed`: the session only points at them.
package protocol HTTP2Delegate: AnyObject {
    /// The peer opened a stream (servers); the answer is what the other calls will name it by.
    func streamOpened(_ id: Int32) -> AnyObject

    /// One field of the block that is arriving; the bytes are valid during the call.
    func headerField(
        _ stream: AnyObject, name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>)

    /// The block is complete. `tooLarge`: it was above `HTTP2Limits.maxHeaderListBytes`, and the fields
    /// beyond that were not delivered.
    func headersEnded(_ stream: AnyObject, kind: HeaderBlockKind, tooLarge: Bool)

    /// A piece of the body; the bytes are valid during the call. The connection's window opens again
    /// by itself, the stream's when the delegate calls `consume`.
    func dataReceived(_ stream: AnyObject, _ bytes: UnsafeRawBufferPointer)

    /// The peer has sent all that it will on this stream.
    func remoteEnded(_ stream: AnyObject)

    /// The next piece of the body that was promised with `hasBody`.
    func fillBody(_ stream: AnyObject, _ buffer: UnsafeMutableRawBufferPointer) -> BodyPiece

    /// The frame that ends our side of the stream was handed out by `send`.
    func localEnded(_ stream: AnyObject)

    /// The stream is over; its object is not pointed at any more.
    func streamClosed(_ stream: AnyObject, _ code: HTTP2ErrorCode)

    /// The peer's first SETTINGS have arrived: the connection speaks HTTP/2.
    func settingsReceived()

    /// Our ping came back.
    func pingAcknowledged()

    /// The peer will open no more streams (servers), or will serve none above `lastStream` (clients).
    func goAwayReceived(lastStream: Int32, code: HTTP2ErrorCode)
}

package enum HeaderBlockKind: Sendable {
    /// The first block of its direction: a request, or a response (which may be a 1xx).
    case initial
    /// A later one: trailers, or the response that follows a 1xx.
    case following
}

/// What a body has to give.
package enum BodyPiece {
    /// So many bytes, and more to come.
    case bytes(Int)
    /// The last bytes; the stream ends with them.
    case last(Int)
    /// The last bytes; trailers, submitted before this returns, end the stream.
    case lastBeforeTrailers(Int)
    /// Nothing now: `resumeBody` says when.
    case pause
    /// The body can't be completed: the stream is reset.
    case fail
}
