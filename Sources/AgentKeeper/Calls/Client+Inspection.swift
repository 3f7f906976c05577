// Looking at everything that is there. All lists are oldest first and are read in parts.

import CMessages
import RPC

private enum Look {
    static let agents = RemoteCall(
        "InspectionService/ListAgents", agentkeeper__v1__list_agents_request__init,
        agentkeeper__v1__list_agents_response__init)
    static let agent = RemoteCall(
        "InspectionService/DescribeAgent", agentkeeper__v1__describe_agent_request__init,
        agentkeeper__v1__describe_agent_response__init)
    static let leases = RemoteCall(
        "InspectionService/ListLeases", agentkeeper__v1__list_leases_request__init,
        agentkeeper__v1__list_leases_response__init)
    static let lease = RemoteCall(
        "InspectionService/DescribeLease", agentkeeper__v1__describe_lease_request__init,
        agentkeeper__v1__describe_lease_response__init)
    static let elections = RemoteCall(
        "InspectionService/ListElections", agentkeeper__v1__list_elections_request__init,
        agentkeeper__v1__list_elections_response__init)
    static let election = RemoteCall(
        "InspectionService/DescribeElection", agentkeeper__v1__describe_election_request__init,
        agentkeeper__v1__describe_election_response__init)
    static let status = RemoteCall(
        "InspectionService/GetStatus", agentkeeper__v1__get_status_request__init,
        agentkeeper__v1__get_status_response__init)
}

extension AgentKeeperClient {
    /// Some agents, in the order of registration; dead ones too, for as long as they are kept.
    ///
    /// - Parameters:
    ///   - statuses: only agents of one of these; none for all.
    ///   - tools: only agents that have all of these, letter for letter.
    ///   - prefix: only agents whose name begins so, letter for letter.
    ///   - pageSize: at most so many, up to 10,000; 0 for 1,000. Fewer may come, even none, though more follow.
    ///   - token: the last page's ``Page/nextToken``; nil to begin.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: INVALID_ARGUMENT (a token that was never given out; a filter outside its bounds).
    public func agents(
        statuses: [AgentStatus] = [], tools: [String] = [], namePrefix prefix: String = "", pageSize: Int = 0,
        after token: String? = nil, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> Page<AgentDetails> {
        let pageSize = try wire(pageSize, "pageSize")
        return try await core.call(Look.agents, timeout: timeout) { request, arena in
            let array = arena.array(of: Agentkeeper__V1__AgentStatus.self, count: statuses.count)
            for (index, status) in statuses.enumerated() { (array + index).initialize(to: status.wire) }
            (request.pointee.n_statuses, request.pointee.statuses) = (statuses.count, array)
            (request.pointee.n_tools, request.pointee.tools) = arena.texts(tools)
            request.pointee.name_prefix = arena.string(prefix)
            request.pointee.page_size = pageSize
            request.pointee.page_token = arena.string(token ?? "")
        } _: { response in
            Page(
                elements: list(response.pointee.agents, count: response.pointee.n_agents) { AgentDetails(wire: $0) },
                wireToken: response.pointee.next_page_token)
        }
    }

    /// One agent, whatever its status, with how it stands.
    ///
    /// - Throws: NOT_FOUND (unknown).
    public func agentDetails(_ id: AgentID, timeout: Duration? = nil) async throws(AgentKeeperError) -> AgentDetails {
        try await core.call(Look.agent, timeout: timeout) { request, arena in
            request.pointee.agent_id = arena.string(id.rawValue)
        } _: { response in
            response.pointee.agent.map { AgentDetails(wire: $0.pointee) }
        }.found()
    }

    /// Some leases that are in force, claims included, in the order of their tokens.
    ///
    /// - Parameters:
    ///   - holder: only this agent's; nil for everybody's.
    ///   - prefix: only leases on tasks whose id begins so, letter for letter.
    ///   - kind: only these; nil for both.
    ///   - pageSize: at most so many, up to 10,000; 0 for 1,000. Fewer may come, even none, though more follow.
    ///   - token: the last page's ``Page/nextToken``; nil to begin.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: NOT_FOUND (the holder is unknown); INVALID_ARGUMENT (a token that was never given out).
    public func leases(
        heldBy holder: AgentID? = nil, taskPrefix prefix: String = "", kind: LeaseDetails.Kind? = nil,
        pageSize: Int = 0, after token: String? = nil, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> Page<LeaseDetails> {
        let pageSize = try wire(pageSize, "pageSize")
        return try await core.call(Look.leases, timeout: timeout) { request, arena in
            request.pointee.holder_agent_id = arena.string(holder?.rawValue ?? "")
            request.pointee.task_prefix = arena.string(prefix)
            request.pointee.kind =
                switch kind {
                case .lease: AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_LEASE
                case .claim: AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_CLAIM
                case .unknown, nil: AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_UNSPECIFIED
                }
            request.pointee.page_size = pageSize
            request.pointee.page_token = arena.string(token ?? "")
        } _: { response in
            Page(
                elements: list(response.pointee.leases, count: response.pointee.n_leases) { LeaseDetails(wire: $0) },
                wireToken: response.pointee.next_page_token)
        }
    }

    /// The lease or claim on a task, and whose calls wait for it, the next in line first (at most 1,000).
    ///
    /// - Throws: NOT_FOUND (nobody holds it).
    public func leaseDetails(
        on task: String, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> (lease: LeaseDetails, waiting: [AgentID]) {
        try await core.call(Look.lease, timeout: timeout) { request, arena in
            request.pointee.task_id = arena.string(task)
        } _: { response in
            response.pointee.lease.map { lease in
                let waiting = texts(response.pointee.waiting_agent_ids, count: response.pointee.n_waiting_agent_ids)
                return (LeaseDetails(wire: lease.pointee), waiting.map { AgentID($0) })
            }
        }.found()
    }

    /// Some elections, in the order in which they were founded; those without a candidate too.
    ///
    /// - Parameters:
    ///   - prefix: only groups whose name begins so, letter for letter.
    ///   - candidate: only elections in which this agent stands or leads; nil for all.
    ///   - pageSize: at most so many, up to 10,000; 0 for 1,000. Fewer may come, even none, though more follow.
    ///   - token: the last page's ``Page/nextToken``; nil to begin.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: NOT_FOUND (the agent is unknown); INVALID_ARGUMENT (a token that was never given out).
    public func elections(
        groupPrefix prefix: String = "", candidate: AgentID? = nil, pageSize: Int = 0, after token: String? = nil,
        timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> Page<ElectionDetails> {
        let pageSize = try wire(pageSize, "pageSize")
        return try await core.call(Look.elections, timeout: timeout) { request, arena in
            request.pointee.group_prefix = arena.string(prefix)
            request.pointee.candidate_agent_id = arena.string(candidate?.rawValue ?? "")
            request.pointee.page_size = pageSize
            request.pointee.page_token = arena.string(token ?? "")
        } _: { response in
            Page(
                elements: list(response.pointee.elections, count: response.pointee.n_elections) {
                    ElectionDetails(wire: $0)
                },
                wireToken: response.pointee.next_page_token)
        }
    }

    /// One election, and who stands, in the order in which they will lead: the first leads (at most 1,000).
    ///
    /// - Throws: NOT_FOUND (nobody has ever campaigned there).
    public func electionDetails(
        _ group: String, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> (election: ElectionDetails, candidates: [AgentID]) {
        try await core.call(Look.election, timeout: timeout) { request, arena in
            request.pointee.group = arena.string(group)
        } _: { response in
            response.pointee.election.map { election in
                let candidates = texts(
                    response.pointee.candidate_agent_ids, count: response.pointee.n_candidate_agent_ids)
                return (ElectionDetails(wire: election.pointee), candidates.map { AgentID($0) })
            }
        }.found()
    }

    /// The daemon in numbers.
    public func status(timeout: Duration? = nil) async throws(AgentKeeperError) -> DaemonStatus {
        try await core.call(Look.status, timeout: timeout) { _, _ in
        } _: { response in
            DaemonStatus(wire: response.pointee)
        }
    }
}

extension AgentStatus {
    fileprivate var wire: Agentkeeper__V1__AgentStatus {
        switch self {
        case .alive: AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_ALIVE
        case .unreachable: AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_UNREACHABLE
        case .dead: AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_DEAD
        case .unknown: AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_UNSPECIFIED
        }
    }
}

extension AgentDetails {
    fileprivate init(wire details: Agentkeeper__V1__AgentDetails) {
        let info =
            details.agent.map { AgentInfo(wire: $0.pointee) }
            ?? AgentInfo(
                id: "", card: AgentCard(name: ""), status: .unknown, registeredAt: Timestamp(seconds: 0),
                lastHeartbeatAt: Timestamp(seconds: 0))
        self.init(
            info: info, ttl: .seconds(Int64(details.ttl_seconds)),
            silence: .milliseconds(Int64(clamping: details.silent_ms)),
            statusChangesIn: info.status == .dead
                ? nil : .milliseconds(Int64(clamping: details.status_changes_in_ms)),
            leases: Int(details.leases), candidacies: Int(details.candidacies), waitingCalls: Int(details.waiting_calls)
        )
    }
}

extension LeaseDetails {
    fileprivate init(wire details: Agentkeeper__V1__LeaseDetails) {
        let kind: Kind =
            switch details.kind {
            case AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_LEASE: .lease
            case AGENTKEEPER__V1__LEASE_KIND__LEASE_KIND_CLAIM: .claim
            default: .unknown
            }
        let info =
            details.lease.map { LeaseInfo(wire: $0.pointee) }
            ?? LeaseInfo(
                taskID: "", holder: "", token: FencingToken(0), acquiredAt: Timestamp(seconds: 0),
                expiresAt: Timestamp(seconds: 0))
        self.init(
            info: info, kind: kind, ttl: .seconds(Int64(details.ttl_seconds)),
            remaining: .milliseconds(Int64(clamping: details.remaining_ms)), waitingCalls: Int(details.waiting_calls))
    }
}

extension ElectionDetails {
    fileprivate init(wire details: Agentkeeper__V1__ElectionDetails) {
        self.init(
            state: details.state.map { ElectionState(wire: $0.pointee) }
                ?? ElectionState(group: "", leader: nil, term: 0),
            candidates: Int(details.candidates), changedBy: details.changed_by_sequence,
            changedAt: Timestamp(wire: details.changed_at))
    }
}

extension DaemonStatus {
    fileprivate init(wire status: Agentkeeper__V1__GetStatusResponse) {
        self.init()
        version = String(wire: status.version)
        startedAt = Timestamp(wire: status.started_at)
        uptime = .milliseconds(Int64(clamping: status.uptime_ms))
        isDurable = status.durable != 0
        lastSequence = status.last_sequence
        oldestKeptSequence = status.oldest_kept_sequence
        agentsAlive = Int(status.agents_alive)
        agentsUnreachable = Int(status.agents_unreachable)
        agentsDead = Int(status.agents_dead)
        leases = Int(status.leases)
        claims = Int(status.claims)
        elections = Int(status.elections)
        candidates = Int(status.candidates)
        policies = Int(status.policies)
        tasksPending = Int(status.tasks_pending)
        tasksClaimed = Int(status.tasks_claimed)
        tasksCompleted = Int(status.tasks_completed)
        tasksDead = Int(status.tasks_dead)
        leaseWaiters = Int(status.lease_waiters)
        taskWaiters = Int(status.task_waiters)
        watchers = Int(status.watchers)
    }
}
