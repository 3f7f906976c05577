// A gRPC server: a listener, its connections, and their end.

import HTTP2
import NIOCore
import NIOPosix
import Synchronization

package final class Server: Sendable {
    private let limits: RPCLimits
    private let http2: HTTP2Limits
    private let methods: MethodTable
    private let group: any EventLoopGroup
    private let loops: [Loop]
    private let released = ReleasedAnswers()
    private let openConnections = Atomic<Int>(0)
    private let listener = Mutex<(any Channel)?>(nil)
    private let draining = Atomic<Bool>(false)

    /// How often the connections of a loop are looked after.
    private static let sweepSeconds: Int64 = 5

    /// How long a client without calls may take to answer the ping that ends its connection.
    private static let idleGraceNanoseconds: Int64 = 500_000_000

    /// A loop and what is confined to it.
    private struct Loop: @unchecked Sendable {
        let eventLoop: any EventLoop
        let resources: LoopResources
    }

    package init(
        methods: [Method], limits: RPCLimits = RPCLimits(), http2: HTTP2Limits = HTTP2Limits(),
        group: any EventLoopGroup, incidents: IncidentListener? = nil
    ) {
        self.limits = limits
        self.http2 = http2
        self.methods = MethodTable(methods)
        self.group = group
        loops = group.makeIterator().map { [released] eventLoop in
            Loop(
                eventLoop: eventLoop,
                resources: LoopResources(
                    statistics: CallStatistics(methodCount: methods.count), released: released,
                    incidents: incidents))
        }
    }

    /// Lets the answers leave that `ServerCall.holdAnswer` keeps back until this number or a smaller one. Numbers only
    /// grow; one thread at a time.
    package func releaseAnswers(upTo number: UInt64) {
        released.set(number)
        for loop in loops where loop.resources.holdsAnswers.load(ordering: .sequentiallyConsistent) {
            loop.eventLoop.execute { loop.resources.releaseAnswers() }
        }
    }

    /// Opens the port. Calls are served from now on.
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
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // Out of file descriptors: accept again a little later, not at once and for ever.
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler())
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            // What waits in a channel waits once for each slow reader.
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 8_192, high: 16_384))
            // A client that lost its power with no call open would be kept for ever.
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try accept(channel) }
            }
        let channel = try await bind(bootstrap).get()
        listener.withLock { $0 = channel }
        for loop in loops {
            loop.eventLoop.scheduleRepeatedTask(
                initialDelay: .seconds(Self.sweepSeconds), delay: .seconds(Self.sweepSeconds)
            ) { [weak self] task in
                guard self != nil else { return task.cancel() }
                loop.resources.refreshClock()
                for connection in loop.resources.connections.values { connection.sweep() }
            }
        }
        return channel.localAddress!
    }

    private func accept(_ channel: any Channel) throws {
        let loop = loop(of: channel.eventLoop)
        let count = openConnections.add(1, ordering: .relaxed).newValue
        channel.closeFuture.whenComplete { [self] _ in openConnections.subtract(1, ordering: .relaxed) }
        let isOver = count > limits.maxConnections
        // Who comes while the server ends is refused as well, which is nothing that anybody need be told.
        let isRefused = isOver || draining.load(ordering: .relaxed)
        if isOver {
            loop.resources.statistics.add(.refusedConnections)
            loop.resources.incidents?.tell(
                .connectionRefused(
                    peer: channel.remoteAddress?.peer ?? "",
                    reason: "\(limits.maxConnections) connections are open, the most there may be"))
        }
        let connection = ServerConnection(
            limits: limits, http2: http2, methods: methods, resources: loop.resources, isRefused: isRefused)
        try channel.pipeline.syncOperations.addHandler(connection)
    }

    private func loop(of eventLoop: any EventLoop) -> Loop {
        guard let loop = loops.first(where: { $0.eventLoop === eventLoop }) else {
            preconditionFailure("a connection on an event loop of another group")
        }
        return loop
    }

    /// Ends gracefully: the port is closed, clients are sent GOAWAY, calls that are arriving are
    /// answered, waiting and streaming ones end with UNAVAILABLE. Returns when every connection is
    /// closed, `RPCLimits.drainSeconds` later at the most.
    package func drain() async {
        guard !draining.exchange(true, ordering: .relaxed) else { return }
        let channel = listener.withLock { $0 }
        try? await channel?.close().get()  // Closed already is closed.
        await forEachConnection { $0.drain() }
        let start = MonotonicClock.now()
        var patient = true
        while openConnections.load(ordering: .relaxed) > 0 {
            let waited = MonotonicClock.now() - start
            if waited > limits.drainSeconds * 1_000_000_000 { break }
            if patient, waited > Self.idleGraceNanoseconds {
                patient = false
                await forEachConnection { $0.abortIfIdle() }
            }
            try? await Task.sleep(for: .milliseconds(10))  // Cancelled: give up waiting, close.
            if Task.isCancelled { break }
        }
        await forEachConnection { $0.abort() }
    }

    private func forEachConnection(_ body: @escaping @Sendable (ServerConnection) -> Void) async {
        for loop in loops {
            let done = loop.eventLoop.submit {
                for connection in Array(loop.resources.connections.values) { body(connection) }
            }
            try? await done.get()  // Fails only when the loop is gone, and its connections with it.
        }
    }

    /// What the server has counted until now.
    package func snapshot() -> ServerSnapshot {
        let indices: [Int?] = methods.methods.indices.map { $0 } + [nil]
        var snapshot = ServerSnapshot(
            methods: indices.map { index in
                var method = MethodSnapshot(
                    path: index.map { methods.methods[$0].path } ?? "unknown",
                    kind: index.map { methods.methods[$0].kind })
                for loop in loops { loop.resources.statistics.add(index, to: &method) }
                return method
            })
        for loop in loops {
            let statistics = loop.resources.statistics
            snapshot.openConnections += statistics.total(.openConnections)
            snapshot.acceptedConnections += statistics.total(.acceptedConnections)
            snapshot.refusedConnections += statistics.total(.refusedConnections)
            snapshot.abusiveConnections += statistics.total(.abusiveConnections)
            snapshot.openStreams += statistics.total(.openStreams)
            snapshot.receivedBytes += statistics.total(.receivedBytes)
            snapshot.sentBytes += statistics.total(.sentBytes)
        }
        return snapshot
    }
}
