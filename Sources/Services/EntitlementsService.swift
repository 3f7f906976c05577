// agentkeeper.v1.EntitlementsService

import CMessages
import Coordination
import RPC

struct EntitlementsService: Sendable {
    static let name = "agentkeeper.v1.EntitlementsService"
    let context: ServiceContext

    private static let setRequest = MessageType(agentkeeper__v1__set_policy_request__init)
    private static let setResponse = MessageType(agentkeeper__v1__set_policy_response__init)
    private static let deleteRequest = MessageType(agentkeeper__v1__delete_policy_request__init)
    private static let deleteResponse = MessageType(agentkeeper__v1__delete_policy_response__init)
    private static let listRequest = MessageType(agentkeeper__v1__list_policies_request__init)
    private static let listResponse = MessageType(agentkeeper__v1__list_policies_response__init)
    private static let checkRequest = MessageType(agentkeeper__v1__check_policy_request__init)
    private static let checkResponse = MessageType(agentkeeper__v1__check_policy_response__init)

    var methods: [Method] {
        [
            .unary("/\(Self.name)/SetPolicy", Self.setRequest, Self.setResponse) {
                [context] call, request, response, arena throws(Status) in
                guard let policy = request.pointee.policy else {
                    throw Status(.invalidArgument, "policy must be set")
                }
                let command = Command.setPolicy(try Policy(wire: policy.pointee))
                if case .policy(let policy) = try context.perform(command, call, from: call.origin) {
                    response.pointee.policy = arena.message(policy)
                }
            },
            .unary("/\(Self.name)/DeletePolicy", Self.deleteRequest, Self.deleteResponse) {
                [context] call, request, _, _ throws(Status) in
                let id = PolicyID(String(wire: request.pointee.id))
                _ = try context.perform(.deletePolicy(id), call, from: call.origin)
            },
            .unary("/\(Self.name)/ListPolicies", Self.listRequest, Self.listResponse) {
                [context] call, request, response, arena throws(Status) in
                try list(call, request.pointee, &response.pointee, arena, context)
            },
            .unary("/\(Self.name)/CheckPolicy", Self.checkRequest, Self.checkResponse) {
                [context] call, request, response, arena throws(Status) in
                let subject = String(wire: request.pointee.subject)
                let action = String(wire: request.pointee.action)
                let resource = String(wire: request.pointee.resource)
                let verdict: Verdict
                do throws(Refusal) {
                    let revision: Revision
                    (verdict, revision) = try context.coordinator.check(
                        subject: subject, action: action, resource: resource, at: call.moment)
                    context.hold(call, until: revision)
                } catch {
                    throw Status(error)
                }
                response.pointee.allowed = verdict.isAllowed ? 1 : 0
                response.pointee.reason = arena.string(verdict.reason)
            },
        ]
    }

    private func list(
        _ call: ServerCall, _ request: Agentkeeper__V1__ListPoliciesRequest,
        _ response: inout Agentkeeper__V1__ListPoliciesResponse, _ arena: Arena, _ context: ServiceContext
    ) throws(Status) {
        let prefix = String(wire: request.subject_prefix)
        let cursor = String(wire: request.page_token)
        let paging = try Paging(pageSize: request.page_size, token: cursor, field: "policies")
        let policies = context.read(call) { machine in
            machine.policies(
                subjectPrefix: prefix, after: cursor.isEmpty ? nil : PolicyID(cursor), limit: paging.readLimit)
        }
        let page = try paging.fill(policies, in: arena) { arena.message($0) }
        response.n_policies = page.count
        response.policies = page.messages
        if let last = page.lastOfMore { response.next_page_token = arena.string(last.id.text) }
    }
}

extension Policy {
    fileprivate convenience init(wire policy: Wire.Policy) throws(Status) {
        let effect: Effect
        switch policy.effect {
        case AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_ALLOW: effect = .allow
        case AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_DENY: effect = .deny
        case AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_UNSPECIFIED:
            throw Status(
                .invalidArgument, "policy.effect must be POLICY_EFFECT_ALLOW or POLICY_EFFECT_DENY, found none")
        default:
            throw Status(
                .invalidArgument,
                "policy.effect must be POLICY_EFFECT_ALLOW (1) or POLICY_EFFECT_DENY (2), found \(policy.effect.rawValue)"
            )
        }
        self.init(
            id: PolicyID(String(wire: policy.id)), subject: String(wire: policy.subject),
            action: String(wire: policy.action), resource: String(wire: policy.resource), effect: effect)
    }
}
