// One call of a client, where its state meets its connection, its deadline and the tasks that wait for it.
//
// Everything here is touched on the client's event loop alone. Whatever happens (an answer, a reset, a
// lost connection, a deadline, a cancellation) goes through `ClientCall`, which lets a call end once; after
// each event `settle` resumes whoever can go on. So no waiting task is forgotten: each that comes after
// the end is answered at once.

import HTTP2
import NIOCore

final class ClientStream: @unchecked Sendable {
    // Tasks hold it and only pass it to its event loop.

    typealias MessageWaiter = CheckedContinuation<Result<[UInt8]?, CallFailure>, Never>
    typealias MetadataWaiter = CheckedContinuation<Result<Metadata, CallFailure>, Never>

    let eventLoop: any EventLoop
    let waitsForReady: Bool
    private let connector: Connector
    private let path: String
    private let options: CallOptions
    private let maxBufferedRequestBytes: Int
    private let deadline: Int64?

    private var call: ClientCall
    private var request: ClientRequest
    /// Where the call is; nil before it is sent and after it is over.
    private var connection: ClientConnection?
    private(set) var id: Int32 = 0
    private var sentAt: Int64 = 0
    /// The place in the line of calls that wait to be sent, which a call that is sent anew keeps.
    var place: UInt64 = 0
    private var timesRefused = 0
    private var deadlineTimer: Scheduled<Void>?
    /// Bytes that arrived and that the stream's window still counts.
    private var unconsumedBytes = 0
    private var bodyPaused = false
    private var localEnded = false

    private var messageWaiter: MessageWaiter?
    private var metadataWaiters: [MetadataWaiter] = []
    private var writers: [CheckedContinuation<Bool, Never>] = []

    init(path: String, options: CallOptions, connector: Connector) {
        self.path = path
        self.options = options
        self.connector = connector
        eventLoop = connector.eventLoop
        waitsForReady = options.waitsForReady
        maxBufferedRequestBytes = connector.options.maxBufferedRequestBytes
        deadline = options.timeout.map { MonotonicClock.now() &+ $0.nanosecondsUpToACentury }
        call = ClientCall(maxReplyBytes: connector.options.maxReplyBytes)
        request = ClientRequest(
            compresses: options.compressesRequests, maxReplayBytes: connector.options.maxReplayBytes)
    }

    var isOver: Bool { call.end != nil }

    // MARK: For the caller

    func begin() {
        if let problem = ClientRequest.problem(path: path, options.metadata) { return finish(problem) }
        if let deadline {
            let left = deadline - MonotonicClock.now()
            guard left > 0 else { return deadlinePassed() }
            deadlineTimer = eventLoop.scheduleTask(in: .nanoseconds(left)) { [self] in deadlinePassed() }
        }
        connector.enqueue(self)
    }

    private static let deadlineExceeded = Status(.deadlineExceeded, "the call's deadline has passed")

    private func deadlinePassed() {
        if let connection {
            connection.callTimedOut(sentAt: sentAt)
            finish(Self.deadlineExceeded)
        } else {
            act(on: call.finish(Self.deadlineExceeded, notSentBecause: connector.whyNotConnected))
        }
    }

    func cancel() { finish(Status(.cancelled, "the call was cancelled")) }

    /// Ends the call by the client's decision, if it is not over.
    func finish(_ status: Status) {
        act(on: call.finish(status))
    }

    func send(_ message: [UInt8], _ writer: CheckedContinuation<Bool, Never>?) {
        guard !isOver, !request.isComplete else {
            writer?.resume(returning: false)
            return
        }
        message.withUnsafeBytes { request.append($0) }
        if let writer { writers.append(writer) }
        bodyGrew()
        settle()
    }

    func completeRequest() {
        request.complete()
        bodyGrew()
    }

    private func bodyGrew() {
        guard bodyPaused, let connection else { return }
        bodyPaused = false
        connection.resumeBody(id)
    }

    func nextMessage(_ waiter: MessageWaiter) {
        precondition(messageWaiter == nil, "two tasks wait for the next message of one call")
        messageWaiter = waiter
        settle()
    }

    func awaitMetadata(_ waiter: MetadataWaiter) {
        metadataWaiters.append(waiter)
        settle()
    }

    /// How the call ended; asked after its end.
    var trailers: Metadata { call.end?.trailers ?? Metadata() }

    // MARK: For the connection

    func headers(authority: String, userAgent: String) -> [HeaderField] {
        ClientRequest.headers(
            path: path, authority: authority, userAgent: userAgent, options: options,
            timeoutNanoseconds: deadline.map { $0 - MonotonicClock.now() })
    }

    func sent(on connection: ClientConnection, id: Int32) {
        self.connection = connection
        self.id = id
        sentAt = MonotonicClock.now()
    }

    func fillBody(_ buffer: UnsafeMutableRawBufferPointer) -> BodyPiece {
        let piece = request.fill(buffer)
        if case .pause = piece { bodyPaused = true }
        resumeWriters()
        return piece
    }

    func headerField(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        call.headerField(name: name, value: value)
    }

    func headersEnded(tooLarge: Bool) {
        request.answerBegan()
        act(on: call.headersEnded(tooLarge: tooLarge))
    }

    func dataReceived(_ bytes: UnsafeRawBufferPointer) {
        unconsumedBytes += bytes.count
        act(on: call.dataReceived(bytes))
    }

    /// The last of the request is on its way.
    func requestEnded() { localEnded = true }

    func remoteEnded() {
        act(on: call.remoteEnded())
    }

    func closed(_ code: HTTP2ErrorCode) {
        connection = nil
        // A server's clock may be ahead of ours: what it cancelled for the deadline ended for the deadline.
        if code == .cancel, let deadline, MonotonicClock.now() >= deadline {
            return act(on: call.finish(Self.deadlineExceeded))
        }
        act(on: call.closed(code))
    }

    /// The connection is gone, or took in no more calls, before this one was sent.
    func wasNotSent() {
        connection = nil
        sendAnew()
    }

    func connectionLost(_ reason: Status) {
        connection = nil
        finish(reason)
    }

    // MARK: What follows

    private func act(on action: ClientCall.Action) {
        switch action {
        case .none:
            return
        case .look:
            break
        case .end(let code):
            ended(reset: code)
        case .sendAnew:
            guard timesRefused < connector.options.maxRefusals, request.rewind() else {
                act(on: call.finish(.fromReset(.refusedStream)))
                return
            }
            // A server may count a stream for a moment longer than we do, and refuse what comes at once.
            let pause = TimeAmount.milliseconds(10 << timesRefused)
            timesRefused += 1
            eventLoop.scheduleTask(in: pause) { [self] in sendAnew() }
        }
        settle()
    }

    private func sendAnew() {
        guard !isOver else { return }
        bodyPaused = false
        localEnded = false
        connector.enqueueAgain(self)
    }

    private func ended(reset code: HTTP2ErrorCode) {
        deadlineTimer?.cancel()
        deadlineTimer = nil
        guard let connection else { return connector.forget(self) }
        // Of a stream that both sides have ended there is nothing left to reset.
        if code != .noError || !localEnded { connection.reset(id, code) }
    }

    /// Resumes whoever can go on.
    private func settle() {
        if let metadata = call.metadata {
            for waiter in metadataWaiters { waiter.resume(returning: .success(metadata)) }
            metadataWaiters.removeAll()
        } else if let end = call.end {
            let result = end.status.code == .ok ? Result.success(Metadata()) : .failure(end)
            for waiter in metadataWaiters { waiter.resume(returning: result) }
            metadataWaiters.removeAll()
        }
        resumeWriters()
        if messageWaiter != nil { deliver() }
    }

    private func resumeWriters() {
        guard !writers.isEmpty, isOver || request.pendingBytes < maxBufferedRequestBytes else { return }
        for writer in writers { writer.resume(returning: !isOver) }
        writers.removeAll(keepingCapacity: true)
    }

    private func deliver() {
        let result: Result<[UInt8]?, CallFailure>
        switch call.next() {
        case .message(let bytes):
            result = .success(Array(bytes))
            consume(keeping: call.bufferedBytes)
        case .wait:
            // Somebody waits for the rest of this message, however long it is.
            return consume(keeping: 0)
        case .broken(let failure):
            ended(reset: .cancel)
            result = .failure(failure)
        case .ended(let end):
            result = end.status.code == .ok ? .success(nil) : .failure(end)
        }
        let waiter = messageWaiter
        messageWaiter = nil
        waiter?.resume(returning: result)
    }

    /// Opens the stream's window by what was taken: a caller who does not ask for messages gets no more
    /// than the window.
    private func consume(keeping kept: Int) {
        guard unconsumedBytes > kept else { return }
        connection?.consume(id, unconsumedBytes - kept)
        unconsumedBytes = kept
    }
}

extension Duration {
    /// Longer than a hundred years counts as that.
    var nanosecondsUpToACentury: Int64 {
        let century: Int64 = 3_155_760_000
        guard components.seconds < century else { return century * 1_000_000_000 }
        guard components.seconds > -century else { return 0 }
        return components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
    }
}
