// The elections' calls, one by one. `Agent.campaign(in:)` does them by itself.

import CMessages
import RPC

extension AgentKeeperClient {
    /// Makes an agent a candidate and tells who leads. The first candidate leads, and a newcomer never displaces a
    /// leader. For a candidate nothing changes, so this is also the way to ask.
    ///
    /// - Throws: INVALID_ARGUMENT (empty group); NOT_FOUND (the agent is unknown or dead).
    public func campaign(
        in group: String, for agent: AgentID, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> ElectionState {
        try await core.campaign(group, agent, timeout: timeout)
    }

    /// The agent is a candidate no more; if it led, the candidate that has waited longest leads next. Nothing happens
    /// to an agent that is no candidate.
    ///
    /// - Throws: INVALID_ARGUMENT (empty group); NOT_FOUND (the agent is unknown or dead).
    public func resign(
        from group: String, for agent: AgentID, timeout: Duration? = nil
    ) async throws(AgentKeeperError) {
        try await core.call(Remote.resign, timeout: timeout) { request, arena in
            request.pointee.group = arena.string(group)
            request.pointee.agent_id = arena.string(agent.rawValue)
        } _: { _ in
        }
    }
}

extension ClientCore {
    func campaign(
        _ group: String, _ agent: AgentID, timeout: Duration?, retries: Bool? = nil
    ) async throws(AgentKeeperError) -> ElectionState {
        try await answer(Remote.campaign, timeout: timeout, retries: retries) { request, arena, _ in
            request.pointee.group = arena.string(group)
            request.pointee.agent_id = arena.string(agent.rawValue)
        } _: { response in
            response.pointee.state.map { ElectionState(wire: $0.pointee) }
        }.value.found()
    }
}
