// One daemon for many tests.

import Synchronization

/// An embedded daemon that is started when it is first needed, shared by all who ask, and gone with the process: what a
/// test suite holds in a static property.
///
///     @Suite struct ScrapersTests {
///         static let daemon = SharedDaemon()
///
///         @Test func oneAtATime() async throws {
///             try await Self.daemon.withClient { keeper in
///                 try await keeper.withAgent(named: "anna") { agent in
///                     let lease = try await agent.acquireLease(on: "page")
///                     #expect(try await agent.acquireLeaseIfFree(on: "page") == nil)
///                     try await lease.release()
///                 }
///             }
///         }
///     }
///
/// Names that no other test uses keep the tests apart.
public final class SharedDaemon: Sendable {
    private let options: EmbeddedOptions
    private let start = Mutex<Task<Result<EmbeddedDaemon, AgentKeeperError>, Never>?>(nil)

    /// A daemon that is not started yet.
    public init(_ options: EmbeddedOptions = EmbeddedOptions()) { self.options = options }

    /// The daemon, which is ready.
    ///
    /// - Throws: as ``EmbeddedDaemon/start(_:)``, to each who asks.
    public var daemon: EmbeddedDaemon {
        get async throws(AgentKeeperError) {
            let task = start.withLock { start in
                let task =
                    start
                    ?? Background.run { [options] in
                        do throws(AgentKeeperError) {
                            return .success(try await EmbeddedDaemon.start(options))
                        } catch {
                            return .failure(error)
                        }
                    }
                start = task
                return task
            }
            return try await task.value.get()
        }
    }

    /// Runs `body` with a client of its own, which is closed afterwards: agents that it registered leave.
    ///
    /// - Throws: what `body` throws, and as ``daemon``.
    @discardableResult
    public func withClient<Result>(
        configuration: ClientConfiguration = ClientConfiguration(), isolation: isolated (any Actor)? = #isolation,
        _ body: (AgentKeeperClient) async throws -> Result
    ) async throws -> Result {
        try await AgentKeeperClient.withClient(
            of: try await daemon.address, configuration: configuration, isolation: isolation, body)
    }
}
