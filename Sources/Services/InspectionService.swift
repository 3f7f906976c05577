// agentkeeper.v1.InspectionService: the state as a person wants to see it.

import CMessages
import Coordination
import RPC

/// What a daemon tells of itself.
package struct DaemonFacts: Sendable {
    package let version: String
    /// Whether what is answered is on disk.
    package let isDurable: Bool
    package let startedAt: Moment

    package init(version: String, isDurable: Bool, startedAt: Moment) {
        self.version = version
        self.isDurable = isDurable
        self.startedAt = startedAt
    }
}

struct InspectionService: Sendable {
    static let name = "agentkeeper.v1.InspectionService"
    let context: ServiceContext
    let watches: WatchHub
    let facts: DaemonFacts

    /// Tools in one filter.
    private static let maxTools = 64
    /// Those who wait, or stand for election, that one answer names.
    private static let maxNamed = 1_000

    private static let agentsRequest = MessageType(agentkeeper__v1__list_agents_request__init)
    private static let agentsResponse = MessageType(agentkeeper__v1__list_agents_response__init)
    private static let agentRequest = MessageType(agentkeeper__v1__describe_agent_request__init)
    private static let agentResponse = MessageType(agentkeeper__v1__describe_agent_response__init)
    private static let leasesRequest = MessageType(agentkeeper__v1__list_leases_request__init)
    private static let leasesResponse = MessageType(agentkeeper__v1__list_leases_response__init)
    private static let leaseRequest = MessageType(agentkeeper__v1__describe_lease_request__init)
    private static let leaseResponse = MessageType(agentkeeper__v1__describe_lease_response__init)
    private static let electionsRequest = MessageType(agentkeeper__v1__list_elections_request__init)
    private static let electionsResponse = MessageType(agentkeeper__v1__list_elections_response__init)
    private static let electionRequest = MessageType(agentkeeper__v1__describe_election_request__init)
    private static let electionResponse = MessageType(agentkeeper__v1__describe_election_response__init)
    private static let statusRequest = MessageType(agentkeeper__v1__get_status_request__init)
    private static let statusResponse = MessageType(agentkeeper__v1__get_status_response__init)

    var methods: [Method] {
        [
            .unary("/\(Self.name)/ListAgents", Self.agentsRequest, Self.agentsResponse) {
                [context] call, request, response, arena throws(Status) in
                let listing = try Listing(
                    pageSize: request.pointee.page_size, token: request.pointee.page_token, method: "ListAgents")
                let filter = try AgentFilter(wire: request.pointee, maxTools: Self.maxTools)
                let agents = try listing.read(call, context) { machine, after, limit, scanning in
                    machine.agents(matching: filter, after: after, limit: limit, scanning: scanning)
                }
                let page = Listing.fill(agents, in: arena) { arena.message($0) }
                response.pointee.n_agents = page.count
                response.pointee.agents = page.messages
                if let token = page.nextToken { response.pointee.next_page_token = token }
            },
            .unary("/\(Self.name)/DescribeAgent", Self.agentRequest, Self.agentResponse) {
                [context] call, request, response, arena throws(Status) in
                let id = try AgentID(wire: request.pointee.agent_id)
                guard let agent = context.read(call, { $0.agentDetails(id) }) else {
                    throw Status(.unknownAgent(id))
                }
                response.pointee.agent = arena.message(agent)
            },
            .unary("/\(Self.name)/ListLeases", Self.leasesRequest, Self.leasesResponse) {
                [context] call, request, response, arena throws(Status) in
                let listing = try Listing(
                    pageSize: request.pointee.page_size, token: request.pointee.page_token, method: "ListLeases")
                let filter = try LeaseFilter(wire: request.pointee)
                let leases = try listing.read(call, context) {
                    machine, after, limit, scanning throws(Refusal) in
                    try machine.leases(matching: filter, after: after, limit: limit, scanning: scanning)
                }
                let page = Listing.fill(leases, in: arena) { arena.message($0) }
                response.pointee.n_leases = page.count
                response.pointee.leases = page.messages
                if let token = page.nextToken { response.pointee.next_page_token = token }
            },
            .unary("/\(Self.name)/DescribeLease", Self.leaseRequest, Self.leaseResponse) {
                [context] call, request, response, arena throws(Status) in
                let id = TaskID(String(wire: request.pointee.task_id))
                guard !id.isEmpty else { throw Status(.invalidArgument, "task_id must not be empty") }
                let found = context.read(call) { $0.leaseDetails(id, waiting: Self.maxNamed) }
                guard let (lease, waiting) = found else { throw Status(.noLease(id)) }
                response.pointee.lease = arena.message(lease)
                (response.pointee.n_waiting_agent_ids, response.pointee.waiting_agent_ids) =
                    arena.list(waiting) { arena.text($0) }
            },
            .unary("/\(Self.name)/ListElections", Self.electionsRequest, Self.electionsResponse) {
                [context] call, request, response, arena throws(Status) in
                let listing = try Listing(
                    pageSize: request.pointee.page_size, token: request.pointee.page_token, method: "ListElections")
                let prefix = try prefix(request.pointee.group_prefix, "group_prefix")
                let agent = try optionalAgent(request.pointee.candidate_agent_id, "candidate_agent_id")
                let elections = try listing.read(call, context) {
                    machine, after, limit, scanning throws(Refusal) in
                    try machine.elections(
                        groupPrefix: prefix, candidate: agent, after: after, limit: limit, scanning: scanning)
                }
                let page = Listing.fill(elections, in: arena) { arena.message($0) }
                response.pointee.n_elections = page.count
                response.pointee.elections = page.messages
                if let token = page.nextToken { response.pointee.next_page_token = token }
            },
            .unary("/\(Self.name)/DescribeElection", Self.electionRequest, Self.electionResponse) {
                [context] call, request, response, arena throws(Status) in
                let group = GroupName(String(wire: request.pointee.group))
                guard !group.isEmpty else { throw Status(.invalidArgument, "group must not be empty") }
                let found = context.read(call) {
                    $0.electionDetails(group, candidates: Self.maxNamed)
                }
                guard let (election, candidates) = found else {
                    throw Status(.notFound, "unknown group \(quoted(group.text)): nobody has ever campaigned in it")
                }
                response.pointee.election = arena.message(election)
                (response.pointee.n_candidate_agent_ids, response.pointee.candidate_agent_ids) =
                    arena.list(candidates) { arena.text($0) }
            },
            .unary("/\(Self.name)/GetStatus", Self.statusRequest, Self.statusResponse) {
                [self] call, _, response, arena throws(Status) in
                writeStatus(call, &response.pointee, arena)
            },
        ]
    }

    private func writeStatus(
        _ call: ServerCall, _ status: inout Agentkeeper__V1__GetStatusResponse, _ arena: Arena
    ) {
        let now = call.moment
        let (counts, last, oldest) = context.read(call) {
            ($0.counts, $0.lastSequence, $0.oldestKeptSequence)
        }
        status.version = arena.string(facts.version)
        status.started_at = arena.timestamp(facts.startedAt.wall)
        status.uptime_ms = milliseconds(now.instant - facts.startedAt.instant)
        status.durable = facts.isDurable ? 1 : 0
        status.last_sequence = last.value
        status.oldest_kept_sequence = oldest.value
        status.agents_alive = UInt32(counts.agentsAlive)
        status.agents_unreachable = UInt32(counts.agentsUnreachable)
        status.agents_dead = UInt32(counts.agentsDead)
        status.leases = UInt32(counts.leases - counts.claims)
        status.claims = UInt32(counts.claims)
        status.elections = UInt32(counts.elections)
        status.candidates = UInt32(counts.candidates)
        status.policies = UInt32(counts.policies)
        status.tasks_pending = UInt32(counts.tasksPending)
        status.tasks_claimed = UInt32(counts.tasksClaimed)
        status.tasks_completed = UInt32(counts.tasksCompleted)
        status.tasks_dead = UInt32(counts.tasksDead)
        status.lease_waiters = UInt32(counts.leaseWaiters)
        status.task_waiters = UInt32(counts.taskWaiters)
        status.watchers = UInt32(watches.openWatchers)
    }
}

/// A prefix of a name: none is longer than a name may be.
private func prefix(_ text: UnsafePointer<CChar>, _ field: StaticString) throws(Status) -> String {
    let text = String(wire: text)
    let most = Limits().maxNameBytes
    guard text.utf8.count <= most else {
        throw Status(.invalidArgument, "\(field) must be at most \(most) bytes, found \(text.utf8.count)")
    }
    return text
}

private func optionalAgent(_ text: UnsafePointer<CChar>, _ field: StaticString) throws(Status) -> AgentID? {
    text.pointee == 0 ? nil : try AgentID(wire: text, field: field)
}

/// Rounded up: what has a rest left has not run out.
private func milliseconds(_ span: Span) -> UInt64 {
    UInt64((max(0, span.nanoseconds) + 999_999) / 1_000_000)
}

extension AgentFilter {
    fileprivate init(wire request: Agentkeeper__V1__ListAgentsRequest, maxTools: Int) throws(Status) {
        guard request.n_tools <= maxTools else {
            throw Status(.invalidArgument, "tools must have at most \(maxTools) entries, found \(request.n_tools)")
        }
        var statuses: [AgentStatus] = []
        for index in 0..<request.n_statuses {
            let status: AgentStatus
            switch request.statuses[index] {
            case AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_ALIVE: status = .alive
            case AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_UNREACHABLE: status = .unreachable
            case AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_DEAD: status = .dead
            default:
                throw Status(
                    .invalidArgument,
                    "statuses must be ALIVE (1), UNREACHABLE (2) or DEAD (3), found \(request.statuses[index].rawValue)"
                )
            }
            if !statuses.contains(status) { statuses.append(status) }
        }
        self.init(
            statuses: statuses, tools: texts(request.tools, count: request.n_tools),
            namePrefix: try prefix(request.name_prefix, "name_prefix"))
    }
}

extension LeaseFilter {
    fileprivate init(wire request: Agentkeeper__V1__ListLeasesRequest) throws(Status) {
        let claims: Bool?
        switch request.kind {
        case AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_UNSPECIFIED: claims = nil
        case AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_LEASE: claims = false
        case AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_CLAIM: claims = true
        default: throw Status(.invalidArgument, "kind must be a LeaseKind (0 to 2), found \(request.kind.rawValue)")
        }
        self.init(
            holder: try optionalAgent(request.holder_agent_id, "holder_agent_id"),
            taskPrefix: try prefix(request.task_prefix, "task_prefix"), claims: claims)
    }
}

extension Arena {
    private static let agentDetails = MessageType(agentkeeper__v1__agent_details__init)
    private static let leaseDetails = MessageType(agentkeeper__v1__lease_details__init)
    private static let electionDetails = MessageType(agentkeeper__v1__election_details__init)

    fileprivate func message(_ details: AgentDetails) -> UnsafeMutablePointer<Agentkeeper__V1__AgentDetails> {
        let message = Self.agentDetails.make(in: self)
        message.pointee.agent = self.message(details.info)
        message.pointee.ttl_seconds = UInt32(clamping: details.ttl.nanoseconds / 1_000_000_000)
        message.pointee.silent_ms = milliseconds(details.silence)
        message.pointee.status_changes_in_ms = details.untilChange.map(milliseconds) ?? 0
        message.pointee.leases = UInt32(details.leases)
        message.pointee.candidacies = UInt32(details.candidacies)
        message.pointee.waiting_calls = UInt32(details.waitingCalls)
        return message
    }

    fileprivate func message(_ details: LeaseDetails) -> UnsafeMutablePointer<Agentkeeper__V1__LeaseDetails> {
        let message = Self.leaseDetails.make(in: self)
        message.pointee.lease = self.message(details.lease)
        message.pointee.kind =
            details.isClaim
            ? AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_CLAIM : AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_LEASE
        message.pointee.ttl_seconds = details.ttlSeconds
        message.pointee.remaining_ms = milliseconds(details.remaining)
        message.pointee.waiting_calls = UInt32(details.waitingCalls)
        return message
    }

    fileprivate func message(_ details: ElectionDetails) -> UnsafeMutablePointer<Agentkeeper__V1__ElectionDetails> {
        let message = Self.electionDetails.make(in: self)
        message.pointee.state = self.message(details.state)
        message.pointee.candidates = UInt32(details.candidates)
        message.pointee.changed_by_sequence = details.changedBy.value
        message.pointee.changed_at = timestamp(details.changedAt)
        return message
    }
}
