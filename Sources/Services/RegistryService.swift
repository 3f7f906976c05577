// agentkeeper.v1.RegistryService, but for Watch, which is with the other watches.

import CMessages
import Coordination
import RPC

struct RegistryService: Sendable {
    static let name = "agentkeeper.v1.RegistryService"
    let context: ServiceContext

    private static let registerRequest = MessageType(agentkeeper__v1__register_request__init)
    private static let registerResponse = MessageType(agentkeeper__v1__register_response__init)
    private static let heartbeatRequest = MessageType(agentkeeper__v1__heartbeat_request__init)
    private static let heartbeatResponse = MessageType(agentkeeper__v1__heartbeat_response__init)
    private static let deregisterRequest = MessageType(agentkeeper__v1__deregister_request__init)
    private static let deregisterResponse = MessageType(agentkeeper__v1__deregister_response__init)
    private static let getRequest = MessageType(agentkeeper__v1__get_agent_request__init)
    private static let getResponse = MessageType(agentkeeper__v1__get_agent_response__init)
    private static let findRequest = MessageType(agentkeeper__v1__find_request__init)
    private static let findResponse = MessageType(agentkeeper__v1__find_response__init)

    /// A query longer than this is no query, in bytes; and tools that an agent must have.
    private static let maxQueryBytes = 4_096
    private static let maxTools = 1_024

    var methods: [Method] {
        [
            .unary("/\(Self.name)/Register", Self.registerRequest, Self.registerResponse) {
                [context] call, request, response, arena throws(Status) in
                guard let card = request.pointee.card else {
                    throw Status(.invalidArgument, "card must be set")
                }
                let command = Command.Register(
                    newID: randomID(), card: AgentCard(wire: card.pointee), ttlSeconds: request.pointee.ttl_seconds,
                    requestID: .wire(request.pointee.request_id))
                if case .registered(let id) = try context.perform(.register(command), call, from: call.origin) {
                    response.pointee.agent_id = arena.text(id)
                }
            },
            .unary("/\(Self.name)/Heartbeat", Self.heartbeatRequest, Self.heartbeatResponse) {
                [context] call, request, _, _ throws(Status) in
                try context.heartbeat(try AgentID(wire: request.pointee.agent_id), call)
            },
            .unary("/\(Self.name)/Deregister", Self.deregisterRequest, Self.deregisterResponse) {
                [context] call, request, _, _ throws(Status) in
                let agent = try AgentID(wire: request.pointee.agent_id)
                _ = try context.perform(.deregister(agent), call, from: call.origin)
            },
            .unary("/\(Self.name)/GetAgent", Self.getRequest, Self.getResponse) {
                [context] call, request, response, arena throws(Status) in
                let id = try AgentID(wire: request.pointee.agent_id)
                guard let agent = context.read(call, { $0.agent(id) }) else {
                    throw Status(.unknownAgent(id))
                }
                response.pointee.agent = arena.message(agent)
            },
            .unary("/\(Self.name)/Find", Self.findRequest, Self.findResponse) {
                [context] call, request, response, arena throws(Status) in
                try find(call, request.pointee, &response.pointee, arena, context)
            },
        ]
    }

    private func find(
        _ call: ServerCall, _ request: Agentkeeper__V1__FindRequest,
        _ response: inout Agentkeeper__V1__FindResponse, _ arena: Arena, _ context: ServiceContext
    ) throws(Status) {
        let query = String(wire: request.query)
        guard query.utf8.count <= Self.maxQueryBytes else {
            throw Status(
                .invalidArgument, "query must be at most \(Self.maxQueryBytes) bytes, found \(query.utf8.count)")
        }
        guard request.n_tools <= Self.maxTools else {
            throw Status(.invalidArgument, "tools must have at most \(Self.maxTools) entries, found \(request.n_tools)")
        }
        let tools = texts(request.tools, count: request.n_tools)
        let agents = context.read(call) { machine in
            machine.find(query: query, tools: tools, limit: request.limit)
        }
        // The best ones that fit: a reply stays under the limit of a message.
        var page = Page<Wire.Agent>(in: arena, capacity: agents.count)
        for agent in agents {
            guard page.append(arena.message(agent)) else { break }
        }
        response.n_agents = page.count
        response.agents = page.messages
    }
}
