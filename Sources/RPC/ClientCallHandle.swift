// A call as tasks hold it: its requests, its replies, its metadata.
//
// Each operation is a hop to the client's event loop and, where there is something to wait for, a
// continuation that the loop resumes. A task that is cancelled while it waits cancels the call. So does
// letting go of the handle: whoever breaks off reading leaves nothing open.

import NIOCore

package final class ClientCallHandle: Sendable {
    fileprivate let stream: ClientStream

    init(_ stream: ClientStream) {
        self.stream = stream
    }

    deinit {
        stream.eventLoop.execute { [stream] in stream.cancel() }
    }

    /// Where the requests go, for one task after another or for several at once.
    package var requests: RequestWriter { RequestWriter(call: self) }

    /// The replies as they come, for one reader.
    package var replies: Replies { Replies(call: self) }

    package func cancel() {
        stream.eventLoop.execute { [stream] in stream.cancel() }
    }

    /// The response's metadata, as soon as its headers are in.
    package func metadata() async throws(CallFailure) -> Metadata {
        try await onLoop { stream, waiter in stream.awaitMetadata(waiter) }.get()
    }

    /// The next reply; nil when the call has ended with OK.
    package func nextReply() async throws(CallFailure) -> [UInt8]? {
        try await onLoop { stream, waiter in stream.nextMessage(waiter) }.get()
    }

    /// The metadata that came with the status; empty before `nextReply` has returned nil. Of a call that
    /// failed, `CallFailure` has it.
    package func trailers() async -> Metadata {
        await onLoop { stream, waiter in waiter.resume(returning: stream.trailers) }
    }

    /// The reply of a call that has one.
    func reply() async throws(CallFailure) -> Reply {
        // Both counts are the client's to refuse with UNIMPLEMENTED ("Response cardinality violation",
        // https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
        guard let message = try await nextReply() else {
            throw CallFailure(Status(.unimplemented, "the server ended the call without a reply"))
        }
        guard try await nextReply() == nil else {
            throw CallFailure(Status(.unimplemented, "the server sent more than one reply"))
        }
        return Reply(message: message, metadata: try await metadata(), trailers: await trailers())
    }

    fileprivate func onLoop<Result: Sendable>(
        _ body: @escaping @Sendable (ClientStream, CheckedContinuation<Result, Never>) -> Void
    ) async -> Result {
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                stream.eventLoop.execute { [stream] in body(stream, waiter) }
            }
        } onCancel: {
            cancel()
        }
    }
}

/// The sending side of a call.
package struct RequestWriter: Sendable {
    fileprivate let call: ClientCallHandle

    /// Returns when there is room for another message: what waits to be sent is bounded.
    ///
    /// - Returns: false when the call is over. The server may well have ended it with OK: the replies tell.
    @discardableResult
    package func send(_ message: [UInt8]) async -> Bool {
        await call.onLoop { stream, waiter in stream.send(message, waiter) }
    }

    /// No more requests follow. Without this the server waits.
    package func finish() {
        call.stream.eventLoop.execute { [stream = call.stream] in stream.completeRequest() }
    }

    /// Sends the only request of a call.
    func sendLast(_ message: [UInt8]) {
        call.stream.eventLoop.execute { [stream = call.stream] in
            stream.send(message, nil)
            stream.completeRequest()
        }
    }
}

/// The receiving side of a call. What the server has sent and nobody has asked for is bounded by the
/// stream's window.
package struct Replies: AsyncSequence, Sendable {
    package typealias Element = [UInt8]
    package typealias Failure = CallFailure

    fileprivate let call: ClientCallHandle

    package func makeAsyncIterator() -> Iterator { Iterator(call: call) }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let call: ClientCallHandle

        package mutating func next() async throws(CallFailure) -> [UInt8]? {
            try await call.nextReply()
        }
    }
}
