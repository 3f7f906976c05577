// One client's connection: the NIO handler around an `Exchange`. The exchange decides, this does it:
// reads, writes, timers, the two ways to close.

import NIOCore
import NIOHTTP1

final class HTTPConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = HTTPServerResponsePart

    private let limits: AdminLimits
    private let site: Site
    /// Set where the connection is over the limit and is only told so.
    private let refusal: Problem?
    private var exchange: Exchange
    private var context: ChannelHandlerContext!
    private var readWanted = false
    private var timer: Scheduled<Void>?
    /// Set while an answer goes on.
    private var stream: Task<Void, Never>?
    private var streamHasEnded = false
    /// The step of the exchange that the timer belongs to.
    private var timedStep = -1

    init(site: Site, limits: AdminLimits, refusal: Problem?) {
        self.limits = limits
        self.site = site
        self.refusal = refusal
        exchange = Exchange(limits: limits)
    }

    /// Puts the parser, the encoder and the connection into a new channel.
    static func install(
        in channel: any Channel, site: Site, limits: AdminLimits, refusal: Problem?
    ) throws {
        var head = NIOHTTPDecoderLimitConfiguration()
        head.maxHeaderFieldSize = limits.maxHeadBytes
        head.maxHeaderListSize = limits.maxHeadBytes
        head.maxHeaderFieldCount = limits.maxHeadFields
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: head)
        try channel.pipeline.syncOperations.addHandlers(
            HTTPResponseEncoder(), ByteToMessageHandler(decoder),
            HTTPConnection(site: site, limits: limits, refusal: refusal))
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    private var peer: String? { context.remoteAddress?.display }

    /// Whether the client came to an address that only this machine has.
    private var isLocal: Bool { context.localAddress?.isLoopback ?? true }

    func channelActive(context: ChannelHandlerContext) {
        perform(refusal.map { exchange.refuse($0) } ?? .none)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): perform(exchange.headArrived(Request(head, peer: peer, isLocal: isLocal, limits: limits)))
        case .body(let bytes): perform(exchange.bodyArrived(bytes))
        case .end: perform(exchange.endArrived())
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        perform(exchange.readCompleted())
    }

    func read(context: ChannelHandlerContext) {
        if exchange.isReading {
            context.read()
        } else {
            readWanted = true
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: perform(exchange.inputClosed())
        case is ChannelShouldQuiesceEvent: perform(exchange.drain())
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case let error as HTTPParserError: perform(exchange.refuse(Problem(error)))
        // More of what could not be parsed; that has been said already.
        case is ByteToMessageDecoderError: break
        // A reset by the peer, or a socket that failed: there is nobody left to tell.
        default: context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        stream?.cancel()
        timer?.cancel()
    }

    // MARK: What is to be done

    private func perform(_ action: Exchange.Action) {
        switch action {
        case .none: break
        case .answer(let request): answer(request)
        case .endStream: endStream()
        case .linger: context.close(mode: .output, promise: nil)
        case .close: context.close(promise: nil)
        }
        guard context.channel.isActive else { return }
        restartTimer()
        if readWanted, exchange.isReading {
            readWanted = false
            context.read()
        }
    }

    private func answer(_ request: Request) {
        site.respond(to: request, on: context.eventLoop).assumeIsolated().whenComplete { [self] result in
            guard context.channel.isActive else {
                if case .success(.stream(let source)) = result { source.end() }
                return
            }
            switch result {
            case .success(.answer(let answer)): write(answer, withBody: request.wantsBody)
            case .success(.stream(let source)): begin(source)
            // Only a loop that is shutting down makes no answer.
            case .failure: context.close(promise: nil)
            }
        }
    }

    private func write(_ answer: Answer, withBody: Bool) {
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenSuccess { [self] in perform(exchange.answered()) }
        let head = HTTPResponseHead(answer, isLast: exchange.isLastAnswer)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if withBody { context.write(wrapOutboundOut(.body(.byteBuffer(answer.body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: sent)
    }

    /// Sends piece after piece, each when the one before is in the socket, until the source ends or the client goes. A
    /// piece that isn't taken in time is the last.
    private func begin(_ source: any PieceSource) {
        exchange.streamBegan()
        perform(.none)
        context.writeAndFlush(wrapOutboundOut(.head(.stream())), promise: nil)
        let (channel, timeout) = (context.channel, limits.answerTimeout)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        stream = Task {
            var source = source
            defer { source.end() }
            while let piece = await source.next(), !Task.isCancelled {
                let patience = channel.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
                defer { patience.cancel() }
                let sent = channel.eventLoop.flatSubmit { [bound] in bound.value.send(piece) }
                guard (try? await sent.get()) != nil else { return }
            }
            try? await channel.eventLoop.submit { [bound] in bound.value.endStream() }.get()
        }
    }

    /// A piece that was made when the end was said already is not sent behind it.
    private func send(_ piece: ByteBuffer) -> EventLoopFuture<Void> {
        guard !streamHasEnded else { return context.eventLoop.makeFailedFuture(ChannelError.eof) }
        return context.channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(piece)))
    }

    /// The end is said, behind whatever is still being sent, and not just cut off: a client then knows that it has all.
    private func endStream() {
        stream?.cancel()
        guard context.channel.isActive, !streamHasEnded else { return }
        streamHasEnded = true
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenComplete { [self] _ in context.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: sent)
    }

    private func restartTimer() {
        guard timedStep != exchange.step else { return }
        timedStep = exchange.step
        timer?.cancel()
        timer = exchange.timeout.map { timeout in
            context.eventLoop.assumeIsolated().scheduleTask(in: timeout) { [self] in
                guard context.channel.isActive else { return }
                perform(exchange.timedOut())
            }
        }
    }
}
