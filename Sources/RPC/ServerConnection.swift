// One client's connection: the NIO handler around an HTTP/2 session and its calls.
//
// What a read brought is taken in at once, calls run to their answer within it, and everything that is
// to be sent leaves in one write at the end of the batch. Two rules keep a peer that does not read from
// costing memory: nothing is taken out of nghttp2 while the channel is not writable, and nothing is
// read from the peer either.

import HTTP2
import NIOCore

final class ServerConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// One write to the socket; a larger batch is more writes.
    private static let writeBytes = 131_072

    let limits: RPCLimits
    let maxHeaderListBytes: Int
    /// Windows are opened in steps of so many bytes, so that a small request causes no WINDOW_UPDATE,
    /// and before they are closed.
    let windowStepBytes: Int
    let methods: MethodTable
    let resources: LoopResources
    private(set) var session: HTTP2Session!
    private var context: ChannelHandlerContext!
    private(set) var eventLoop: (any EventLoop)!
    /// The calls of this connection, in the order in which they came, newest first.
    private var calls: ServerCall?
    var bufferedRequestBytes = 0
    var bufferedResponseBytes = 0
    private var awaitingRoom: [ServerCall] = []

    private var withDeadline: [ServerCall] = []
    private var writable: [ServerCall] = []
    private var awaitingWrite: [(Bool) -> Void] = []

    /// As the channel last told. Asking it costs more than all else that a flush of one answer does.
    private var isWritable = true
    private var readWanted = false
    private var isReceiving = false
    private var isFlushing = false
    private var flushScheduled = false
    private var closing = false

    /// The other end's address and port; empty when it is gone.
    private(set) lazy var peer = context?.remoteAddress?.peer ?? ""

    private let openedAt: Int64
    private var heardAt: Int64
    private var heardAnything = false
    private var speaksHTTP2 = false
    private var pingedAt: Int64?
    /// When the connection had nothing left to do but to hand over what is written.
    private var endsAt: Int64?
    private var countedAbuse = false
    private(set) var draining = false
    /// One connection too many: it is told so, and closed, as soon as it is there.
    private let isRefused: Bool

    init(limits: RPCLimits, http2: HTTP2Limits, methods: MethodTable, resources: LoopResources, isRefused: Bool) {
        self.limits = limits
        self.methods = methods
        self.resources = resources
        self.isRefused = isRefused
        maxHeaderListBytes = http2.maxHeaderListBytes
        windowStepBytes = min(65_536, Int(http2.streamWindowBytes) / 4)
        openedAt = resources.refreshClock()
        heardAt = openedAt
        session = HTTP2Session(role: .server, limits: http2, pool: resources.pool, delegate: self, now: openedAt)
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        eventLoop = context.eventLoop
        resources.connections[ObjectIdentifier(self)] = self
        resources.statistics.add(.openConnections)
        resources.statistics.add(.acceptedConnections)
    }

    /// Comes to every connection, to one too that was closed before it was active.
    func handlerRemoved(context: ChannelHandlerContext) {
        closing = true
        resources.statistics.add(.openConnections, -1)
        resources.connections[ObjectIdentifier(self)] = nil
        // The session keeps its delegate, this object, alive, and the context its handler.
        session = nil
        self.context = nil
    }

    /// Our SETTINGS wait for the client's first bytes: these may be HTTP/1, which is answered as such.
    func channelActive(context: ChannelHandlerContext) {
        if isRefused { refuse() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !closing else { return }
        let buffer = unwrapInboundIn(data)
        heardAt = resources.refreshClock()
        pingedAt = nil
        resources.statistics.add(.receivedBytes, Int64(buffer.readableBytes))
        isReceiving = true
        defer { isReceiving = false }
        buffer.withUnsafeReadableBytes { bytes in
            if !heardAnything, answerForeignProtocol(bytes) { return }
            heardAnything = true
            do throws(HTTP2Session.Failure) {
                try session.receive(bytes, now: heardAt)
                if session.calmDownSent, !countedAbuse {
                    countedAbuse = true
                    tellOfAbuse("a flood of frames that bring nothing")
                }
            } catch {
                tellOfAbuse(error.description)
                session.terminate(error.code)
                flush()
                close()
            }
        }
    }

    private func tellOfAbuse(_ reason: String) {
        resources.statistics.add(.abusiveConnections)
        resources.incidents?.tell(.connectionEnded(peer: peer, reason: reason))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !withDeadline.isEmpty {
            for call in withDeadline { call.scheduleDeadline() }
            withDeadline.removeAll(keepingCapacity: true)
        }
        flush()
    }

    func read(context: ChannelHandlerContext) {
        if isWritable {
            context.read()
        } else {
            readWanted = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        guard isWritable else { return }
        flush()
        if readWanted, isWritable {
            readWanted = false
            context.read()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        closing = true
        endAllCalls()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset by the peer, or a socket that failed: there is nobody left to tell.
        close()
    }

    /// The peer said something else than HTTP/2's preface. A browser or a health check that knocks at
    /// the wrong port gets an answer that it can show.
    private func answerForeignProtocol(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first else { return false }
        let isHTTP1 =
            [UInt8(ascii: "G"), UInt8(ascii: "H"), UInt8(ascii: "O"), UInt8(ascii: "D")].contains(first)
            || bytes.starts(with: "POST ".utf8) || bytes.starts(with: "PUT ".utf8)
        guard isHTTP1 else { return false }
        let text = "This port speaks gRPC over HTTP/2 with prior knowledge, not HTTP/1.\n"
        let answer =
            "HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain; charset=utf-8\r\n"
            + "content-length: \(text.utf8.count)\r\nconnection: close\r\n\r\n\(text)"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        close()
        return true
    }

    private func close() {
        guard !closing else { return }
        closing = true
        context.close(promise: nil)
    }

    // MARK: Sending

    /// Sends what is due: at the end of the read batch if one is under way, else at the end of this
    /// turn of the event loop, so that many answers leave in one write.
    func scheduleFlush() {
        guard !isReceiving, !isFlushing, !flushScheduled, !closing else { return }
        flushScheduled = true
        if resources.flushLater(self) { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { bound.value.flushNow() }
    }

    /// What was scheduled.
    func flushNow() {
        flushScheduled = false
        flush()
    }

    private func flush() {
        guard !isFlushing, !closing else { return }
        isFlushing = true
        defer { isFlushing = false }
        // Writing may find the peer gone, which ends everything here.
        while !closing, isWritable {
            // Where the last write still waits in the channel, a small new buffer, not one as large again.
            resources.writeBuffer.clear(minimumCapacity: 1_024)
            do throws(HTTP2Session.Failure) {
                try session.send { bytes in
                    // `writeBytes` costs three times as much for so few.
                    resources.writeBuffer.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count) { room in
                        room.copyMemory(from: bytes)
                        return bytes.count
                    }
                    return resources.writeBuffer.readableBytes < Self.writeBytes
                }
            } catch {
                return close()
            }
            let count = resources.writeBuffer.readableBytes
            if count > 0 {
                resources.statistics.add(.sentBytes, Int64(count))
                context.writeAndFlush(wrapOutboundOut(resources.writeBuffer), promise: deliveryPromise())
            }
            if !writable.isEmpty {
                let calls = writable
                writable.removeAll(keepingCapacity: true)
                for call in calls { call.tellWritable() }
            } else if count < Self.writeBytes {
                break
            }
        }
        resources.recycleRetired()
        guard !closing else { return }
        let isDrained = draining && refusedNewStreams && session.openStreams == 0 && !session.wantsToSend
        if session.isFinished || isDrained { closeWhenWritten() }
    }

    /// Closes when what was written has left: closing at once would throw it away.
    private func closeWhenWritten() {
        guard endsAt == nil else { return }
        endsAt = resources.now
        let written = eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        written.futureResult.whenComplete { _ in bound.value.close() }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }

    /// Tells those who asked whether their answer reached the operating system.
    private func deliveryPromise() -> EventLoopPromise<Void>? {
        guard !awaitingWrite.isEmpty else { return nil }
        let handlers = awaitingWrite
        awaitingWrite.removeAll()
        let promise = eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { result in
            let delivered = if case .success = result { true } else { false }
            for handler in handlers { handler(delivered) }
        }
        return promise
    }

    /// Whether another answer may be made ready, with all those that wait already.
    var hasRoomToAnswer: Bool { bufferedResponseBytes <= limits.maxBufferedConnectionResponseBytes }

    /// Notes a call that wants to know when there is room again.
    ///
    /// - Returns: false, for there is none.
    func awaitRoom(_ call: ServerCall) -> Bool {
        if !call.awaitsRoom {
            call.awaitsRoom = true
            awaitingRoom.append(call)
        }
        return false
    }

    /// So many bytes of answers have been taken by the session, or are not wanted any more.
    func answered(_ count: Int) {
        bufferedResponseBytes -= count
        guard !awaitingRoom.isEmpty,
            bufferedResponseBytes < limits.maxBufferedConnectionResponseBytes / 2
        else { return }
        for call in awaitingRoom {
            call.awaitsRoom = false
            writable.append(call)
        }
        awaitingRoom.removeAll()
    }

    func awaitWrite(_ handler: @escaping (Bool) -> Void) { awaitingWrite.append(handler) }
    func becameWritable(_ call: ServerCall) { writable.append(call) }
    func hasDeadline(_ call: ServerCall) { withDeadline.append(call) }
    func mayBuffer(_ count: Int) -> Bool { bufferedRequestBytes + count <= limits.maxBufferedRequestBytes }

    // MARK: Ends

    private var refusedNewStreams = false

    /// The first step of a graceful end: calls that wait are told, calls that arrive are served, the
    /// client is asked to open no more. The second follows when the ping shows that it has heard.
    func drain() {
        guard !draining, !closing else { return }
        draining = true
        // Nobody has said a word: a probe, which is owed nothing.
        guard heardAnything else { return close() }
        session.announceShutdown()
        session.ping()
        forEachCall { $0.drain() }
        flush()
    }

    /// Ends a connection without calls, whose client does not answer the ping of `drain`.
    func abortIfIdle() {
        if !closing, session.openStreams == 0 { abort() }
    }

    /// Ends the connection as it is.
    func abort() {
        guard !closing else { return }
        session.terminate(.noError)
        flush()
        close()
    }

    /// Refuses the connection, with a GOAWAY that says why.
    private func refuse() {
        session.terminate(.enhanceYourCalm)
        flush()
        close()
    }

    /// Looks after what time alone brings; runs every few seconds.
    func sweep() {
        guard !closing else { return }
        let now = resources.now
        let second: Int64 = 1_000_000_000
        if !speaksHTTP2 {
            if now - openedAt > limits.prefaceTimeoutSeconds * second { close() }
            return
        }
        if let endsAt, now - endsAt > limits.keepaliveTimeoutSeconds * second { return close() }
        let longAgo = now - limits.requestTimeoutSeconds * second
        forEachCall { call in
            if call.isSlow(since: longAgo) { call.timeOutRequest() }
            if call.isStuck(since: longAgo) { call.giveUpAnswer() }
        }
        if let pingedAt {
            if now - pingedAt > limits.keepaliveTimeoutSeconds * second { return close() }
        } else if session.openStreams > 0, now - heardAt > limits.keepaliveSeconds * second {
            pingedAt = now
            session.ping()
        }
        flush()
    }

    private func forEachCall(_ body: (ServerCall) -> Void) {
        var call = calls
        while let current = call {
            call = current.next
            body(current)
        }
    }

    private func endAllCalls() {
        forEachCall { $0.streamClosed() }
        // A list of thousands would be freed by recursion, each call freeing the next.
        while let call = calls {
            calls = call.next
            call.next = nil
        }
        for handler in awaitingWrite { handler(false) }
        awaitingWrite.removeAll()
        resources.statistics.add(.openStreams, -Int64(session.openStreams))
    }
}

// MARK: - HTTP2Delegate

extension ServerConnection: HTTP2Delegate {
    func streamOpened(_ id: Int32) -> AnyObject {
        let call = resources.makeCall()
        call.begin(on: self, id: id)
        call.next = calls
        calls?.previous = call
        calls = call
        resources.statistics.add(.openStreams)
        return call
    }

    func headerField(
        _ stream: AnyObject, name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>
    ) {
        call(stream).headerField(name: name, value: value)
    }

    func headersEnded(_ stream: AnyObject, kind: HeaderBlockKind, tooLarge: Bool) {
        call(stream).headersEnded(kind: kind, tooLarge: tooLarge)
    }

    func dataReceived(_ stream: AnyObject, _ bytes: UnsafeRawBufferPointer) {
        call(stream).dataReceived(bytes)
    }

    func remoteEnded(_ stream: AnyObject) {
        call(stream).requestEnded()
    }

    func fillBody(_ stream: AnyObject, _ buffer: UnsafeMutableRawBufferPointer) -> BodyPiece {
        call(stream).fillBody(buffer)
    }

    func localEnded(_ stream: AnyObject) {
        call(stream).lastFrameSent()
    }

    func streamClosed(_ stream: AnyObject, _ code: HTTP2ErrorCode) {
        let call = call(stream)
        // Kept alive here, for the list lets go of it.
        resources.retire(call)
        call.streamClosed()
        if let previous = call.previous { previous.next = call.next } else { calls = call.next }
        call.next?.previous = call.previous
        call.next = nil
        call.previous = nil
        resources.statistics.add(.openStreams, -1)
    }

    func settingsReceived() {
        speaksHTTP2 = true
    }

    func pingAcknowledged() {
        if draining, !refusedNewStreams {
            refusedNewStreams = true
            session.refuseNewStreams()
        }
    }

    func goAwayReceived(lastStream: Int32, code: HTTP2ErrorCode) {
        // The client opens no more streams; those that are open are served to their end.
    }

    @inline(__always)
    private func call(_ stream: AnyObject) -> ServerCall {
        unsafeDowncast(stream, to: ServerCall.self)
    }
}

extension SocketAddress {
    /// As in a log.
    var peer: String {
        guard let ip = ipAddress, let port else { return description }
        return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
    }
}
