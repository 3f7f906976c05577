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

    func channelActive(context: ChannelHandlerContext) {
        perform(refusal.map { exchange.refuse($0) } ?? .none)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): perform(exchange.headArrived(Request(head, limits: limits)))
        case .body(let bytes): perform(exchange.bodyArrived(bytes: bytes.readableBytes))
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
        timer?.cancel()
    }

    // MARK: What is to be done

    private func perform(_ action: Exchange.Action) {
        switch action {
        case .none: break
        case .answer(let request): answer(request)
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
        site.answer(request.route, on: context.eventLoop).assumeIsolated().whenComplete { [self] result in
            guard context.channel.isActive else { return }
            switch result {
            case .success(let answer): write(answer, withBody: request.wantsBody)
            // Only a loop that is shutting down makes no answer.
            case .failure: context.close(promise: nil)
            }
        }
    }

    private func write(_ answer: Answer, withBody: Bool) {
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenSuccess { [self] in perform(exchange.answered()) }
        context.write(wrapOutboundOut(.head(answer.head(isLast: exchange.isLastAnswer))), promise: nil)
        if withBody { context.write(wrapOutboundOut(.body(.byteBuffer(answer.body))), promise: nil) }
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
