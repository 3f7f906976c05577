// Changes and payloads as bytes. Each kind has a number that is never used again for another; a kind that
// becomes different gets a new number, so that an old log is still read.

extension Change {
    private enum Kind: UInt8 {
        case agent = 1
        case agentStatus = 2
        case agentForgotten = 3
        case lease = 4
        case leaseEnded = 5
        case released = 6
        case requested = 7
        case candidateJoined = 8
        case candidateLeft = 9
        case election = 10
        case electionForgotten = 11
        case policy = 12
        case policyDeleted = 13
        case task = 14
        case taskState = 15
        case taskForgotten = 16
        /// Of an event without a reason and a trace, which most are.
        case event = 17
        case explainedEvent = 18
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .agent(let agent):
            writer.byte(Kind.agent.rawValue)
            writer.agent(agent.info)
            writer.fixed(agent.ttlSeconds)
            writer.fixed(agent.registeredBy.value)
        case .agentStatus(let id, let status, let lastHeartbeatAt):
            writer.byte(Kind.agentStatus.rawValue)
            writer.id(id)
            writer.byte(status.rawValue)
            writer.fixed(lastHeartbeatAt.nanoseconds)
        case .agentForgotten(let id):
            writer.byte(Kind.agentForgotten.rawValue)
            writer.id(id)
        case .lease(let lease):
            writer.byte(Kind.lease.rawValue)
            writer.lease(lease.lease)
            writer.fixed(lease.ttlSeconds)
            writer.byte((lease.isRetriable ? 1 : 0) | (lease.isClaim ? 2 : 0))
            writer.fixed(lease.deadline.nanoseconds)
        case .leaseEnded(let task):
            writer.byte(Kind.leaseEnded.rawValue)
            writer.text(task.text)
        case .released(let token, let fingerprint):
            writer.byte(Kind.released.rawValue)
            writer.fixed(token.value)
            writer.fixed(fingerprint)
        case .requested(let id, let fingerprint, let made):
            writer.byte(Kind.requested.rawValue)
            writer.text(id.text)
            writer.fixed(fingerprint)
            switch made {
            case .agent(let agent):
                writer.byte(1)
                writer.id(agent)
            case .lease(let token):
                writer.byte(2)
                writer.fixed(token.value)
            case .task(let task):
                writer.byte(3)
                writer.text(task.text)
            }
        case .candidateJoined(let candidacy):
            writer.byte(Kind.candidateJoined.rawValue)
            writer.text(candidacy.group.text)
            writer.id(candidacy.agent)
        case .candidateLeft(let candidacy):
            writer.byte(Kind.candidateLeft.rawValue)
            writer.text(candidacy.group.text)
            writer.id(candidacy.agent)
        case .election(let election):
            writer.byte(Kind.election.rawValue)
            writer.election(election.state)
            writer.fixed(election.changedBy.value)
            writer.fixed(election.changedAt.nanoseconds)
        case .electionForgotten(let group):
            writer.byte(Kind.electionForgotten.rawValue)
            writer.text(group.text)
        case .policy(let policy):
            writer.byte(Kind.policy.rawValue)
            writer.policy(policy)
        case .policyDeleted(let id):
            writer.byte(Kind.policyDeleted.rawValue)
            writer.text(id.text)
        case .task(let specification, let serial):
            writer.byte(Kind.task.rawValue)
            writer.specification(specification)
            writer.fixed(serial)
        case .taskState(let id, let state):
            writer.byte(Kind.taskState.rawValue)
            writer.text(id.text)
            writer.taskState(state)
        case .taskForgotten(let id):
            writer.byte(Kind.taskForgotten.rawValue)
            writer.text(id.text)
        case .event(let topic, let agent, let subject, let reason, let trace):
            if reason == .none, trace == nil {
                writer.byte(Kind.event.rawValue)
            } else {
                writer.byte(Kind.explainedEvent.rawValue)
                writer.byte(reason.rawValue)
                writer.optional(trace) { $0.trace($1) }
            }
            writer.byte(UInt8(topic.index))
            writer.optional(agent) { $0.id($1) }
            switch subject {
            case .agent(let id):
                writer.byte(1)
                writer.id(id)
            case .lease(let task):
                writer.byte(2)
                writer.text(task.text)
            case .election(let group):
                writer.byte(3)
                writer.text(group.text)
            case .policy(let policy):
                writer.byte(4)
                writer.text(policy.text)
            case .task(let task):
                writer.byte(5)
                writer.text(task.text)
            }
        }
    }

    package init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        guard let kind = Kind(rawValue: try reader.byte()) else { throw ByteReader.Malformed() }
        switch kind {
        case .agent:
            self = .agent(
                StoredAgent(
                    info: try reader.agent(), ttlSeconds: try reader.fixed(),
                    registeredBy: Sequence(try reader.fixed()), diedAt: nil))
        case .agentStatus:
            self = .agentStatus(
                try reader.id(), try reader.agentStatus(), lastHeartbeatAt: try reader.wallTime())
        case .agentForgotten: self = .agentForgotten(try reader.id())
        case .lease:
            let lease = try reader.lease()
            let ttlSeconds: UInt32 = try reader.fixed()
            let flags = try reader.byte()
            self = .lease(
                StoredLease(
                    lease: lease, ttlSeconds: ttlSeconds, isRetriable: flags & 1 != 0, isClaim: flags & 2 != 0,
                    deadline: Instant(nanoseconds: try reader.fixed())))
        case .leaseEnded: self = .leaseEnded(TaskID(try reader.text()))
        case .released: self = .released(FencingToken(try reader.fixed()), fingerprint: try reader.fixed())
        case .requested:
            let (id, fingerprint) = (RequestID(try reader.text()), try reader.fixed(UInt64.self))
            let made: StoredRequest.Made
            switch try reader.byte() {
            case 1: made = .agent(try reader.id())
            case 2: made = .lease(FencingToken(try reader.fixed()))
            case 3: made = .task(TaskID(try reader.text()))
            default: throw ByteReader.Malformed()
            }
            self = .requested(id, fingerprint: fingerprint, made: made)
        case .candidateJoined: self = .candidateJoined(try reader.candidacy())
        case .candidateLeft: self = .candidateLeft(try reader.candidacy())
        case .election:
            self = .election(
                StoredElection(
                    state: try reader.election(), changedBy: Sequence(try reader.fixed()),
                    changedAt: try reader.wallTime()))
        case .electionForgotten: self = .electionForgotten(GroupName(try reader.text()))
        case .policy: self = .policy(try reader.policy())
        case .policyDeleted: self = .policyDeleted(PolicyID(try reader.text()))
        case .task: self = .task(try reader.specification(), serial: try reader.fixed())
        case .taskState: self = .taskState(TaskID(try reader.text()), try reader.taskState())
        case .taskForgotten: self = .taskForgotten(TaskID(try reader.text()))
        case .event, .explainedEvent:
            var (reason, trace): (EventReason, TraceContext?) = (.none, nil)
            if kind == .explainedEvent {
                reason = try reader.reason()
                trace = try reader.optional { reader throws(ByteReader.Malformed) in try reader.trace() }
            }
            let topic = try reader.topic()
            let agent = try reader.optional { reader throws(ByteReader.Malformed) in try reader.id() }
            let subject: EventSubject
            switch try reader.byte() {
            case 1: subject = .agent(try reader.id())
            case 2: subject = .lease(TaskID(try reader.text()))
            case 3: subject = .election(GroupName(try reader.text()))
            case 4: subject = .policy(PolicyID(try reader.text()))
            case 5: subject = .task(TaskID(try reader.text()))
            default: throw ByteReader.Malformed()
            }
            self = .event(topic, agent: agent, subject: subject, reason: reason, trace: trace)
        }
    }
}

extension Transaction {
    /// How the bytes of a transaction begin: their count, and what all its changes share.
    static let headBytes = 36

    /// Reads the next transaction of a batch.
    package init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        let length: UInt32 = try reader.fixed()
        guard length >= Self.headBytes else { throw ByteReader.Malformed() }
        var body = ByteReader(try reader.slice(of: Int(length) - 4))
        revision = Revision(try body.fixed())
        moment = Moment(instant: Instant(nanoseconds: try body.fixed()), wall: try body.wallTime())
        oldestEvent = Sequence(try body.fixed())
        changes = []
        while !body.isAtEnd { changes.append(try Change(from: &body)) }
    }
}

extension Event.Payload {
    package func write(to writer: inout ByteWriter) {
        switch self {
        case .agent(let agent):
            writer.byte(1)
            writer.agent(agent)
        case .lease(let lease):
            writer.byte(2)
            writer.lease(lease)
        case .election(let state):
            writer.byte(3)
            writer.election(state)
        case .policy(let policy):
            writer.byte(4)
            writer.policy(policy)
        case .task(let task):
            writer.byte(5)
            writer.specification(task.specification)
            writer.taskState(
                StoredTask(task: task, serial: 0, token: nil, failedBy: nil, finishedAt: nil).state)
        }
    }

    package init(from reader: inout ByteReader) throws(ByteReader.Malformed) {
        switch try reader.byte() {
        case 1: self = .agent(try reader.agent())
        case 2: self = .lease(try reader.lease())
        case 3: self = .election(try reader.election())
        case 4: self = .policy(try reader.policy())
        case 5:
            let task = QueuedTask(specification: try reader.specification())
            var stored = StoredTask(task: task, serial: 0, token: nil, failedBy: nil, finishedAt: nil)
            stored.become(try reader.taskState(), at: Instant(nanoseconds: 0))
            self = .task(stored.task)
        default: throw ByteReader.Malformed()
        }
    }
}

// MARK: - The parts

extension ByteWriter {
    mutating func id(_ id: AgentID) {
        fixed(id.high)
        fixed(id.low)
    }

    mutating func trace(_ trace: TraceContext) {
        fixed(trace.traceHigh)
        fixed(trace.traceLow)
        fixed(trace.parent)
        byte(trace.flags)
    }

    mutating func agent(_ agent: AgentInfo) {
        id(agent.id)
        text(agent.card.name)
        text(agent.card.description)
        text(agent.card.version)
        list(agent.card.capabilities) { writer, capability in
            writer.text(capability.name)
            writer.text(capability.description)
        }
        list(agent.card.tools) { $0.text($1) }
        list(agent.card.metadata) { writer, entry in
            writer.text(entry.key)
            writer.text(entry.value)
        }
        byte(agent.status.rawValue)
        fixed(agent.registeredAt.nanoseconds)
        fixed(agent.lastHeartbeatAt.nanoseconds)
    }

    mutating func lease(_ lease: Lease) {
        text(lease.task.text)
        id(lease.holder)
        fixed(lease.token.value)
        fixed(lease.acquiredAt.nanoseconds)
        fixed(lease.expiresAt.nanoseconds)
    }

    mutating func election(_ state: ElectionState) {
        text(state.group.text)
        optional(state.leader) { $0.id($1) }
        fixed(state.term.value)
        optional(state.electedAt) { $0.fixed($1.nanoseconds) }
    }

    mutating func policy(_ policy: Policy) {
        text(policy.id.text)
        text(policy.subject)
        text(policy.action)
        text(policy.resource)
        byte(policy.effect.rawValue)
    }

    mutating func specification(_ specification: QueuedTask.Specification) {
        text(specification.id.text)
        text(specification.type)
        blob(specification.input)
        list(specification.requiredTools) { $0.text($1) }
        fixed(specification.maxRetries)
        fixed(specification.ttlSeconds)
        fixed(specification.createdAt.nanoseconds)
    }

    mutating func taskState(_ state: StoredTaskState) {
        byte(state.status.rawValue)
        fixed(state.retryCount)
        optional(state.claimer) { $0.id($1) }
        optional(state.claimedAt) { $0.fixed($1.nanoseconds) }
        optional(state.finishedAt) { $0.fixed($1.nanoseconds) }
        optional(state.token) { $0.fixed($1.value) }
        optional(state.failedBy) { $0.id($1) }
        text(state.failureReason)
        blob(state.output)
    }
}

extension ByteReader {
    typealias Failure = Malformed

    mutating func id() throws(Malformed) -> AgentID { AgentID(high: try fixed(), low: try fixed()) }

    mutating func wallTime() throws(Malformed) -> WallTime { WallTime(nanoseconds: try fixed()) }

    mutating func agentStatus() throws(Malformed) -> AgentStatus {
        guard let status = AgentStatus(rawValue: try byte()) else { throw Malformed() }
        return status
    }

    mutating func topic() throws(Malformed) -> Topic {
        let index = Int(try byte())
        guard index < Topic.allCases.count else { throw Malformed() }
        return Topic.allCases[index]
    }

    mutating func reason() throws(Malformed) -> EventReason {
        guard let reason = EventReason(rawValue: try byte()) else { throw Malformed() }
        return reason
    }

    mutating func trace() throws(Malformed) -> TraceContext {
        let trace = TraceContext(
            traceHigh: try fixed(), traceLow: try fixed(), parent: try fixed(), flags: try byte())
        guard let trace else { throw Malformed() }
        return trace
    }

    mutating func agent() throws(Malformed) -> AgentInfo {
        let id = try id()
        let (name, description, version) = (try text(), try text(), try text())
        let capabilities = try list { reader throws(Malformed) in
            AgentCard.Capability(name: try reader.text(), description: try reader.text())
        }
        let tools = try list { reader throws(Malformed) in try reader.text() }
        let metadata = try list { reader throws(Malformed) in
            AgentCard.MetadataEntry(key: try reader.text(), value: try reader.text())
        }
        let card = AgentCard(
            name: name, description: description, version: version, capabilities: capabilities, tools: tools,
            metadata: metadata)
        return AgentInfo(
            id: id, card: card, status: try agentStatus(), registeredAt: try wallTime(),
            lastHeartbeatAt: try wallTime())
    }

    mutating func lease() throws(Malformed) -> Lease {
        Lease(
            task: TaskID(try text()), holder: try id(), token: FencingToken(try fixed()),
            acquiredAt: try wallTime(), expiresAt: try wallTime())
    }

    mutating func candidacy() throws(Malformed) -> StoredCandidacy {
        StoredCandidacy(group: GroupName(try text()), agent: try id())
    }

    mutating func election() throws(Malformed) -> ElectionState {
        let group = GroupName(try text())
        let leader = try optional { reader throws(Malformed) in try reader.id() }
        let term = Term(try fixed())
        return ElectionState(group: group, leader: leader, term: term, electedAt: try optionalWallTime())
    }

    mutating func optionalWallTime() throws(Malformed) -> WallTime? {
        try optional { reader throws(Malformed) in try reader.wallTime() }
    }

    mutating func policy() throws(Malformed) -> Policy {
        let (id, subject, action, resource) = (PolicyID(try text()), try text(), try text(), try text())
        guard let effect = Policy.Effect(rawValue: try byte()) else { throw Malformed() }
        return Policy(id: id, subject: subject, action: action, resource: resource, effect: effect)
    }

    mutating func specification() throws(Malformed) -> QueuedTask.Specification {
        let (id, type, input) = (TaskID(try text()), try text(), try blob())
        let tools = try list { reader throws(Malformed) in try reader.text() }
        return QueuedTask.Specification(
            id: id, type: type, input: input, requiredTools: tools, maxRetries: try fixed(),
            ttlSeconds: try fixed(), createdAt: try wallTime())
    }

    mutating func taskState() throws(Malformed) -> StoredTaskState {
        guard let status = QueuedTask.Status(rawValue: try byte()) else { throw Malformed() }
        let retryCount: UInt32 = try fixed()
        let claimer = try optional { reader throws(Malformed) in try reader.id() }
        let (claimedAt, finishedAt) = (try optionalWallTime(), try optionalWallTime())
        let token = try optional { reader throws(Malformed) in FencingToken(try reader.fixed()) }
        let failedBy = try optional { reader throws(Malformed) in try reader.id() }
        return StoredTaskState(
            status: status, retryCount: retryCount, claimer: claimer, claimedAt: claimedAt, finishedAt: finishedAt,
            token: token, failedBy: failedBy, failureReason: try text(), output: try blob())
    }
}
