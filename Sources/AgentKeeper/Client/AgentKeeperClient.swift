/// A client of one daemon: the way to everything else in this module.
///
/// Any number of tasks may use it at once. Their calls go over one connection, and what waits or streams over another;
/// each is made when it is first needed, and made anew when it breaks. Close it when it is not needed any more: agents that are still registered through
/// it leave, and their leases are free at once.
///
///     let keeper = try await AgentKeeperClient.connect(to: address)
///     let pages = try await keeper.withAgent(named: "scraper-1", tools: ["browser"]) { agent in
///         try await agent.withLease(on: "task:42", ttl: .seconds(120)) { lease in
///             try await scrape("example.com", token: lease.token)
///         }
///     }
///     await keeper.close()
///
/// Calls throw ``AgentKeeperError``. Each takes a `timeout`, nil for ``ClientConfiguration/callTimeout``; within it a
/// call waits for a connection and is tried again when one breaks. That is safe for all of them: a repeated call
/// changes nothing twice.
public final class AgentKeeperClient: Sendable {
    let core: ClientCore

    /// The daemon that was started for this client; nil for one that is somebody else's.
    public var daemon: EmbeddedDaemon? { core.daemon }

    init(core: ClientCore) {
        self.core = core
    }

    /// A client of the daemon at an address. The connection is made with the first call, so this succeeds whether or
    /// not a daemon is there; ``waitUntilReady(timeout:)`` tells.
    ///
    /// - Parameters:
    ///   - address: `HOST:PORT`, cleartext HTTP/2. Without a port it is 7070.
    ///   - configuration: how to deal with the connection.
    /// - Throws: ``AgentKeeperError/invalidArgument(_:)`` for an address that is none.
    public static func connect(
        to address: String = "127.0.0.1:7070", configuration: ClientConfiguration = ClientConfiguration()
    ) async throws(AgentKeeperError) -> AgentKeeperClient {
        AgentKeeperClient(core: ClientCore(address: try ServerAddress(address), configuration: configuration))
    }

    /// Runs `body` with a client that is closed afterwards, whatever happens.
    ///
    /// - Throws: what `body` throws, and as ``connect(to:configuration:)``.
    @discardableResult
    public static func withClient<Result>(
        of address: String = "127.0.0.1:7070", configuration: ClientConfiguration = ClientConfiguration(),
        isolation: isolated (any Actor)? = #isolation, _ body: (AgentKeeperClient) async throws -> Result
    ) async throws -> Result {
        try await run(try await connect(to: address, configuration: configuration), isolation: isolation, body)
    }

    /// Starts a daemon for this client, and returns when it is ready. It ends with ``close()``, or with the process,
    /// however that ends. Two at once don't meet: each has a free port and a state of its own.
    ///
    /// - Parameters:
    ///   - options: which program, where its state is kept, further flags.
    ///   - configuration: how to deal with the connection.
    /// - Throws: ``AgentKeeperError/daemon(_:)`` when the program can't be found or does not start; with the last lines
    ///   of its log.
    public static func embedded(
        _ options: EmbeddedOptions = EmbeddedOptions(), configuration: ClientConfiguration = ClientConfiguration()
    ) async throws(AgentKeeperError) -> AgentKeeperClient {
        let daemon = try await EmbeddedDaemon.start(options)
        let address = try ServerAddress(daemon.address)
        let core = ClientCore(address: address, configuration: configuration, daemon: daemon)
        core.beginMourning()
        return AgentKeeperClient(core: core)
    }

    /// Runs `body` with an embedded daemon that is stopped afterwards, whatever happens.
    ///
    ///     try await AgentKeeperClient.withEmbedded { keeper in
    ///         try await keeper.createTask("scrape")
    ///     }
    ///
    /// - Throws: what `body` throws, and as ``embedded(_:configuration:)``.
    @discardableResult
    public static func withEmbedded<Result>(
        _ options: EmbeddedOptions = EmbeddedOptions(), configuration: ClientConfiguration = ClientConfiguration(),
        isolation: isolated (any Actor)? = #isolation, _ body: (AgentKeeperClient) async throws -> Result
    ) async throws -> Result {
        try await run(try await embedded(options, configuration: configuration), isolation: isolation, body)
    }

    private static func run<Result>(
        _ client: AgentKeeperClient, isolation: isolated (any Actor)?,
        _ body: (AgentKeeperClient) async throws -> Result
    ) async throws -> Result {
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// Where the daemon is, as `HOST:PORT`.
    public var address: String { core.address.description }

    /// Ends the client: agents that are still registered through it leave, leases end, calls under way may finish
    /// within ``ClientConfiguration/closeGrace``, and a daemon that was started for this client stops. Later calls end
    /// with ``AgentKeeperError/clientClosed``. Closing twice is fine.
    public func close() async {
        // Also for a caller who is being cancelled.
        await Background.run { [core] in await core.close() }.value
    }
}
