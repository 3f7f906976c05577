// The leases' calls, one by one. `Lease` does the last two by itself.

import CMessages
import RPC

/// The answer to a wish for a lease.
public enum LeaseAnswer: Hashable, Sendable {
    /// It is the caller's now.
    case acquired(LeaseInfo)
    /// Somebody holds it, maybe the same agent.
    case held(LeaseInfo)

    /// The caller's new lease, or whoever's it is.
    public var lease: LeaseInfo {
        switch self {
        case .acquired(let lease), .held(let lease): lease
        }
    }

    /// Whether it is the caller's.
    public var isAcquired: Bool { if case .acquired = self { true } else { false } }
}

extension AgentKeeperClient {
    /// Takes the lease on a task if it is free, or gets free in time.
    ///
    /// This is the bare call: nobody renews the lease. ``Agent/acquireLease(on:ttl:waitingUpTo:)`` gives a ``Lease``,
    /// which renews itself and knows when it is lost.
    ///
    /// - Parameters:
    ///   - task: whatever the callers call it, 1 to 1,024 bytes.
    ///   - agent: who wants it.
    ///   - ttl: how long it is to run; rounded up to whole seconds, at most a week.
    ///   - wait: how long to wait for a lease that is held: first come, first served. A connection that breaks during
    ///     the wait costs the place in the line.
    ///   - requestID: the id of a call that won answers with that same lease for as long as it is held. Nil: a new
    ///     request, and still only one if the call has to be tried again.
    ///   - timeout: beyond the wait.
    /// - Throws: INVALID_ARGUMENT (empty names, a ttl outside its bounds); NOT_FOUND (the agent is unknown or dead, or
    ///   dies while it waits); FAILED_PRECONDITION (the task is one of the queue: claim it).
    public func acquireLease(
        on task: String, for agent: AgentID, ttl: Duration = .seconds(60), waitingUpTo wait: Duration = .zero,
        requestID: String? = nil, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> LeaseAnswer {
        try await core.acquire(
            task, agent, WholeSeconds(ttl), wait: wait, requestID: requestID ?? newRequestID(), timeout: timeout
        ).value
    }

    /// Prolongs a lease, or the claim of a task: it ends at its ttl from now.
    ///
    /// - Parameters:
    ///   - task: what the lease is on, or the id of a claimed task.
    ///   - agent: the holder.
    ///   - token: the lease's, or the claim's.
    ///   - ttl: nil for the one that was last given.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: NOT_FOUND (nobody holds it); PERMISSION_DENIED (held by another agent, or under another token: stop).
    public func renewLease(
        on task: String, for agent: AgentID, token: FencingToken, ttl: Duration? = nil, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> LeaseInfo {
        let ttl: WholeSeconds? = if let ttl { try WholeSeconds(ttl) } else { nil }
        return try await core.renew(task, agent, token, ttl, timeout: timeout).value
    }

    /// Ends a lease before its time. A second time is fine.
    ///
    /// - Throws: NOT_FOUND (nobody holds it: it had run out, so the caller did not have it any more);
    ///   PERMISSION_DENIED (held by another agent, or under another token); FAILED_PRECONDITION (a claim: complete or
    ///   fail the task).
    public func releaseLease(
        on task: String, for agent: AgentID, token: FencingToken, timeout: Duration? = nil
    ) async throws(AgentKeeperError) {
        try await core.release(task, agent, token, timeout: timeout)
    }
}

extension ClientCore {
    func acquire(
        _ task: String, _ agent: AgentID, _ ttl: WholeSeconds, wait: Duration, requestID: String, timeout: Duration?
    ) async throws(AgentKeeperError) -> Answer<LeaseAnswer> {
        let wait = wait.clamped(.zero, .milliseconds(Int64(UInt32.max)))
        let beyond = timeout ?? configuration.callTimeout
        let answer = try await answer(Remote.acquireLease, timeout: wait + beyond, waits: wait > .zero) {
            request, arena, left in
            request.pointee.task_id = arena.string(task)
            request.pointee.agent_id = arena.string(agent.rawValue)
            request.pointee.ttl_seconds = ttl.wire
            // Rounded up: a wait of half a millisecond is one.
            let milliseconds = ((left - beyond).clamped(.zero, wait).nanoseconds + 999_999) / 1_000_000
            request.pointee.wait_ms = UInt32(clamping: milliseconds)
            request.pointee.request_id = arena.string(requestID)
        } _: { response in
            response.pointee.lease.map { lease in
                let info = LeaseInfo(wire: lease.pointee)
                return response.pointee.acquired != 0 ? LeaseAnswer.acquired(info) : .held(info)
            }
        }
        return Answer(value: try answer.value.found(), sentAt: answer.sentAt, firstSentAt: answer.firstSentAt)
    }

    /// - Parameter ttl: nil for the lease's own.
    func renew(
        _ task: String, _ agent: AgentID, _ token: FencingToken, _ ttl: WholeSeconds? = nil, timeout: Duration?,
        retries: Bool? = nil
    ) async throws(AgentKeeperError) -> Answer<LeaseInfo> {
        let answer = try await answer(Remote.renewLease, timeout: timeout, retries: retries) { request, arena, _ in
            request.pointee.task_id = arena.string(task)
            request.pointee.agent_id = arena.string(agent.rawValue)
            request.pointee.token = arena.message(token)
            request.pointee.ttl_seconds = ttl?.wire ?? 0
        } _: { response in
            response.pointee.lease.map { LeaseInfo(wire: $0.pointee) }
        }
        return Answer(value: try answer.value.found(), sentAt: answer.sentAt, firstSentAt: answer.firstSentAt)
    }

    func release(
        _ task: String, _ agent: AgentID, _ token: FencingToken, timeout: Duration?
    ) async throws(AgentKeeperError) {
        try await call(Remote.releaseLease, timeout: timeout) { request, arena in
            request.pointee.task_id = arena.string(task)
            request.pointee.agent_id = arena.string(agent.rawValue)
            request.pointee.token = arena.message(token)
        } _: { _ in
        }
    }
}
