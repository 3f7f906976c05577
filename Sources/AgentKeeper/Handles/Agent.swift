/// How an agent's registration stands.
public enum AgentState: Hashable, Sendable {
    /// Registered under this id, and heard of in time.
    case alive(AgentID)
    /// No heartbeat was acknowledged for a whole ttl; the daemon may not give it new tasks. Heartbeats go on.
    case unreachable(AgentID, reason: String)
    /// The daemon took it for dead, or somebody deregistered it: what it held is free. Under
    /// ``Agent/DeathPolicy/registerAnew`` another ``alive(_:)`` follows, with another id.
    case dead(AgentID, reason: String)
    /// It was deregistered by its owner, or its client was closed.
    case left(AgentID)

    /// The id that this is about.
    public var id: AgentID {
        switch self {
        case .alive(let id), .unreachable(let id, _), .dead(let id, _), .left(let id): id
        }
    }
}

/// A registered agent, which sends its heartbeats by itself until it leaves.
///
/// Heartbeats go out every third of the ttl from a thread of the SDK's own, so that they go on while your code blocks
/// every thread of Swift's pool. Letting go of this object ends nothing: an agent leaves by ``deregister()``, at the
/// end of ``AgentKeeperClient/withAgent(_:ttl:whenDead:_:)``, or when its client is closed. If the process ends by
/// accident, the daemon takes the agent for dead after twice its ttl.
public final class Agent: Sendable {
    /// What is done when the daemon takes the agent for dead.
    public enum DeathPolicy: Sendable {
        /// The agent stays dead, and its owner is told.
        case giveUp
        /// The agent registers anew by itself, and goes on under another id. What it held is lost all the same.
        case registerAnew
    }

    let life: AgentLife
    let client: AgentKeeperClient

    init(life: AgentLife, client: AgentKeeperClient) {
        self.life = life
        self.client = client
    }

    /// The id of its present life; under ``DeathPolicy/registerAnew`` it changes.
    public var id: AgentID { life.id }

    /// What it said of itself.
    public var card: AgentCard { life.card }

    /// For how long it may be silent.
    public var ttl: Duration { life.ttl.duration }

    /// How its registration stands.
    public var state: AgentState { life.states.value }

    /// How its registration stands, and each change at once. Any number may follow. Ends when the agent has left, or is
    /// dead for good.
    public var states: AsyncStream<AgentState> { life.states.follow() }

    /// Whether the daemon can't have taken the agent for dead, by the local clock and the last acknowledged heartbeat:
    /// needs no network.
    public var isAlive: Bool {
        switch state {
        case .alive, .unreachable: ContinuousClock.now < life.aliveUntil
        case .dead, .left: false
        }
    }

    /// The agent leaves: heartbeats end, its leases are lost and free, its claimed tasks go back to the queue, and
    /// where it led the next candidate leads. A second time nothing happens.
    ///
    /// - Throws: when the daemon could not be told; it finds out when the heartbeats are missing.
    public func deregister() async throws(AgentKeeperError) {
        try await life.leave(.died("it was deregistered"), timeout: nil)
    }
}

extension AgentKeeperClient {
    /// Registers an agent that sends its heartbeats by itself.
    ///
    /// - Parameters:
    ///   - card: what it says of itself; a name is required.
    ///   - ttl: for how long it may be silent before the daemon takes it for unreachable, and after twice that for
    ///     dead; rounded up to whole seconds, at most a week.
    ///   - whenDead: whether it registers anew when the daemon took it for dead.
    /// - Throws: INVALID_ARGUMENT (no name; a card or ttl outside its bounds).
    public func register(
        _ card: AgentCard, ttl: Duration = .seconds(30), whenDead: Agent.DeathPolicy = .giveUp
    ) async throws(AgentKeeperError) -> Agent {
        let ttl = try WholeSeconds(ttl)
        let life = try await Background.perform { [core] () throws(AgentKeeperError) in
            let answer = try await core.register(card, ttl, requestID: newRequestID(), timeout: nil)
            let life = AgentLife(
                core: core, card: card, ttl: ttl, whenDead: whenDead, id: answer.value, provenAt: answer.firstSentAt)
            try life.begin()
            return life
        }
        return Agent(life: life, client: self)
    }

    /// Runs `body` beside a registered agent, which leaves afterwards, whatever happens. When the daemon takes the agent
    /// for dead, `body`'s task is cancelled at once.
    ///
    /// - Parameters:
    ///   - card: what it says of itself.
    ///   - ttl: for how long it may be silent.
    ///   - whenDead: under ``Agent/DeathPolicy/registerAnew`` a death cancels nothing here; what the agent held is lost.
    ///   - body: the work.
    /// - Throws: ``AgentKeeperError/agentDied(_:)`` if the agent died for good before `body` was over; what `body`
    ///   throws; as ``register(_:ttl:whenDead:)``.
    @discardableResult
    public func withAgent<Success: Sendable>(
        _ card: AgentCard, ttl: Duration = .seconds(30), whenDead: Agent.DeathPolicy = .giveUp,
        _ body: @escaping @Sendable (Agent) async throws -> Success
    ) async throws -> Success {
        let agent = try await register(card, ttl: ttl, whenDead: whenDead)
        let outcome = await guarded(by: agent.life.end) { try await body(agent) }
        // Also when this task is cancelled. If the daemon can't be told, it finds out by itself.
        _ = await Background.run { try? await agent.deregister() }.value
        if let loss = outcome.loss { throw loss }
        return try outcome.result.get()
    }

    /// As ``withAgent(_:ttl:whenDead:_:)``, with the parts of a card that are needed most.
    @discardableResult
    public func withAgent<Success: Sendable>(
        named name: String, description: String = "", tools: [String] = [], ttl: Duration = .seconds(30),
        whenDead: Agent.DeathPolicy = .giveUp, _ body: @escaping @Sendable (Agent) async throws -> Success
    ) async throws -> Success {
        let card = AgentCard(name: name, description: description, tools: tools)
        return try await withAgent(card, ttl: ttl, whenDead: whenDead, body)
    }
}
