// One call, from its headers to its end: what the handler of a method holds.
//
// Confined to its connection's event loop. The life of a call is `Phase`; every way out of it (the
// handler's `finish`, the client's reset, a deadline, a drain, a lost connection) goes through `end`,
// once. After that whatever a handler still says to the call does nothing, so a late answer from
// another thread is harmless. Objects are used again for later streams, but only when nobody else
// refers to them.

import HTTP2
import NIOCore

package final class ServerCall {
    private enum Phase {
        /// The request is arriving.
        case receiving
        /// The handler has the call.
        case executing
        /// The status is decided and on its way.
        case finished
        /// The stream is gone.
        case closed
    }

    /// Why a call ended before its handler finished it.
    package enum Interruption: Sendable {
        case cancelled
        case deadlineExceeded
        case shuttingDown
    }

    /// Nil once the stream is closed.
    private(set) var connection: ServerConnection!
    private(set) var id: Int32 = 0
    /// The connection's list of its calls.
    var next: ServerCall?
    unowned(unsafe) var previous: ServerCall?

    private var phase = Phase.closed
    private var head = RequestHead()
    private var reader = MessageReader()
    private var outbound = ByteQueue()
    private(set) var arrivedAt: Int64 = 0
    private var deadline: Int64?
    private var deadlineTimer: Scheduled<Void>?
    private var unconsumedBytes = 0
    /// What this call counts for in the connection's `bufferedRequestBytes`.
    private var budgetedBytes = 0
    private var isReading = true
    private var remoteEnded = false
    private var headersSent = false
    private var bodyPaused = false
    /// The answer is plain HTTP, without trailers.
    private var isPlainHTTP = false
    private var trailers: Trailers?
    private var wantsToKnowWritable = false
    /// Whether the call is in the connection's list of those that wait for room.
    var awaitsRoom = false
    /// What the answer waits for; nothing of it leaves before.
    private var ticket: UInt64?
    /// How a call ended whose answer still waits.
    private var heldEnd: (status: Status, metadata: Metadata)?
    /// Whether the call was counted as begun: one whose headers never ended well was not.
    private var isCounted = false
    private var finishedAt: Int64 = 0

    private enum Trailers {
        case ok
        case fields([HeaderField])
    }

    // MARK: For handlers

    /// Of calls that stream their requests: each message as it arrives; the bytes are valid during the
    /// call.
    package var onMessage: ((ServerCall, UnsafeRawBufferPointer) -> Void)? {
        get { handlers?.message }
        set { changeHandlers { $0.message = newValue } }
    }
    /// Of calls that stream their requests: the client has sent its last message.
    package var onHalfClose: ((ServerCall) -> Void)? {
        get { handlers?.halfClose }
        set { changeHandlers { $0.halfClose = newValue } }
    }
    /// The call ended before its handler finished it; runs once, and what is said to the call after
    /// that does nothing.
    package var onInterruption: ((ServerCall, Interruption) -> Void)? {
        get { handlers?.interruption }
        set { changeHandlers { $0.interruption = newValue } }
    }
    /// There is room again after `isWritable` was false.
    package var onWritable: ((ServerCall) -> Void)? {
        get { handlers?.writable }
        set { changeHandlers { $0.writable = newValue } }
    }
    /// Once, after `finish`: whether all of the answer was handed to the operating system.
    package var onDelivery: ((Bool) -> Void)?

    /// Most calls have none of these.
    private struct Handlers {
        var message: ((ServerCall, UnsafeRawBufferPointer) -> Void)?
        var halfClose: ((ServerCall) -> Void)?
        var interruption: ((ServerCall, Interruption) -> Void)?
        var writable: ((ServerCall) -> Void)?
    }

    private var handlers: Handlers?

    private func changeHandlers(_ change: (inout Handlers) -> Void) {
        // A call that is over tells nobody anything any more.
        guard phase == .receiving || phase == .executing else { return }
        var changed = handlers ?? Handlers()
        change(&changed)
        handlers = changed
    }

    package var eventLoop: any EventLoop { connection.eventLoop }
    package var resources: LoopResources { connection.resources }
    package var metadata: Metadata { head.metadata }
    /// Whether there is any: a look that costs nothing.
    package var hasMetadata: Bool { !head.metadata.fields.isEmpty }
    /// The client's address and port, while its connection is there.
    package var peer: String { connection?.peer ?? "" }
    /// When the client stops waiting, in nanoseconds of `MonotonicClock`.
    package var deadlineNanoseconds: Int64? { deadline }
    package var isOpen: Bool { phase == .executing }
    /// Whether the call may send more now; if not, `onWritable` runs when it may.
    package var isWritable: Bool {
        guard let connection else { return false }
        guard outbound.count < connection.limits.maxBufferedResponseBytes else {
            wantsToKnowWritable = true
            return false
        }
        return connection.hasRoomToAnswer || connection.awaitRoom(self)
    }

    /// Keeps back whatever is sent from now on, the status too, until `Server.releaseAnswers` has been told of the
    /// number, or a greater one. Later numbers must not be smaller on one event loop.
    package func holdAnswer(until ticket: UInt64) {
        guard phase == .executing else { return }
        self.ticket = ticket
        resources.hold(self, until: ticket)
    }

    /// What the answer waited for has come.
    func release(_ ticket: UInt64) {
        // A later number may have been waited for since; or the object is another call's by now.
        guard self.ticket == ticket else { return }
        self.ticket = nil
        guard phase == .executing || phase == .finished else { return }
        if let (status, metadata) = heldEnd {
            heldEnd = nil
            countEnd(status.code)
            submitEnd(status, metadata)
        } else if !outbound.isEmpty {
            if !headersSent { submitHeaders() }
            resumeBody()
        }
        connection.scheduleFlush()
    }

    /// A way to the call from any thread.
    package var handle: CallHandle { CallHandle(call: self, eventLoop: eventLoop) }

    /// Sends the response's headers at once, ahead of any message.
    package func sendHeaders(_ metadata: Metadata = Metadata()) {
        guard phase == .executing, !headersSent, ticket == nil else { return }
        submitHeaders(metadata)
        connection.scheduleFlush()
    }

    /// Sends a message of `byteCount` bytes, which `write` lays down. Above the limit of a message the
    /// call ends with RESOURCE_EXHAUSTED instead.
    package func send(byteCount: Int, _ write: (UnsafeMutableRawPointer) -> Void) {
        guard phase == .executing else { return }
        guard connection.hasRoomToAnswer else {
            interrupt(.cancelled)
            finish(
                Status(
                    .resourceExhausted,
                    "the answers that wait on this connection have \(connection.bufferedResponseBytes) bytes: read them"
                ))
            return
        }
        guard byteCount <= connection.limits.maxMessageBytes else {
            interrupt(.cancelled)
            finish(
                Status(
                    .resourceExhausted,
                    "the answer would have \(byteCount) bytes, \(connection.limits.maxMessageBytes) at the most"))
            return
        }
        let before = outbound.count
        outbound.appendMessage(byteCount: byteCount, gzip: repliesWithGzip, write)
        connection.bufferedResponseBytes += outbound.count - before
        guard ticket == nil else { return }
        if !headersSent { submitHeaders() }
        resumeBody()
        connection.scheduleFlush()
    }

    package func send(_ bytes: UnsafeRawBufferPointer) {
        send(byteCount: bytes.count) { destination in
            if let source = bytes.baseAddress { destination.copyMemory(from: source, byteCount: bytes.count) }
        }
    }

    /// Ends the call. Messages that were sent before still arrive.
    package func finish(_ status: Status, trailers metadata: Metadata = Metadata()) {
        guard phase == .executing || phase == .receiving else { return }
        end(status)
        guard ticket == nil else {
            heldEnd = (status, metadata)
            return
        }
        connection.scheduleFlush()
        submitEnd(status, metadata)
    }

    private func submitEnd(_ status: Status, _ metadata: Metadata) {
        if !headersSent, outbound.isEmpty {
            // Trailers-only: one block of headers that is the whole answer.
            connection.session.submitResponse(
                id, Self.trailersOnly(status, metadata), hasBody: false, stream: self)
            return
        }
        if status.code == .ok, metadata.fields.isEmpty {
            trailers = .ok
        } else {
            trailers = .fields(Self.fields(status, metadata))
        }
        if !headersSent { submitHeaders() }
        resumeBody()
    }

    /// Stops taking in requests; the client's window closes after what is on its way.
    package func pauseReading() { isReading = false }

    package func resumeReading() {
        guard !isReading else { return }
        isReading = true
        deliverMessages()
        connection.scheduleFlush()
    }

    // MARK: Sending

    private static let headers = PreparedHeaders([
        (":status", "200"), ("content-type", "application/grpc"),
    ])
    private static let gzipHeaders = PreparedHeaders([
        (":status", "200"), ("content-type", "application/grpc"), ("grpc-encoding", "gzip"),
    ])
    private static let okTrailers = PreparedHeaders([("grpc-status", "0")])

    /// Who compresses its requests gets compressed answers; nobody else pays for it.
    private var repliesWithGzip: Bool {
        guard head.acceptsGzip, case .gzip = head.encoding else { return false }
        return true
    }

    private func submitHeaders(_ metadata: Metadata = Metadata()) {
        headersSent = true
        guard metadata.fields.isEmpty else {
            var fields = [
                HeaderField(name: ":status", value: "200"),
                HeaderField(name: "content-type", value: "application/grpc"),
            ]
            if repliesWithGzip { fields.append(HeaderField(name: "grpc-encoding", value: "gzip")) }
            fields += metadata.fields.map { HeaderField(name: $0.key, value: $0.value) }
            connection.session.submitResponse(id, fields, hasBody: true, stream: self)
            return
        }
        connection.session.submitResponse(
            id, repliesWithGzip ? Self.gzipHeaders : Self.headers, hasBody: true, stream: self)
    }

    private func resumeBody() {
        guard bodyPaused else { return }
        bodyPaused = false
        connection.session.resumeBody(id)
    }

    private static func fields(_ status: Status, _ metadata: Metadata) -> [HeaderField] {
        var fields = [HeaderField(name: "grpc-status", value: String(status.code.rawValue))]
        if !status.message.isEmpty {
            fields.append(HeaderField(name: "grpc-message", value: PercentEncoding.encode(status.message)))
        }
        return fields + metadata.fields.map { HeaderField(name: $0.key, value: $0.value) }
    }

    private static func trailersOnly(_ status: Status, _ metadata: Metadata) -> [HeaderField] {
        [
            HeaderField(name: ":status", value: "200"),
            HeaderField(name: "content-type", value: "application/grpc"),
        ] + fields(status, metadata)
    }

    /// What nghttp2 asks for when it can send.
    func fillBody(_ buffer: UnsafeMutableRawBufferPointer) -> BodyPiece {
        guard ticket == nil else {
            bodyPaused = true
            return .pause
        }
        let count = min(buffer.count, outbound.count)
        if count > 0 {
            buffer.baseAddress!.copyMemory(from: outbound.bytes.baseAddress!, byteCount: count)
            outbound.removeFirst(count)
            connection.answered(count)
        }
        if wantsToKnowWritable, outbound.count < connection.limits.maxBufferedResponseBytes / 2 {
            wantsToKnowWritable = false
            connection.becameWritable(self)
        }
        guard outbound.isEmpty else { return .bytes(count) }
        if isPlainHTTP { return .last(count) }
        switch trailers {
        case .ok:
            connection.session.submitTrailers(id, Self.okTrailers)
            return .lastBeforeTrailers(count)
        case .fields(let fields):
            connection.session.submitTrailers(id, fields)
            return .lastBeforeTrailers(count)
        case nil:
            if count > 0 { return .bytes(count) }
            bodyPaused = true
            return .pause
        }
    }

    /// Runs `onWritable`, outside of nghttp2's callbacks.
    func tellWritable() {
        guard phase == .executing else { return }
        onWritable?(self)
    }

    // MARK: Receiving

    func begin(on connection: ServerConnection, id: Int32) {
        self.connection = connection
        self.id = id
        arrivedAt = connection.resources.now
        phase = .receiving
    }

    func headerField(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        head.take(name: name, value: value) { connection.methods.find($0) }
    }

    func headersEnded(kind: HeaderBlockKind, tooLarge: Bool) {
        guard kind == .initial, phase == .receiving else { return }
        isCounted = true
        resources.statistics.callBegan(head.method)
        guard head.isPost else {
            return answerPlainly("405", "gRPC calls are POST requests.\n", [HeaderField(name: "allow", value: "POST")])
        }
        guard head.contentType == .grpc else {
            return answerPlainly("415", "This is a gRPC server: content-type must be application/grpc.\n", [])
        }
        guard !tooLarge else {
            return finish(
                Status(
                    .resourceExhausted,
                    "the request's headers may have \(connection.maxHeaderListBytes) bytes at the most"))
        }
        if case .unknown(let name) = head.encoding {
            var metadata = Metadata()
            metadata.addRaw("grpc-accept-encoding", "identity,gzip")
            return finish(
                Status(.unimplemented, "grpc-encoding \(quoted(name)) is not supported: identity and gzip are"),
                trailers: metadata)
        }
        if let timeout = head.malformedTimeout {
            return finish(Status(.internal, "grpc-timeout \(quoted(timeout)) is malformed"))
        }
        guard let index = head.method else {
            let known = connection.methods.hasService(of: head.unknownPath)
            return finish(
                Status(.unimplemented, "unknown \(known ? "method" : "service"): \(quoted(head.unknownPath))"))
        }
        if let timeout = head.timeoutNanoseconds {
            deadline = arrivedAt &+ timeout
            connection.hasDeadline(self)
        }
        if let open = connection.methods.methods[index].open {
            phase = .executing
            open(self)
            if connection.draining { drain() }
        }
    }

    func dataReceived(_ bytes: UnsafeRawBufferPointer) {
        guard phase == .receiving || phase == .executing else { return }
        guard !remoteEnded else { return }
        guard connection.mayBuffer(bytes.count) else {
            interrupt(.cancelled)
            return finish(
                Status(
                    .resourceExhausted,
                    "the requests half sent on this connection may have "
                        + "\(connection.limits.maxBufferedRequestBytes) bytes at the most"))
        }
        unconsumedBytes += bytes.count
        reader.append(bytes)
        updateBudget(reader.bufferedBytes)
        if handlers?.message != nil {
            deliverMessages()
        } else {
            if let problem = reader.firstMessageProblem(limit: connection.limits.maxMessageBytes) {
                return finish(problem)
            }
            openWindow()
        }
    }

    private func openWindow() {
        guard unconsumedBytes > connection.windowStepBytes else { return }
        connection.session.consume(id, unconsumedBytes)
        unconsumedBytes = 0
    }

    /// Hands the messages of a streaming request to its handler.
    private func deliverMessages() {
        while isReading, phase == .executing, let onMessage {
            switch reader.next(encoding: encoding, limit: connection.limits.maxMessageBytes) {
            case .message(let bytes):
                updateBudget(reader.bufferedBytes)
                onMessage(self, bytes)
            case .incomplete:
                openWindow()
                if remoteEnded {
                    if reader.hasRest {
                        finish(Status(.internal, "the last message is cut off"))
                    } else if let onHalfClose {
                        self.onHalfClose = nil
                        onHalfClose(self)
                    }
                }
                return
            case .failed(let status):
                interrupt(.cancelled)
                finish(status)
                return
            }
        }
    }

    private func updateBudget(_ bytes: Int) {
        connection.bufferedRequestBytes += bytes - budgetedBytes
        budgetedBytes = bytes
    }

    private var encoding: MessageEncoding {
        if case .gzip = head.encoding { return .gzip }
        return .identity
    }

    func requestEnded() {
        remoteEnded = true
        switch phase {
        case .executing: deliverMessages()
        case .receiving: dispatch()
        case .finished, .closed: break
        }
    }

    /// Runs a call whose single request has arrived.
    private func dispatch() {
        guard let index = head.method, let handle = connection.methods.methods[index].handle else { return }
        let now = resources.refreshClock()
        if let deadline, now >= deadline {
            return finish(Status(.deadlineExceeded, "the deadline had passed before the call began"))
        }
        switch reader.next(encoding: encoding, limit: connection.limits.maxMessageBytes) {
        case .message(let bytes):
            guard !reader.hasRest else { return finish(Self.notOneMessage) }
            phase = .executing
            handle(self, bytes)
            // The bytes were the handler's for the call alone: one that waits must not keep them.
            reader.reset()
            updateBudget(0)
            if connection.draining { drain() }
        case .incomplete:
            finish(reader.hasRest ? Status(.internal, "the message is cut off") : Self.notOneMessage)
        case .failed(let status):
            finish(status)
        }
    }

    static let notOneMessage = Status(.unimplemented, "this call takes exactly one request message")

    /// An answer to HTTP that is not gRPC.
    private func answerPlainly(_ status: String, _ text: String, _ fields: [HeaderField]) {
        end(Status(.unimplemented))
        isPlainHTTP = true
        headersSent = true
        let fields =
            [
                HeaderField(name: ":status", value: status),
                HeaderField(name: "content-type", value: "text/plain; charset=utf-8"),
                HeaderField(name: "content-length", value: String(text.utf8.count)),
            ] + fields
        // The answer to HEAD has no body, only the headers of one (RFC 9110, 9.3.2).
        if !head.isHead {
            text.utf8.withContiguousStorageIfAvailable { outbound.append(UnsafeRawBufferPointer($0)) }
            connection.bufferedResponseBytes += outbound.count
        }
        connection.session.submitResponse(id, fields, hasBody: !head.isHead, stream: self)
        connection.scheduleFlush()
    }

    // MARK: The end

    /// The one way out of `receiving` and `executing`.
    private func end(_ status: Status) {
        phase = .finished
        if let deadlineTimer {
            deadlineTimer.cancel()
            self.deadlineTimer = nil
        }
        if handlers != nil { handlers = nil }
        if status.code != .ok { tellOfFailure(status) }
        if ticket == nil { countEnd(status.code) } else { finishedAt = resources.now }
    }

    @inline(never)
    private func tellOfFailure(_ status: Status) {
        guard let incidents = resources.incidents,
            status.code == .resourceExhausted || incidents.hearsEveryFailure
        else { return }
        let method = head.method.map { connection.methods.methods[$0] }
        incidents.tell(
            .callFailed(
                method: method?.path ?? head.unknownPath, isStream: method?.kind == .serverStreaming, status: status,
                peer: peer))
    }

    /// Counts the call as served, when its answer leaves or is wanted no more.
    private func countEnd(_ code: Status.Code) {
        finishedAt = resources.refreshClock()
        if isCounted {
            resources.statistics.callEnded(head.method, code, nanoseconds: finishedAt &- arrivedAt)
        }
    }

    /// Tells the handler, once, that the call is lost to it.
    private func interrupt(_ interruption: Interruption) {
        let handler = onInterruption
        onInterruption = nil
        handler?(self, interruption)
    }

    /// Sets the timer of a call that was not over when its batch was.
    func scheduleDeadline() {
        guard phase == .receiving || phase == .executing, let deadline, deadlineTimer == nil else { return }
        let left = max(0, deadline - resources.refreshClock())
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        deadlineTimer = eventLoop.scheduleTask(in: .nanoseconds(left)) {
            let call = bound.value
            guard call.phase == .receiving || call.phase == .executing else { return }
            call.deadlineTimer = nil
            call.interrupt(.deadlineExceeded)
            call.finish(Status(.deadlineExceeded, "the call's deadline has passed"))
        }
    }

    /// Whether the request has been arriving since before `time`, and is of a kind that should not.
    func isSlow(since time: Int64) -> Bool { phase == .receiving && arrivedAt < time }

    /// Whether the answer has been waiting for the client to take it since before `time`.
    func isStuck(since time: Int64) -> Bool { phase == .finished && finishedAt < time }

    func giveUpAnswer() { connection.session.reset(id, .cancel) }

    func timeOutRequest() {
        finish(Status(.deadlineExceeded, "the request took too long to arrive"))
    }

    /// A graceful end of the server: what waits is told, what is arriving may still arrive.
    func drain() {
        guard phase == .executing else { return }
        interrupt(.shuttingDown)
        finish(Status(.unavailable, "the server is shutting down"))
    }

    /// The frame that ends our side is on its way out.
    func lastFrameSent() {
        // The client need not send the rest of a request that is answered (RFC 9113, 8.1).
        if !remoteEnded { connection.session.reset(id, .noError) }
        if let onDelivery {
            self.onDelivery = nil
            connection.awaitWrite(onDelivery)
        }
    }

    /// The stream is gone, ended or not.
    func streamClosed() {
        if phase == .receiving || phase == .executing {
            interrupt(.cancelled)
            if phase != .finished { end(Status(.cancelled)) }
        }
        if ticket != nil {
            ticket = nil
            heldEnd = nil
            countEnd(.cancelled)
        }
        phase = .closed
        updateBudget(0)
        connection.answered(outbound.count)
        outbound.reset(keeping: 4_096)
        if let onDelivery {
            self.onDelivery = nil
            onDelivery(false)
        }
        connection = nil
    }

    /// Makes the object ready for another stream.
    func reset() {
        connection = nil
        next = nil
        previous = nil
        phase = .closed
        head = RequestHead()
        reader.reset()
        outbound.reset(keeping: 4_096)
        deadline = nil
        unconsumedBytes = 0
        budgetedBytes = 0
        isReading = true
        remoteEnded = false
        headersSent = false
        bodyPaused = false
        isPlainHTTP = false
        trailers = nil
        ticket = nil
        heldEnd = nil
        wantsToKnowWritable = false
        awaitsRoom = false
        isCounted = false
    }
}

/// A call as other threads may hold it.
package struct CallHandle: @unchecked Sendable {
    // The call is touched on its event loop alone: `later` sees to that.
    private let call: ServerCall
    private let eventLoop: any EventLoop

    init(call: ServerCall, eventLoop: any EventLoop) {
        self.call = call
        self.eventLoop = eventLoop
    }

    /// Runs `body` on the call's event loop, never within the caller. By then the call may be over:
    /// `isOpen` tells.
    package func later(_ body: @escaping @Sendable (ServerCall) -> Void) {
        eventLoop.execute { body(call) }
    }
}

/// Text of the peer's in a message, 200 Unicode scalars of it at the most.
package func quoted(_ text: String) -> String {
    let scalars = text.unicodeScalars
    let end = scalars.index(scalars.startIndex, offsetBy: 200, limitedBy: scalars.endIndex) ?? scalars.endIndex
    return end == scalars.endIndex ? "\"\(text)\"" : "\"\(String(scalars[..<end]))…\""
}
