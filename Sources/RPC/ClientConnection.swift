// One connection to a server: the NIO handler around an HTTP/2 session and the calls on it.
//
// The mirror of `ServerConnection`, with its two rules: nothing is taken out of nghttp2, and nothing is
// read, while the channel is not writable. A connection is ready when the server's SETTINGS are in, so a
// port that speaks something else, or nothing, never gets a call. Which calls have left is known to the
// stream: what has not can go elsewhere, whatever happens here. All of it is the life of one connection,
// so it stays in one file.

import HTTP2
import NIOCore

final class ClientConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// Waits for the server's SETTINGS.
        case opening
        case ready
        /// Takes no more calls, and closes when the last is over.
        case leaving
        case closed
    }

    /// One write to the socket; a larger batch is more writes.
    private static let writeBytes = 131_072

    /// They hold each other until `lost`.
    private let connector: Connector
    /// Until the connection is closed.
    private var session: HTTP2Session!
    /// Nil until there is a channel.
    private var context: ChannelHandlerContext?
    private var state = State.opening
    private var streams: [ObjectIdentifier: ClientStream] = [:]
    /// The highest stream whose HEADERS have left nghttp2.
    private var lastSentStream: Int32 = 0
    private var lostBecause: Status?

    private var keepalive: ClientKeepalive?
    private var keepaliveTimer: Scheduled<Void>?
    /// The server has answered something: not one that takes everybody in and sends everybody away.
    private(set) var isProven = false

    private var readWanted = false
    private var isReceiving = false
    private var isFlushing = false
    private var flushScheduled = false
    private var writeBuffer = ByteBufferAllocator().buffer(capacity: 16_384)

    init(connector: Connector, keepalive settings: ClientKeepalive.Settings?) {
        self.connector = connector
        let now = MonotonicClock.now()
        keepalive = settings.map { ClientKeepalive($0, now: now) }
        session = HTTP2Session(
            role: .client, limits: connector.options.http2, pool: connector.pool, delegate: self, now: now)
    }

    /// Whether one more call may be sent now.
    var hasRoom: Bool { state == .ready && session.openStreams < session.maxPeerStreams }

    // MARK: Calls

    /// - Returns: false when the connection takes no more calls, ever.
    func submit(_ stream: ClientStream) -> Bool {
        let headers = stream.headers(
            authority: connector.authority, userAgent: connector.options.userAgent)
        guard let id = session.submitRequest(headers, hasBody: true, stream: stream) else {
            leave()
            return false
        }
        streams[ObjectIdentifier(stream)] = stream
        stream.sent(on: self, id: id)
        askKeepalive()
        scheduleFlush()
        return true
    }

    func resumeBody(_ id: Int32) {
        session.resumeBody(id)
        scheduleFlush()
    }

    func consume(_ id: Int32, _ count: Int) {
        session.consume(id, count)
        scheduleFlush()
    }

    func reset(_ id: Int32, _ code: HTTP2ErrorCode) {
        session.reset(id, code)
        scheduleFlush()
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        // It holds its handler.
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        // Given up while the channel was being made.
        if state == .closed { context.close(promise: nil) }
        flush()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .closed else { return }
        let now = MonotonicClock.now()
        keepalive?.heard(now: now)
        isReceiving = true
        defer { isReceiving = false }
        unwrapInboundIn(data).withUnsafeReadableBytes { bytes in
            do throws(HTTP2Session.Failure) {
                try session.receive(bytes, now: now)
            } catch {
                session.terminate(error.code)
                close(Status(.unavailable, "the server broke HTTP/2: \(error)"))
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            context.read()
        } else {
            readWanted = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            flush()
            if readWanted, context.channel.isWritable {
                readWanted = false
                context.read()
            }
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        lost()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(Status(.unavailable, "the connection failed: \(error)"))
    }

    // MARK: Sending

    private func scheduleFlush() {
        guard !isReceiving, !isFlushing, !flushScheduled, state != .closed, let context else { return }
        flushScheduled = true
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute {
            bound.value.flushScheduled = false
            bound.value.flush()
        }
    }

    private func flush() {
        guard state != .closed, sendAll() else { return }
        let isDone = session.isFinished || (state == .leaving && session.openStreams == 0 && !session.wantsToSend)
        if isDone { close(Status(.unavailable, "the server closed the connection")) }
    }

    /// Sends what is due, as far as the channel takes it.
    ///
    /// - Returns: false when there is no channel, or when it is being done already.
    private func sendAll() -> Bool {
        guard !isFlushing, let context, context.channel.isActive else { return false }
        isFlushing = true
        defer { isFlushing = false }
        while context.channel.isWritable {
            writeBuffer.clear()
            do throws(HTTP2Session.Failure) {
                try session.send { bytes in
                    noteHeaders(bytes)
                    writeBuffer.writeBytes(bytes)
                    return writeBuffer.readableBytes < Self.writeBytes
                }
            } catch {
                // Out of memory, or a callback of ours that failed.
                preconditionFailure("HTTP/2 can't be sent: \(error)")
            }
            guard writeBuffer.readableBytes > 0 else { break }
            context.write(wrapOutboundOut(writeBuffer), promise: nil)
            context.flush()
        }
        return true
    }

    /// nghttp2 hands out whole frames; ids of requests only grow (RFC 9113, 5.1.1).
    private func noteHeaders(_ frame: UnsafeRawBufferPointer) {
        let headers: UInt8 = 1
        guard frame.count >= 9, frame[3] == headers else { return }
        lastSentStream = Int32(bigEndian: frame.loadUnaligned(fromByteOffset: 5, as: Int32.self))
    }

    // MARK: Keepalive

    /// Looks after silence: when the timer says so, and when a call begins in it.
    private func askKeepalive() {
        guard state != .closed, state != .opening, keepalive != nil else { return }
        let now = MonotonicClock.now()
        follow(keepalive!.ask(now: now, hasCalls: session.openStreams > 0), now: now)
    }

    /// A call got no answer within its deadline.
    func callTimedOut(sentAt: Int64) {
        guard state != .closed, state != .opening else { return }
        let now = MonotonicClock.now()
        guard let action = keepalive?.callTimedOut(sentAt: sentAt, now: now) else { return }
        follow(action, now: now)
    }

    private func follow(_ action: ClientKeepalive.Action, now: Int64) {
        switch action {
        case .ping(let time):
            session.ping()
            scheduleFlush()
            scheduleKeepalive(in: time - now)
        case .wait(let time):
            scheduleKeepalive(in: time - now)
        case .close:
            close(Status(.unavailable, "the server did not answer a ping: the connection is dead"))
        }
    }

    private func scheduleKeepalive(in nanoseconds: Int64) {
        keepaliveTimer?.cancel()
        let eventLoop = connector.eventLoop
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        keepaliveTimer = eventLoop.scheduleTask(in: .nanoseconds(nanoseconds)) { bound.value.askKeepalive() }
    }

    // MARK: Ends

    /// Takes no more calls, and closes when those it has are over.
    func leave() {
        switch state {
        case .opening: close(Status(.unavailable, "the client is closed"))
        case .ready:
            state = .leaving
            connector.left(self, Status(.unavailable, "the server closed the connection"))
            scheduleFlush()
        case .leaving, .closed: break
        }
    }

    /// Closes now; the calls on it end with `reason`.
    func abort(_ reason: Status) {
        guard state != .closed else { return }
        session.terminate(.noError)
        close(reason)
    }

    /// Of an attempt to connect that took too long or failed.
    func giveUp(_ reason: Status) {
        if state == .opening { close(reason) }
    }

    private func close(_ reason: Status) {
        guard state != .closed else { return }
        if lostBecause == nil { lostBecause = reason }
        state = .leaving
        // What names the reason to the server goes ahead of the end.
        _ = sendAll()
        context?.close(promise: nil)
        lost()
    }

    /// The end, once: every call that is still here is told, or sent elsewhere.
    private func lost() {
        guard state != .closed else { return }
        state = .closed
        keepaliveTimer?.cancel()
        let reason = lostBecause ?? Status(.unavailable, "the server closed the connection")
        let unfinished = Array(streams.values)
        streams.removeAll()
        for stream in unfinished {
            if stream.id > lastSentStream { stream.wasNotSent() } else { stream.connectionLost(reason) }
        }
        connector.closed(self, reason)
        // It holds us, its delegate. Not at once: we may be in the middle of sending what it had left, or of taking in what
        // came; until then it still names the streams, and nobody else may hold them any more.
        let bound = NIOLoopBound((self, unfinished), eventLoop: connector.eventLoop)
        connector.eventLoop.execute { bound.value.0.session = nil }
    }
}

// MARK: - HTTP2Delegate

extension ClientConnection: HTTP2Delegate {
    func streamOpened(_ id: Int32) -> AnyObject {
        preconditionFailure("a server opened a stream, which nghttp2 does not allow without push")
    }

    func headerField(
        _ stream: AnyObject, name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>
    ) {
        call(stream).headerField(name: name, value: value)
    }

    func headersEnded(_ stream: AnyObject, kind: HeaderBlockKind, tooLarge: Bool) {
        isProven = true
        call(stream).headersEnded(tooLarge: tooLarge)
    }

    func dataReceived(_ stream: AnyObject, _ bytes: UnsafeRawBufferPointer) {
        call(stream).dataReceived(bytes)
    }

    func remoteEnded(_ stream: AnyObject) {
        call(stream).remoteEnded()
    }

    func fillBody(_ stream: AnyObject, _ buffer: UnsafeMutableRawBufferPointer) -> BodyPiece {
        call(stream).fillBody(buffer)
    }

    func localEnded(_ stream: AnyObject) {
        call(stream).requestEnded()
    }

    func streamClosed(_ stream: AnyObject, _ code: HTTP2ErrorCode) {
        // The session lends its streams without counting that as a reference; ours may be the last, so it is taken over.
        guard let stream = streams.removeValue(forKey: ObjectIdentifier(stream)) else { return }
        // On a connection that takes calls, what was not sent could not be.
        if stream.id > lastSentStream, state != .ready { stream.wasNotSent() } else { stream.closed(code) }
        connector.roomMade()
    }

    func settingsReceived() {
        if state == .opening {
            state = .ready
            askKeepalive()
            connector.ready(self)
        } else {
            connector.roomMade()
        }
    }

    func pingAcknowledged() {
        isProven = true
    }

    func goAwayReceived(lastStream: Int32, code: HTTP2ErrorCode) {
        let reason =
            code == .noError
            ? Status(.unavailable, "the server is going away")
            : Status(.unavailable, "the server sent us away: \(code)")
        lostBecause = reason
        guard state == .ready else { return }
        state = .leaving
        connector.left(self, reason, tooManyPings: code == .enhanceYourCalm)
    }

    @inline(__always)
    private func call(_ stream: AnyObject) -> ClientStream {
        unsafeDowncast(stream, to: ClientStream.self)
    }
}
