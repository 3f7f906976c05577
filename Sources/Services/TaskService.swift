// agentkeeper.v1.TaskService

import CMessages
import Coordination
import RPC

struct TaskService: Sendable {
    static let name = "agentkeeper.v1.TaskService"
    let context: ServiceContext

    private static let createRequest = MessageType(agentkeeper__v1__create_task_request__init)
    private static let createResponse = MessageType(agentkeeper__v1__create_task_response__init)
    private static let claimRequest = MessageType(agentkeeper__v1__claim_task_request__init)
    private static let claimResponse = MessageType(agentkeeper__v1__claim_task_response__init)
    private static let completeRequest = MessageType(agentkeeper__v1__complete_task_request__init)
    private static let completeResponse = MessageType(agentkeeper__v1__complete_task_response__init)
    private static let failRequest = MessageType(agentkeeper__v1__fail_task_request__init)
    private static let failResponse = MessageType(agentkeeper__v1__fail_task_response__init)
    private static let getRequest = MessageType(agentkeeper__v1__get_task_request__init)
    private static let getResponse = MessageType(agentkeeper__v1__get_task_response__init)
    private static let listRequest = MessageType(agentkeeper__v1__list_tasks_request__init)
    private static let listResponse = MessageType(agentkeeper__v1__list_tasks_response__init)

    var methods: [Method] {
        [
            .unary("/\(Self.name)/CreateTask", Self.createRequest, Self.createResponse) {
                [context] call, request, response, arena throws(Status) in
                let command = Command.CreateTask(
                    newID: TaskID(randomID().description), type: String(wire: request.pointee.type),
                    input: bytes(request.pointee.input),
                    requiredTools: texts(request.pointee.required_tools, count: request.pointee.n_required_tools),
                    maxRetries: request.pointee.max_retries, ttlSeconds: request.pointee.ttl_seconds,
                    requestID: .wire(request.pointee.request_id))
                if case .created(let task) = try context.perform(.createTask(command), call) {
                    response.pointee.task = arena.message(task)
                }
            },
            .waiting("/\(Self.name)/ClaimTask", Self.claimRequest) {
                [context] call, request, _ throws(Status) in
                let agent = try AgentID(wire: request.pointee.agent_id)
                context.performWaiting(.claimTask(agent), call) { call, reply in
                    guard case .claimed(let task, let lease) = reply else { return }
                    call.resources.withArena { arena in
                        let response = Self.claimResponse.make(in: arena)
                        response.pointee.task = arena.message(task)
                        response.pointee.lease = arena.message(lease)
                        call.send(message: response)
                    }
                }
            },
            .unary("/\(Self.name)/CompleteTask", Self.completeRequest, Self.completeResponse) {
                [context] call, request, _, _ throws(Status) in
                let finish = try Command.FinishTask(
                    request.pointee.task_id, request.pointee.agent_id, request.pointee.token)
                _ = try context.perform(.completeTask(finish, output: bytes(request.pointee.output)), call)
            },
            .unary("/\(Self.name)/FailTask", Self.failRequest, Self.failResponse) {
                [context] call, request, _, _ throws(Status) in
                let finish = try Command.FinishTask(
                    request.pointee.task_id, request.pointee.agent_id, request.pointee.token)
                let command = Command.failTask(finish, reason: String(wire: request.pointee.reason))
                _ = try context.perform(command, call, from: call.origin)
            },
            .unary("/\(Self.name)/GetTask", Self.getRequest, Self.getResponse) {
                [context] call, request, response, arena throws(Status) in
                let id = TaskID(String(wire: request.pointee.task_id))
                guard !id.isEmpty else { throw Status(.invalidArgument, "task_id must not be empty") }
                guard let task = context.read(call, { $0.task(id) }) else {
                    throw Status(.unknownTask(id))
                }
                response.pointee.task = arena.message(task)
            },
            .unary("/\(Self.name)/ListTasks", Self.listRequest, Self.listResponse) {
                [context] call, request, response, arena throws(Status) in
                try list(call, request.pointee, &response.pointee, arena, context)
            },
        ]
    }

    private func list(
        _ call: ServerCall, _ request: Agentkeeper__V1__ListTasksRequest,
        _ response: inout Agentkeeper__V1__ListTasksResponse, _ arena: Arena, _ context: ServiceContext
    ) throws(Status) {
        let wanted = try Wanted(request.status)
        let token = String(wire: request.page_token)
        let paging = try Paging(pageSize: request.page_size, token: token, field: "tasks")
        guard let serial = token.isEmpty ? 0 : UInt64(token) else {
            throw Status(.invalidArgument, "page_token must be one that ListTasks returned, found \(quoted(token))")
        }
        let status: QueuedTask.Status?
        switch wanted {
        case .none: return
        case .all: status = nil
        case .only(let wanted): status = wanted
        }
        let tasks = context.read(call) { machine in
            machine.tasks(status: status, after: serial, limit: paging.readLimit)
        }
        let page = try paging.fill(tasks, in: arena) { arena.message($0.task) }
        response.n_tasks = page.count
        response.tasks = page.messages
        if let last = page.lastOfMore { response.next_page_token = arena.string(String(last.serial)) }
    }

    /// The tasks that a list is asked for.
    private enum Wanted {
        case all
        case only(QueuedTask.Status)
        /// FAILED is a status of the schema that no task is ever in: a failed one is PENDING or DEAD.
        case none

        init(_ status: Agentkeeper__V1__TaskStatus) throws(Status) {
            switch status {
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_UNSPECIFIED: self = .all
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_PENDING: self = .only(.pending)
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_CLAIMED: self = .only(.claimed)
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_COMPLETED: self = .only(.completed)
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_DEAD: self = .only(.dead)
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_FAILED: self = .none
            default: throw Status(.invalidArgument, "status must be a TaskStatus (0 to 5), found \(status.rawValue)")
            }
        }
    }
}

extension Command.FinishTask {
    fileprivate init(
        _ task: UnsafePointer<CChar>, _ agent: UnsafePointer<CChar>, _ token: UnsafePointer<Wire.Token>?
    ) throws(Status) {
        self.init(
            task: TaskID(String(wire: task)), agent: try AgentID(wire: agent),
            token: token.map { FencingToken($0.pointee.value) })
    }
}
