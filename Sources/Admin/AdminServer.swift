// The second listener: HTTP/1.1 for people and their tools. Health, readiness, metrics, the page, and what the page shows
// as JSON and as streams of events.
//
// It stands apart from the calls: another port, other limits. What it reads of the core it reads in looks that are no
// longer than those of calls, some hundred records or two thousand events, but for `Machine.oldestPendingAge` at a scrape.
// The event loops are shared, since parsing a request costs microseconds; metrics and JSON are written elsewhere.

import NIOCore
import NIOPosix
import Synchronization

package final class AdminServer: Sendable {
    private let limits: AdminLimits
    private let group: any EventLoopGroup
    private let site: Site
    private let sources: AdminSources
    private let recent: Recent

    private struct State {
        var listener: (any Channel)?
        var connections: [ObjectIdentifier: any Channel] = [:]
        var isStopping = false
        var sampler: RepeatedTask?
    }

    private let state = Mutex(State())

    /// Thrown out of a new channel's initializer, it closes the channel.
    private struct Unwelcome: Error {}

    package init(limits: AdminLimits = AdminLimits(), group: any EventLoopGroup, sources: AdminSources) {
        self.limits = limits
        self.group = group
        self.sources = sources
        recent = Recent()
        site = Site(sources: sources, recent: recent, limits: limits)
    }

    /// Opens the port. Requests are served from now on.
    ///
    /// - Returns: the address, with the port that was chosen where 0 was asked for.
    /// - Throws: `IOError` when the address is taken or not ours.
    package func start(host: String, port: Int) async throws -> SocketAddress {
        try await start { $0.bind(host: host, port: port) }
    }

    /// The same, of a port or of a socket that is open already.
    ///
    /// - Parameter bind: makes the listener, as `ServerBootstrap` offers it.
    package func start(_ bind: (ServerBootstrap) -> EventLoopFuture<any Channel>) async throws -> SocketAddress {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // Out of file descriptors: accept again a little later, not at once and for ever.
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler())
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: limits.readBytes)
            )
            // A client may close its side after the request and still read the answer.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try accept(channel) }
            }
        let channel = try await bind(bootstrap).get()
        let sampler = group.next().scheduleRepeatedTask(
            initialDelay: .zero, delay: .milliseconds(Recent.intervalMilliseconds)
        ) { [sources, recent] _ in
            let now = sources.now()
            let (counts, last, clock) = sources.coordinator.read(at: now) {
                ($0.counts, $0.lastSequence, $0.lastInstant)
            }.result
            recent.take(sources.load(), counts, last: last, at: clock)
        }
        state.withLock { state in
            state.listener = channel
            state.sampler = sampler
        }
        return channel.localAddress!
    }

    private func accept(_ channel: any Channel) throws {
        let id = ObjectIdentifier(channel)
        let position = try state.withLock { state in
            let isFull = state.connections.count >= limits.maxConnections + limits.maxRefusals
            if isFull || state.isStopping { throw Unwelcome() }
            state.connections[id] = channel
            return state.connections.count
        }
        channel.closeFuture.whenComplete { [self] _ in state.withLock { $0.connections[id] = nil } }
        let refusal = position > limits.maxConnections ? Problem.tooManyConnections : nil
        try HTTPConnection.install(in: channel, site: site, limits: limits, refusal: refusal)
    }

    /// Ends: the port is closed, connections that are owed nothing are closed, answers under way are
    /// finished within `AdminLimits.drainTimeout`. Returns when every connection is closed. The event
    /// loops must outlive it.
    package func stop() async {
        let (listener, connections, sampler) = state.withLock { state in
            state.isStopping = true
            return (state.listener, Array(state.connections.values), state.sampler)
        }
        sampler?.cancel()
        let loop = group.any()
        var ends = connections.map(\.closeFuture)
        if let listener {
            listener.close(promise: nil)
            ends.append(listener.closeFuture)
        }
        for connection in connections { connection.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        let patience = loop.scheduleTask(in: limits.drainTimeout) {
            for connection in connections { connection.close(promise: nil) }
        }
        await withCheckedContinuation { continuation in
            EventLoopFuture.andAllComplete(ends, on: loop).whenComplete { _ in continuation.resume() }
        }
        patience.cancel()
    }
}

extension SocketAddress {
    /// As a person writes it: `127.0.0.1:7070`, `[::1]:7070`.
    package var display: String {
        guard let ip = ipAddress, let port else { return "\(self)" }
        return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
    }

    /// Whether only this machine can reach it.
    package var isLoopback: Bool {
        guard let ip = ipAddress else { return true }
        return ip.hasPrefix("127.") || ip == "::1" || ip.hasPrefix("::ffff:127.")
    }
}
