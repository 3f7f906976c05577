// Connections that are over leave nothing behind.

import HTTP2
import NIOCore
import NIOEmbedded
import Testing

@testable import RPC

struct LifetimeTests {
    /// Opens and closes a channel with the handler in it; tells who is left of it.
    private func isFreed<Handler: ChannelDuplexHandler>(_ make: (EmbeddedChannel) -> Handler) throws -> Bool {
        weak var left: Handler?
        func live() throws {
            let channel = EmbeddedChannel()
            let handler = make(channel)
            left = handler
            try channel.pipeline.syncOperations.addHandler(handler)
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
            #expect(channel.isActive)
            channel.close(promise: nil)
            channel.embeddedEventLoop.run()
        }
        try live()
        return left == nil
    }

    @Test("A server's connection that was closed is freed")
    func serverConnection() throws {
        let resources = LoopResources(statistics: CallStatistics(methodCount: Echo.all.count))
        let isFreed = try isFreed { _ in
            ServerConnection(
                limits: RPCLimits(), http2: HTTP2Limits(), methods: MethodTable(Echo.all), resources: resources,
                isRefused: false)
        }
        #expect(isFreed)
    }

    @Test("A client's connection that was closed is freed")
    func clientConnection() throws {
        let isFreed = try isFreed { channel in
            ClientConnection(
                connector: Connector(
                    host: "here", port: 1, options: ClientOptions(), eventLoop: channel.embeddedEventLoop,
                    random: { 0 }),
                keepalive: nil)
        }
        #expect(isFreed)
    }
}
