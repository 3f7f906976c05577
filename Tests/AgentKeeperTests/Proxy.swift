// The network between a client and a daemon, which a test can cut and hold.

import AgentKeeper
import NIOCore
import NIOPosix
import Synchronization

/// Forwards connections to a daemon.
final class Proxy: Sendable {
    private struct State {
        var pairs: [ObjectIdentifier: Pair] = [:]
        var isHeld = false
        var isClosed = false
        var listener: (any Channel)?
        var accepted = 0
    }

    private let state = Mutex(State())
    private let target: (host: String, port: Int)
    /// One thread, so that what is said to it is done in order.
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let port: Int

    var address: String { "127.0.0.1:\(port)" }
    var accepted: Int { state.withLock { $0.accepted } }

    init(to address: String) async throws {
        let parts = address.split(separator: ":")
        target = (String(parts[0]), Int(parts[1])!)
        let shared = Box()
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                shared.take()?.accept(channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = listener.localAddress!.port!
        state.withLock { $0.listener = listener }
        shared.put(self)
    }

    private final class Box: Sendable {
        private struct Weak { weak var proxy: Proxy? }
        private let box = Mutex(Weak())
        func put(_ proxy: Proxy) { box.withLock { $0.proxy = proxy } }
        func take() -> Proxy? { box.withLock { $0.proxy } }
    }

    private func accept(_ inner: any Channel) {
        state.withLock { $0.accepted += 1 }
        let pair = Pair(inner: inner)
        ClientBootstrap(group: group).channelOption(.autoRead, value: false)
            .connect(host: target.host, port: target.port)
            .whenComplete { [self] result in
                guard case .success(let outer) = result else { return inner.close(promise: nil) }
                pair.outer = outer
                _ = inner.pipeline.addHandler(Forwarder(to: outer))
                _ = outer.pipeline.addHandler(Forwarder(to: inner))
                let (isHeld, isClosed) = state.withLock { state in
                    state.pairs[ObjectIdentifier(pair)] = pair
                    return (state.isHeld, state.isClosed)
                }
                if isClosed { return pair.close() }
                if !isHeld { pair.setReading(true) }
            }
        inner.closeFuture.whenComplete { [self] _ in
            _ = state.withLock { $0.pairs.removeValue(forKey: ObjectIdentifier(pair)) }
        }
    }

    /// Closes every connection; new ones are taken.
    ///
    /// - Returns: how many there were.
    @discardableResult func cut() async -> Int {
        await onLoop {
            let pairs = self.takePairs()
            for pair in pairs { pair.close() }
            return pairs.count
        } ?? 0
    }

    /// Lets nothing through in either direction, of new connections neither, as a network that is down.
    func hold() async { await setHeld(true) }

    /// Lets everything through again, what was held first.
    func letGo() async { await setHeld(false) }

    /// Forgets the connections without a word to either side, as a router that restarted: what comes later for them
    /// goes nowhere. New ones are taken.
    func forget() async {
        await onLoop {
            for pair in self.takePairs() { pair.setReading(false) }
        }
    }

    private func takePairs() -> [Pair] {
        state.withLock { state in
            defer { state.pairs.removeAll() }
            return Array(state.pairs.values)
        }
    }

    private func setHeld(_ isHeld: Bool) async {
        await onLoop {
            let pairs = self.state.withLock { state in
                state.isHeld = isHeld
                return Array(state.pairs.values)
            }
            for pair in pairs { pair.setReading(!isHeld) }
        }
    }

    @discardableResult
    private func onLoop<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result? {
        try? await group.next().submit(body).get()
    }

    func close() async {
        let listener = state.withLock { state in
            state.isClosed = true
            return state.listener
        }
        try? await listener?.close()
        await cut()
        try? await group.shutdownGracefully()
    }

    private final class Pair: @unchecked Sendable {
        // Touched on the proxy's one event loop.
        let inner: any Channel
        var outer: (any Channel)?

        init(inner: any Channel) { self.inner = inner }

        func setReading(_ isReading: Bool) {
            for channel in [inner, outer].compactMap({ $0 }) {
                channel.setOption(.autoRead, value: isReading).whenComplete { _ in if isReading { channel.read() } }
            }
        }

        func close() {
            inner.close(promise: nil)
            outer?.close(promise: nil)
        }
    }

    private final class Forwarder: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        private let other: any Channel

        init(to other: any Channel) { self.other = other }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            other.writeAndFlush(unwrapInboundIn(data), promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// Runs `body` with a daemon of its own and a client that reaches it through a proxy.
func withNetwork(
    _ configuration: ClientConfiguration = ClientConfiguration(),
    _ body: (AgentKeeperClient, Proxy, EmbeddedDaemon) async throws -> Void
) async throws {
    let daemon = try await EmbeddedDaemon.startAlone()
    let proxy = try await Proxy(to: daemon.address)
    do {
        try await AgentKeeperClient.withClient(of: proxy.address, configuration: configuration) { keeper in
            try await body(keeper, proxy, daemon)
        }
    } catch {
        await proxy.close()
        await daemon.stop(patience: .zero)
        throw error
    }
    await proxy.close()
    await daemon.stop()
}
