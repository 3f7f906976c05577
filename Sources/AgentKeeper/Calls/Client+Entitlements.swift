// Policies, and the question whether they allow something. The daemon answers; whoever asks enforces.

import CMessages
import RPC

extension AgentKeeperClient {
    /// Creates a policy, or replaces the one with this id. Durable with a data directory.
    ///
    /// - Returns: the policy as it was set.
    /// - Throws: INVALID_ARGUMENT (a part is empty, or longer than 1,024 bytes).
    @discardableResult
    public func setPolicy(_ policy: Policy, timeout: Duration? = nil) async throws(AgentKeeperError) -> Policy {
        try await core.call(Remote.setPolicy, timeout: timeout) { request, arena in
            request.pointee.policy = arena.message(policy)
        } _: { response in
            response.pointee.policy.map { Policy(wire: $0.pointee) }
        }.found()
    }

    /// Removes a policy.
    ///
    /// - Throws: NOT_FOUND (no such id).
    public func deletePolicy(id: String, timeout: Duration? = nil) async throws(AgentKeeperError) {
        try await core.call(Remote.deletePolicy, timeout: timeout) { request, arena in
            request.pointee.id = arena.string(id)
        } _: { _ in
        }
    }

    /// All policies, sorted by id; read in as many parts as it takes.
    ///
    /// - Parameters:
    ///   - prefix: only policies whose subject begins so, letter for letter.
    ///   - timeout: for the whole call; nil for the configuration's.
    public func policies(
        subjectPrefix prefix: String = "", timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> [Policy] {
        try await allPages { token throws(AgentKeeperError) in
            try await policies(subjectPrefix: prefix, pageSize: 1_000, after: token, timeout: timeout)
        }
    }

    /// Some policies, sorted by id.
    ///
    /// - Parameters:
    ///   - prefix: only policies whose subject begins so, letter for letter.
    ///   - pageSize: at most so many, up to 10,000; fewer may come, so that an answer stays below 4 MiB.
    ///   - token: the last page's ``Page/nextToken``; nil to begin.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: INVALID_ARGUMENT (a token that was never given out).
    public func policies(
        subjectPrefix prefix: String = "", pageSize: Int, after token: String? = nil, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> Page<Policy> {
        let pageSize = try wire(pageSize, "pageSize")
        return try await core.call(Remote.listPolicies, timeout: timeout) { request, arena in
            request.pointee.subject_prefix = arena.string(prefix)
            request.pointee.page_size = pageSize
            request.pointee.page_token = arena.string(token ?? "")
        } _: { response in
            Page(
                elements: list(response.pointee.policies, count: response.pointee.n_policies) { Policy(wire: $0) },
                wireToken: response.pointee.next_page_token)
        }
    }

    /// May the subject do the action on the resource? Any matching deny wins, else any matching allow, else it may not.
    ///
    /// - Throws: INVALID_ARGUMENT (a part is longer than 4,096 bytes). Being denied is no error here.
    public func check(
        _ subject: String, may action: String, on resource: String, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> Decision {
        try await core.call(Remote.checkPolicy, timeout: timeout) { request, arena in
            request.pointee.subject = arena.string(subject)
            request.pointee.action = arena.string(action)
            request.pointee.resource = arena.string(resource)
        } _: { response in
            Decision(isAllowed: response.pointee.allowed != 0, reason: String(wire: response.pointee.reason))
        }
    }

    /// Returns if the subject may do the action on the resource.
    ///
    /// - Throws: ``AgentKeeperError/denied(reason:)`` if it may not; as ``check(_:may:on:timeout:)`` if that can't be
    ///   told, so that nothing is allowed by accident.
    public func require(
        _ subject: String, may action: String, on resource: String, timeout: Duration? = nil
    ) async throws(AgentKeeperError) {
        let decision = try await check(subject, may: action, on: resource, timeout: timeout)
        guard decision.isAllowed else { throw .denied(reason: decision.reason) }
    }
}

extension Page {
    init(elements: [Element], wireToken: UnsafePointer<CChar>?) {
        let token = String(wire: wireToken)
        self.init(elements: elements, nextToken: token.isEmpty ? nil : token)
    }
}

func allPages<Element: Sendable>(
    _ read: (String?) async throws(AgentKeeperError) -> Page<Element>
) async throws(AgentKeeperError) -> [Element] {
    var elements: [Element] = []
    var token: String?
    repeat {
        let page = try await read(token)
        elements += page.elements
        token = page.nextToken
    } while token != nil
    return elements
}
