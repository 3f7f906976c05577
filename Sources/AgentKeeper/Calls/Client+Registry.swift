// The registry's calls, one by one. `Agent` does the first three by itself.

import CMessages
import RPC

extension AgentKeeperClient {
    /// Returns when the daemon serves.
    ///
    /// - Throws: DEADLINE_EXCEEDED with the reason when it doesn't within `timeout`; UNAVAILABLE at once when
    ///   ``ClientConfiguration/waitsForReady`` is false.
    public func waitUntilReady(timeout: Duration? = nil) async throws(AgentKeeperError) {
        // The cheapest question that every daemon of this protocol answers.
        _ = try await find(limit: 1, timeout: timeout)
    }

    /// Whether the daemon says that it takes calls: `grpc.health.v1.Health`, of the server as a whole. It says no while
    /// it is ending.
    ///
    /// - Throws: UNAVAILABLE and DEADLINE_EXCEEDED when it can't be reached.
    public func isServing(timeout: Duration? = nil) async throws(AgentKeeperError) -> Bool {
        try await core.call(Remote.health, timeout: timeout) { _, _ in
        } _: {
            $0.pointee.status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
        }
    }

    /// Enters an agent, which is alive from then on and has to be heard of within its ttl.
    ///
    /// This is the bare call: nobody sends heartbeats. ``register(_:ttl:whenDead:)`` gives an ``Agent``, which does.
    ///
    /// - Parameters:
    ///   - card: what the agent says of itself; a name is required.
    ///   - ttl: for how long it may be silent; rounded up to whole seconds, at most a week.
    ///   - requestID: the same id and card again, within 10 minutes, answer with the agent that the first made. Nil:
    ///     a new agent, and still only one if the call has to be tried again.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: INVALID_ARGUMENT (no name; a card or ttl outside its bounds); ALREADY_EXISTS (the request id was used
    ///   with other content).
    public func registerAgent(
        _ card: AgentCard, ttl: Duration = .seconds(30), requestID: String? = nil, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> AgentID {
        try await core.register(card, WholeSeconds(ttl), requestID: requestID ?? newRequestID(), timeout: timeout).value
    }

    /// Proves that an agent lives.
    ///
    /// - Throws: NOT_FOUND (unknown or dead: a dead agent registers anew).
    public func heartbeat(_ agent: AgentID, timeout: Duration? = nil) async throws(AgentKeeperError) {
        try await core.heartbeat(agent, timeout: timeout)
    }

    /// The agent leaves: it is dead at once, and what it held is free. Nothing happens to one that is dead already.
    ///
    /// - Throws: NOT_FOUND (unknown).
    public func deregisterAgent(_ agent: AgentID, timeout: Duration? = nil) async throws(AgentKeeperError) {
        try await core.deregister(agent, timeout: timeout)
    }

    /// One agent, whatever its status. Dead ones are kept for a day, unless the daemon was told otherwise.
    ///
    /// - Throws: NOT_FOUND (unknown).
    public func agent(_ id: AgentID, timeout: Duration? = nil) async throws(AgentKeeperError) -> AgentInfo {
        try await core.call(Remote.getAgent, timeout: timeout) { request, arena in
            request.pointee.agent_id = arena.string(id.rawValue)
        } _: { response in
            response.pointee.agent.map { AgentInfo(wire: $0.pointee) }
        }.found()
    }

    /// The agents that are alive and have the tools, those that fit the query best first.
    ///
    /// - Parameters:
    ///   - query: what is looked for, in plain words, at most 4 KiB. It ranks and never leaves anybody out: name,
    ///     description, tools, capabilities and metadata count, and forms of a word count as the word.
    ///   - tools: only agents that have all of these, letter for letter.
    ///   - limit: at most so many; 0, or above 1,000, means 1,000.
    ///   - timeout: for the whole call; nil for the configuration's.
    public func find(
        _ query: String = "", tools: [String] = [], limit: Int = 0, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> [AgentInfo] {
        let limit = try wire(limit, "limit")
        return try await core.call(Remote.find, timeout: timeout) { request, arena in
            request.pointee.query = arena.string(query)
            (request.pointee.n_tools, request.pointee.tools) = arena.texts(tools)
            request.pointee.limit = limit
        } _: { response in
            list(response.pointee.agents, count: response.pointee.n_agents) { AgentInfo(wire: $0) }
        }
    }
}

extension ClientCore {
    func deregister(_ agent: AgentID, timeout: Duration?) async throws(AgentKeeperError) {
        try await call(Remote.deregister, timeout: timeout) { request, arena in
            request.pointee.agent_id = arena.string(agent.rawValue)
        } _: { _ in
        }
    }

    func register(
        _ card: AgentCard, _ ttl: WholeSeconds, requestID: String, timeout: Duration?
    ) async throws(AgentKeeperError) -> Answer<AgentID> {
        try await answer(Remote.register, timeout: timeout) { request, arena, _ in
            request.pointee.card = arena.message(card)
            request.pointee.ttl_seconds = ttl.wire
            request.pointee.request_id = arena.string(requestID)
        } _: { response in
            AgentID(wire: response.pointee.agent_id)
        }
    }

    @discardableResult
    func heartbeat(
        _ agent: AgentID, timeout: Duration?, retries: Bool? = nil
    ) async throws(AgentKeeperError) -> Answer<Void> {
        try await answer(Remote.heartbeat, timeout: timeout, retries: retries) { request, arena, _ in
            request.pointee.agent_id = arena.string(agent.rawValue)
        } _: { _ in
        }
    }
}

extension Optional {
    /// What an answer must have.
    func found() throws(AgentKeeperError) -> Wrapped {
        guard let self else { throw .rpc(.internal, message: "the daemon's answer is empty") }
        return self
    }
}

extension Arena {
    func texts(_ texts: [String]) -> (Int, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) {
        list(texts) { string($0) }
    }
}

/// A count as the wire has it.
func wire(_ count: Int, _ field: String) throws(AgentKeeperError) -> UInt32 {
    guard let number = UInt32(exactly: count) else {
        throw .invalidArgument("\(field) must be from 0 to \(UInt32.max), found \(count)")
    }
    return number
}
