// The messages of `agentkeeper.v1` as protoc-c made them, under names that can be read.

import CMessages
import RPC

enum Wire {
    typealias Agent = Agentkeeper__V1__AgentInfo
    typealias Card = Agentkeeper__V1__AgentCard
    typealias Token = Agentkeeper__V1__FencingToken
    typealias Lease = Agentkeeper__V1__Lease
    typealias Election = Agentkeeper__V1__ElectionState
    typealias Event = Agentkeeper__V1__Event
    typealias Policy = Agentkeeper__V1__Policy
    typealias Task = Agentkeeper__V1__Task
    typealias Time = Google__Protobuf__Timestamp

    static let agent = MessageType(agentkeeper__v1__agent_info__init)
    static let card = MessageType(agentkeeper__v1__agent_card__init)
    static let capability = MessageType(agentkeeper__v1__capability__init)
    static let metadataEntry = MessageType(agentkeeper__v1__agent_card__metadata_entry__init)
    static let token = MessageType(agentkeeper__v1__fencing_token__init)
    static let lease = MessageType(agentkeeper__v1__lease__init)
    static let election = MessageType(agentkeeper__v1__election_state__init)
    static let event = MessageType(agentkeeper__v1__event__init)
    static let policy = MessageType(agentkeeper__v1__policy__init)
    static let task = MessageType(agentkeeper__v1__task__init)
}

/// A call of the daemon: its path, and what goes in and out.
struct RemoteCall<Request, Response>: Sendable {
    let path: String
    let request: MessageType<Request>
    let response: MessageType<Response>

    init(
        _ path: String, _ request: (UnsafeMutablePointer<Request>) -> Void,
        _ response: (UnsafeMutablePointer<Response>) -> Void
    ) {
        self.init(absolute: "/agentkeeper.v1.\(path)", request, response)
    }

    /// - Parameter absolute: `/package.Service/Method`, of a service that is not only ours.
    init(
        absolute path: String, _ request: (UnsafeMutablePointer<Request>) -> Void,
        _ response: (UnsafeMutablePointer<Response>) -> Void
    ) {
        self.path = path
        self.request = MessageType(request)
        self.response = MessageType(response)
    }
}

enum Remote {
    static let health = RemoteCall(
        absolute: "/grpc.health.v1.Health/Check", grpc__health__v1__health_check_request__init,
        grpc__health__v1__health_check_response__init)

    static let register = RemoteCall(
        "RegistryService/Register", agentkeeper__v1__register_request__init, agentkeeper__v1__register_response__init)
    static let heartbeat = RemoteCall(
        "RegistryService/Heartbeat", agentkeeper__v1__heartbeat_request__init,
        agentkeeper__v1__heartbeat_response__init)
    static let deregister = RemoteCall(
        "RegistryService/Deregister", agentkeeper__v1__deregister_request__init,
        agentkeeper__v1__deregister_response__init)
    static let getAgent = RemoteCall(
        "RegistryService/GetAgent", agentkeeper__v1__get_agent_request__init, agentkeeper__v1__get_agent_response__init)
    static let find = RemoteCall(
        "RegistryService/Find", agentkeeper__v1__find_request__init, agentkeeper__v1__find_response__init)

    static let acquireLease = RemoteCall(
        "LeaseService/AcquireLease", agentkeeper__v1__acquire_lease_request__init,
        agentkeeper__v1__acquire_lease_response__init)
    static let renewLease = RemoteCall(
        "LeaseService/RenewLease", agentkeeper__v1__renew_lease_request__init,
        agentkeeper__v1__renew_lease_response__init)
    static let releaseLease = RemoteCall(
        "LeaseService/ReleaseLease", agentkeeper__v1__release_lease_request__init,
        agentkeeper__v1__release_lease_response__init)

    static let campaign = RemoteCall(
        "ElectionService/Campaign", agentkeeper__v1__campaign_request__init, agentkeeper__v1__campaign_response__init)
    static let resign = RemoteCall(
        "ElectionService/Resign", agentkeeper__v1__resign_request__init, agentkeeper__v1__resign_response__init)
    static let watchElection = RemoteCall(
        "ElectionService/WatchElection", agentkeeper__v1__watch_election_request__init, agentkeeper__v1__event__init)

    static let setPolicy = RemoteCall(
        "EntitlementsService/SetPolicy", agentkeeper__v1__set_policy_request__init,
        agentkeeper__v1__set_policy_response__init)
    static let deletePolicy = RemoteCall(
        "EntitlementsService/DeletePolicy", agentkeeper__v1__delete_policy_request__init,
        agentkeeper__v1__delete_policy_response__init)
    static let listPolicies = RemoteCall(
        "EntitlementsService/ListPolicies", agentkeeper__v1__list_policies_request__init,
        agentkeeper__v1__list_policies_response__init)
    static let checkPolicy = RemoteCall(
        "EntitlementsService/CheckPolicy", agentkeeper__v1__check_policy_request__init,
        agentkeeper__v1__check_policy_response__init)

    static let createTask = RemoteCall(
        "TaskService/CreateTask", agentkeeper__v1__create_task_request__init,
        agentkeeper__v1__create_task_response__init)
    static let claimTask = RemoteCall(
        "TaskService/ClaimTask", agentkeeper__v1__claim_task_request__init, agentkeeper__v1__claim_task_response__init)
    static let completeTask = RemoteCall(
        "TaskService/CompleteTask", agentkeeper__v1__complete_task_request__init,
        agentkeeper__v1__complete_task_response__init)
    static let failTask = RemoteCall(
        "TaskService/FailTask", agentkeeper__v1__fail_task_request__init, agentkeeper__v1__fail_task_response__init)
    static let getTask = RemoteCall(
        "TaskService/GetTask", agentkeeper__v1__get_task_request__init, agentkeeper__v1__get_task_response__init)
    static let listTasks = RemoteCall(
        "TaskService/ListTasks", agentkeeper__v1__list_tasks_request__init, agentkeeper__v1__list_tasks_response__init)

    static let watch = RemoteCall(
        "WatchService/Watch", agentkeeper__v1__watch_events_request__init, agentkeeper__v1__event__init)
}
