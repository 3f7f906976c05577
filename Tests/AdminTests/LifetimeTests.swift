// What a connection costs must end with it: a server that runs for months sees millions of them.

import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Admin

/// What would wait for ever fails by the time limit.
@Suite(.timeLimit(.minutes(15))) struct LifetimeTests {
    private final class Handlers: Sendable {
        private struct Entry: @unchecked Sendable {
            weak var handler: HTTPConnection?
        }

        private let entries = Mutex<[Entry]>([])

        func add(_ handler: HTTPConnection) {
            let entry = Entry(handler: handler)
            entries.withLock { $0.append(entry) }
        }

        var made: Int { entries.withLock { $0.count } }
        var alive: Int { entries.withLock { $0.count(where: { $0.handler != nil }) } }
    }

    @Test(arguments: [
        nil, "/healthz", "/metrics", "/api/v1/status", "/nothing", "/events", "/api/v1/live?q=status",
    ])
    func `Nothing of a connection is left when it has ended`(path: String?) async throws {
        let core = TestCore()
        let limits = AdminLimits.patient
        let site = Site(sources: core.sources(), recent: Recent(), limits: limits)
        let handlers = Handlers()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try HTTPConnection.install(in: channel, site: site, limits: limits, refusal: nil)
                    handlers.add(try channel.pipeline.syncOperations.handler(type: HTTPConnection.self))
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        try await blocking {
            for _ in 1...10 {
                let client = try RawClient(port: port)
                guard let path else { continue }
                try client.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                #expect(try client.head().hasPrefix("HTTP/1.1 "))
            }
        }
        // A server hears of the ends of others in its own time.
        while handlers.made < 10 || handlers.alive > 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(handlers.made == 10)
        try await listener.close()
    }
}
