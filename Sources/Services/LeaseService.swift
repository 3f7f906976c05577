// agentkeeper.v1.LeaseService

import CMessages
import Coordination
import RPC

struct LeaseService: Sendable {
    static let name = "agentkeeper.v1.LeaseService"
    let context: ServiceContext

    private static let acquireRequest = MessageType(agentkeeper__v1__acquire_lease_request__init)
    private static let renewRequest = MessageType(agentkeeper__v1__renew_lease_request__init)
    private static let renewResponse = MessageType(agentkeeper__v1__renew_lease_response__init)
    private static let releaseRequest = MessageType(agentkeeper__v1__release_lease_request__init)
    private static let releaseResponse = MessageType(agentkeeper__v1__release_lease_response__init)

    var methods: [Method] {
        [
            .waiting("/\(Self.name)/AcquireLease", Self.acquireRequest) {
                [context] call, request, arena throws(Status) in
                let command = Command.AcquireLease(
                    task: TaskID(String(wire: request.pointee.task_id)),
                    agent: try AgentID(wire: request.pointee.agent_id), ttlSeconds: request.pointee.ttl_seconds,
                    waitMilliseconds: request.pointee.wait_ms, requestID: .wire(request.pointee.request_id))
                guard command.waitMilliseconds > 0 else {
                    Self.send(try context.perform(.acquireLease(command), call), on: call)
                    return call.finish(.ok)
                }
                context.performWaiting(.acquireLease(command), call) { call, reply in
                    Self.send(reply, on: call)
                }
            },
            .unary("/\(Self.name)/RenewLease", Self.renewRequest, Self.renewResponse) {
                [context] call, request, response, arena throws(Status) in
                let lease = try Command.HeldLease(
                    request.pointee.task_id, request.pointee.agent_id, request.pointee.token)
                let command = Command.renewLease(lease, ttlSeconds: request.pointee.ttl_seconds)
                if case .lease(let lease, _) = try context.perform(command, call) {
                    response.pointee.lease = arena.message(lease)
                }
            },
            .unary("/\(Self.name)/ReleaseLease", Self.releaseRequest, Self.releaseResponse) {
                [context] call, request, _, _ throws(Status) in
                let lease = try Command.HeldLease(
                    request.pointee.task_id, request.pointee.agent_id, request.pointee.token)
                _ = try context.perform(.releaseLease(lease), call)
            },
        ]
    }

    private static func send(_ reply: Reply, on call: ServerCall) {
        guard case .lease(let lease, let acquired) = reply else { return }
        let answer = LeaseReply(lease, acquired: acquired)
        call.send(byteCount: answer.byteCount) { answer.write(to: $0) }
    }
}

extension Command.HeldLease {
    fileprivate init(
        _ task: UnsafePointer<CChar>, _ agent: UnsafePointer<CChar>, _ token: UnsafePointer<Wire.Token>?
    ) throws(Status) {
        self.init(
            task: TaskID(String(wire: task)), agent: try AgentID(wire: agent), token: FencingToken(wire: token))
    }
}
