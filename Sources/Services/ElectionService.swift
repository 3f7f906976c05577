// agentkeeper.v1.ElectionService, but for WatchElection, which is with the other watches.

import CMessages
import Coordination
import RPC

struct ElectionService: Sendable {
    static let name = "agentkeeper.v1.ElectionService"
    let context: ServiceContext

    private static let campaignRequest = MessageType(agentkeeper__v1__campaign_request__init)
    private static let campaignResponse = MessageType(agentkeeper__v1__campaign_response__init)
    private static let resignRequest = MessageType(agentkeeper__v1__resign_request__init)
    private static let resignResponse = MessageType(agentkeeper__v1__resign_response__init)

    var methods: [Method] {
        [
            .unary("/\(Self.name)/Campaign", Self.campaignRequest, Self.campaignResponse) {
                [context] call, request, response, arena throws(Status) in
                let group = GroupName(String(wire: request.pointee.group))
                let agent = try AgentID(wire: request.pointee.agent_id)
                if case .election(let state) = try context.perform(
                    .campaign(group, agent), call, from: call.origin)
                {
                    response.pointee.state = arena.message(state)
                }
            },
            .unary("/\(Self.name)/Resign", Self.resignRequest, Self.resignResponse) {
                [context] call, request, _, _ throws(Status) in
                let group = GroupName(String(wire: request.pointee.group))
                let agent = try AgentID(wire: request.pointee.agent_id)
                _ = try context.perform(.resign(group, agent), call, from: call.origin)
            },
        ]
    }
}
