// The tables: what each record of the core is in the database. A column `…_clock_ns` is a point on the daemon's
// own clock, in nanoseconds; `daemon.clock_ns` says where that clock stood, so their difference is the time left.

import Coordination

extension StoredAgent: StoredRow {
    static let layout = TableLayout(
        name: "agents",
        columns: [
            .init("registered_by", "INTEGER PRIMARY KEY"),
            .init("agent_id", "TEXT NOT NULL UNIQUE"),
            .init("name", "TEXT NOT NULL"),
            .init("description", "TEXT NOT NULL"),
            .init("version", "TEXT NOT NULL"),
            .init("tools", "TEXT NOT NULL"),
            .init("capabilities", "TEXT NOT NULL"),
            .init("metadata", "TEXT NOT NULL"),
            .init("status", "TEXT NOT NULL"),
            .init("ttl_seconds", "INTEGER NOT NULL"),
            .init("registered_at", "TEXT NOT NULL"),
            .init("last_heartbeat_at", "TEXT NOT NULL"),
            .init("died_clock_ns", "INTEGER"),
        ],
        key: ["agent_id"], order: "registered_by")

    var key: AgentID { info.id }
    static func values(of key: AgentID) -> [SQLValue] { [.agent(key)] }

    var values: [SQLValue] {
        let card = info.card
        return [
            .unsigned(registeredBy.value), .agent(info.id), .text(card.name), .text(card.description),
            .text(card.version), .text(TextList.array(card.tools)),
            .text(TextList.object(card.capabilities.map { ($0.name, $0.description) })),
            .text(TextList.object(card.metadata.map { ($0.key, $0.value) })), .text(info.status.name),
            .integer(Int64(ttlSeconds)), .time(info.registeredAt), .time(info.lastHeartbeatAt),
            .optional(diedAt) { .integer($0.nanoseconds) },
        ]
    }

    init(from row: inout RowReader) throws(JournalError) {
        let registeredBy = Sequence(try row.unsigned())
        let id = try row.agent()
        let (name, description, version) = (try row.text(), try row.text(), try row.text())
        let tools = try row.converted(TextList.parseArray)
        let capabilities = try row.converted(TextList.parseObject)
        let metadata = try row.converted(TextList.parseObject)
        let card = AgentCard(
            name: name, description: description, version: version,
            capabilities: capabilities.map { AgentCard.Capability(name: $0.0, description: $0.1) }, tools: tools,
            metadata: metadata.map { AgentCard.MetadataEntry(key: $0.0, value: $0.1) })
        let status = try row.converted { name in AgentStatus.allCases.first { $0.name == name } }
        let ttlSeconds = try row.small()
        let info = AgentInfo(
            id: id, card: card, status: status, registeredAt: try row.time(), lastHeartbeatAt: try row.time())
        self.init(
            info: info, ttlSeconds: ttlSeconds, registeredBy: registeredBy,
            diedAt: try row.optionalInteger().map { Instant(nanoseconds: $0) })
    }
}

extension StoredLease: StoredRow {
    static let layout = TableLayout(
        name: "leases",
        columns: [
            .init("task_id", "TEXT PRIMARY KEY"),
            .init("holder_agent_id", "TEXT NOT NULL"),
            .init("token", "INTEGER NOT NULL"),
            .init("acquired_at", "TEXT NOT NULL"),
            .init("expires_at", "TEXT NOT NULL"),
            .init("ttl_seconds", "INTEGER NOT NULL"),
            .init("is_claim", "INTEGER NOT NULL"),
            .init("is_retriable", "INTEGER NOT NULL"),
            .init("deadline_clock_ns", "INTEGER NOT NULL"),
        ],
        key: ["task_id"], suffix: " WITHOUT ROWID", order: "token")

    var key: TaskID { lease.task }
    static func values(of key: TaskID) -> [SQLValue] { [.text(key.text)] }

    var values: [SQLValue] {
        [
            .text(lease.task.text), .agent(lease.holder), .unsigned(lease.token.value), .time(lease.acquiredAt),
            .time(lease.expiresAt), .integer(Int64(ttlSeconds)), .flag(isClaim), .flag(isRetriable),
            .integer(deadline.nanoseconds),
        ]
    }

    init(from row: inout RowReader) throws(JournalError) {
        let lease = Lease(
            task: TaskID(try row.text()), holder: try row.agent(), token: FencingToken(try row.unsigned()),
            acquiredAt: try row.time(), expiresAt: try row.time())
        let ttlSeconds = try row.small()
        let isClaim = try row.flag()
        self.init(
            lease: lease, ttlSeconds: ttlSeconds, isRetriable: try row.flag(), isClaim: isClaim,
            deadline: try row.instant())
    }
}

/// A released lease. Nobody looks one up: they are written in their order, and forgotten in it.
struct ReleaseRow: StoredRow {
    static let layout = TableLayout(
        name: "released_leases",
        columns: [
            .init("position", "INTEGER PRIMARY KEY"),
            .init("token", "INTEGER NOT NULL"),
            .init("fingerprint", "INTEGER NOT NULL"),
            .init("released_clock_ns", "INTEGER NOT NULL"),
        ],
        key: ["position"], order: "position")

    var release: StoredRelease
    var position: UInt64

    init(release: StoredRelease, position: UInt64) {
        self.release = release
        self.position = position
    }

    var key: UInt64 { position }
    static func values(of key: UInt64) -> [SQLValue] { [.unsigned(key)] }

    var values: [SQLValue] {
        [
            .unsigned(position), .unsigned(release.token.value), .unsigned(release.fingerprint),
            .integer(release.at.nanoseconds),
        ]
    }

    init(from row: inout RowReader) throws(JournalError) {
        position = try row.unsigned()
        release = StoredRelease(
            token: FencingToken(try row.unsigned()), fingerprint: try row.unsigned(), at: try row.instant())
    }
}

/// A request that is remembered by its id.
struct RequestRow: StoredRow {
    static let layout = TableLayout(
        name: "requests",
        columns: [
            .init("position", "INTEGER PRIMARY KEY"),
            .init("request_id", "TEXT NOT NULL UNIQUE"),
            .init("fingerprint", "INTEGER NOT NULL"),
            .init("agent_id", "TEXT"),
            .init("token", "INTEGER"),
            .init("task_id", "TEXT"),
            .init("made_clock_ns", "INTEGER NOT NULL"),
        ],
        key: ["position"], order: "position")

    var request: StoredRequest
    var position: UInt64

    init(request: StoredRequest, position: UInt64) {
        self.request = request
        self.position = position
    }

    var key: UInt64 { position }
    static func values(of key: UInt64) -> [SQLValue] { [.unsigned(key)] }

    var values: [SQLValue] {
        let made: [SQLValue] =
            switch request.made {
            case .agent(let agent): [.agent(agent), .null, .null]
            case .lease(let token): [.null, .unsigned(token.value), .null]
            case .task(let task): [.null, .null, .text(task.text)]
            }
        return [.unsigned(position), .text(request.id.text), .unsigned(request.fingerprint)] + made
            + [.integer(request.at.nanoseconds)]
    }

    init(from row: inout RowReader) throws(JournalError) {
        position = try row.unsigned()
        let id = RequestID(try row.text())
        let fingerprint = try row.unsigned()
        let agent = try row.optionalAgent()
        let token = try row.optionalInteger()
        let task = try row.optional { if case .text(let text) = $0 { TaskID(text) } else { nil } }
        let made: StoredRequest.Made
        switch (agent, token, task) {
        case (let agent?, nil, nil): made = .agent(agent)
        case (nil, let token?, nil): made = .lease(FencingToken(UInt64(bitPattern: token)))
        case (nil, nil, let task?): made = .task(task)
        default: throw .damaged("agentkeeper.db is damaged: a row of table requests made nothing, or two things")
        }
        request = StoredRequest(id: id, fingerprint: fingerprint, made: made, at: try row.instant())
    }
}

extension StoredElection: StoredRow {
    static let layout = TableLayout(
        name: "elections",
        columns: [
            .init("group_name", "TEXT PRIMARY KEY"),
            .init("leader_agent_id", "TEXT"),
            .init("term", "INTEGER NOT NULL"),
            .init("elected_at", "TEXT"),
            .init("changed_by", "INTEGER NOT NULL"),
            .init("changed_at", "TEXT NOT NULL"),
        ],
        key: ["group_name"], suffix: " WITHOUT ROWID", order: "changed_by, group_name")

    var key: GroupName { state.group }
    static func values(of key: GroupName) -> [SQLValue] { [.text(key.text)] }

    var values: [SQLValue] {
        [
            .text(state.group.text), .optional(state.leader, SQLValue.agent), .unsigned(state.term.value),
            .optional(state.electedAt, SQLValue.time), .unsigned(changedBy.value), .time(changedAt),
        ]
    }

    init(from row: inout RowReader) throws(JournalError) {
        let group = GroupName(try row.text())
        let leader = try row.optionalAgent()
        let term = Term(try row.unsigned())
        let state = ElectionState(group: group, leader: leader, term: term, electedAt: try row.optionalTime())
        self.init(state: state, changedBy: Sequence(try row.unsigned()), changedAt: try row.time())
    }
}

/// A candidate, with its place in the order of joining.
struct CandidateRow: StoredRow {
    static let layout = TableLayout(
        name: "candidates",
        columns: [
            .init("group_name", "TEXT NOT NULL"),
            .init("agent_id", "TEXT NOT NULL"),
            .init("position", "INTEGER NOT NULL"),
        ],
        key: ["group_name", "agent_id"], constraint: "PRIMARY KEY (group_name, agent_id)", suffix: " WITHOUT ROWID",
        order: "group_name, position")

    struct Key: Hashable, Comparable {
        let candidacy: StoredCandidacy

        static func < (left: Key, right: Key) -> Bool {
            (left.candidacy.group, left.candidacy.agent) < (right.candidacy.group, right.candidacy.agent)
        }
    }

    var candidacy: StoredCandidacy
    /// Greater for those who joined later, whatever they joined.
    var position: UInt64

    init(candidacy: StoredCandidacy, position: UInt64) {
        self.candidacy = candidacy
        self.position = position
    }

    var key: Key { Key(candidacy: candidacy) }

    static func values(of key: Key) -> [SQLValue] { [.text(key.candidacy.group.text), .agent(key.candidacy.agent)] }

    var values: [SQLValue] { Self.values(of: key) + [.unsigned(position)] }

    init(from row: inout RowReader) throws(JournalError) {
        let group = GroupName(try row.text())
        self.init(candidacy: StoredCandidacy(group: group, agent: try row.agent()), position: try row.unsigned())
    }
}

/// A policy. `Policy` is a class, which no extension can give such an initializer.
struct PolicyRow: StoredRow {
    static let layout = TableLayout(
        name: "policies",
        columns: [
            .init("id", "TEXT PRIMARY KEY"),
            .init("subject", "TEXT NOT NULL"),
            .init("action", "TEXT NOT NULL"),
            .init("resource", "TEXT NOT NULL"),
            .init("effect", "TEXT NOT NULL"),
        ],
        key: ["id"], suffix: " WITHOUT ROWID", order: "id")

    var policy: Policy

    init(policy: Policy) { self.policy = policy }

    var key: PolicyID { policy.id }
    static func values(of key: PolicyID) -> [SQLValue] { [.text(key.text)] }

    var values: [SQLValue] {
        [
            .text(policy.id.text), .text(policy.subject), .text(policy.action), .text(policy.resource),
            .text(policy.effect == .allow ? "ALLOW" : "DENY"),
        ]
    }

    init(from row: inout RowReader) throws(JournalError) {
        let id = PolicyID(try row.text())
        let (subject, action, resource) = (try row.text(), try row.text(), try row.text())
        let effect = try row.converted { ["ALLOW": Policy.Effect.allow, "DENY": .deny][$0] }
        policy = Policy(id: id, subject: subject, action: action, resource: resource, effect: effect)
    }
}

extension StoredTask: StoredRow {
    static let layout = TableLayout(
        name: "tasks",
        columns: [
            .init("number", "INTEGER PRIMARY KEY"),
            .init("task_id", "TEXT NOT NULL UNIQUE"),
            .init("type", "TEXT NOT NULL"),
            .init("status", "TEXT NOT NULL"),
            .init("required_tools", "TEXT NOT NULL"),
            .init("max_retries", "INTEGER NOT NULL"),
            .init("retry_count", "INTEGER NOT NULL"),
            .init("ttl_seconds", "INTEGER NOT NULL"),
            .init("created_at", "TEXT NOT NULL"),
            .init("claimed_by_agent_id", "TEXT"),
            .init("claimed_at", "TEXT"),
            .init("completed_at", "TEXT"),
            .init("token", "INTEGER"),
            .init("failed_by_agent_id", "TEXT"),
            .init("failure_reason", "TEXT NOT NULL"),
            .init("finished_clock_ns", "INTEGER"),
            .init("input", "BLOB NOT NULL"),
            .init("output", "BLOB NOT NULL"),
        ],
        key: ["task_id"], order: "number")

    var key: TaskID { task.id }
    static func values(of key: TaskID) -> [SQLValue] { [.text(key.text)] }

    var values: [SQLValue] {
        let specification = task.specification
        return [
            .unsigned(serial), .text(task.id.text), .text(specification.type), .text(task.status.name),
            .text(TextList.array(specification.requiredTools)), .integer(Int64(specification.maxRetries)),
            .integer(Int64(task.retryCount)), .integer(Int64(specification.ttlSeconds)),
            .time(specification.createdAt), .optional(task.claimer, SQLValue.agent),
            .optional(task.claimedAt, SQLValue.time), .optional(task.finishedAt, SQLValue.time),
            .optional(token) { .unsigned($0.value) }, .optional(failedBy, SQLValue.agent),
            .text(task.failureReason), .optional(finishedAt) { .integer($0.nanoseconds) },
            .blob(specification.input), .blob(task.output),
        ]
    }

    init(from row: inout RowReader) throws(JournalError) {
        let serial = try row.unsigned()
        let (id, type) = (TaskID(try row.text()), try row.text())
        let status = try row.converted { name in QueuedTask.Status.allCases.first { $0.name == name } }
        let tools = try row.converted(TextList.parseArray)
        let (maxRetries, retryCount, ttlSeconds) = (try row.small(), try row.small(), try row.small())
        let createdAt = try row.time()
        let claimer = try row.optionalAgent()
        let (claimedAt, finishedAt) = (try row.optionalTime(), try row.optionalTime())
        let token = try row.optionalInteger().map { FencingToken(UInt64(bitPattern: $0)) }
        let failedBy = try row.optionalAgent()
        let reason = try row.text()
        let finishedClock = try row.optionalInteger().map { Instant(nanoseconds: $0) }
        let specification = QueuedTask.Specification(
            id: id, type: type, input: try row.blob(), requiredTools: tools, maxRetries: maxRetries,
            ttlSeconds: ttlSeconds, createdAt: createdAt)
        var task = QueuedTask(specification: specification, status: status)
        task.retryCount = retryCount
        task.claimer = claimer
        task.claimedAt = claimedAt
        task.finishedAt = finishedAt
        task.failureReason = reason
        task.output = try row.blob()
        self.init(task: task, serial: serial, token: token, failedBy: failedBy, finishedAt: finishedClock)
    }
}

/// An event. What it is about is in columns; the record as it was then is a blob.
struct EventRow: StoredRow {
    static let layout = TableLayout(
        name: "events",
        columns: [
            .init("sequence", "INTEGER PRIMARY KEY"),
            .init("occurred_at", "TEXT NOT NULL"),
            .init("topic", "TEXT NOT NULL"),
            .init("agent_id", "TEXT"),
            .init("subject", "TEXT NOT NULL"),
            .init("reason", "TEXT"),
            .init("trace_parent", "TEXT"),
            .init("occurred_clock_ns", "INTEGER NOT NULL"),
            .init("payload", "BLOB NOT NULL"),
        ],
        key: ["sequence"], order: "sequence")

    var event: Event
    var at: Instant

    init(event: Event, at: Instant) {
        self.event = event
        self.at = at
    }

    var key: Sequence { event.sequence }
    static func values(of key: Sequence) -> [SQLValue] { [.unsigned(key.value)] }

    var values: [SQLValue] {
        let subject =
            switch event.payload {
            case .agent(let agent): agent.id.description
            case .lease(let lease): lease.task.text
            case .election(let state): state.group.text
            case .policy(let policy): policy.id.text
            case .task(let task): task.id.text
            }
        var payload = ByteWriter()
        event.payload.write(to: &payload)
        return [
            .unsigned(event.sequence.value), .time(event.occurredAt), .text(event.topic.rawValue),
            .optional(event.agent, SQLValue.agent), .text(subject),
            event.reason == .none ? .null : .text(event.reason.text), .optional(event.trace) { .text($0.text) },
            .integer(at.nanoseconds), .blob(payload.bytes),
        ]
    }

    init(from row: inout RowReader) throws(JournalError) {
        let sequence = Sequence(try row.unsigned())
        let occurredAt = try row.time()
        let topic = try row.converted { Topic(rawValue: $0) }
        let agent = try row.optionalAgent()
        _ = try row.text()
        let reason = try row.optional { if case .text(let text) = $0 { EventReason(text: text) } else { nil } }
        let trace = try row.optional { if case .text(let text) = $0 { TraceContext(text) } else { nil } }
        at = try row.instant()
        let bytes = try row.blob()
        let payload = bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return try? Event.Payload(from: &reader)  // The checksum held: only a writer's error is left.
        }
        guard let payload else { throw row.wrong(.blob(bytes)) }
        event = Event(
            sequence: sequence, topic: topic, occurredAt: occurredAt, payload: payload, agent: agent,
            reason: reason ?? .none, origin: trace.map { Origin(trace: $0) })
    }
}

/// The one row of table `daemon`.
struct DaemonRow: StoredRow {
    static let layout = TableLayout(
        name: "daemon",
        columns: [
            .init("id", "INTEGER PRIMARY KEY CHECK (id = 1)"),
            .init("identity", "INTEGER NOT NULL"),
            .init("revision", "INTEGER NOT NULL"),
            .init("clock_ns", "INTEGER NOT NULL"),
            .init("saved_at", "TEXT NOT NULL"),
            .init("last_token", "INTEGER NOT NULL"),
            .init("last_sequence", "INTEGER NOT NULL"),
            .init("last_task_number", "INTEGER NOT NULL"),
            .init("forgotten_term", "INTEGER NOT NULL"),
            .init("last_position", "INTEGER NOT NULL"),
        ],
        key: ["id"], order: "id")

    /// Tells this directory's log from another's.
    var identity: UInt32
    var counters: StoredCounters
    /// The last that any row of a table with an order of its own was given.
    var lastPosition: UInt64

    init(identity: UInt32, counters: StoredCounters, lastPosition: UInt64) {
        self.identity = identity
        self.counters = counters
        self.lastPosition = lastPosition
    }

    var key: Int64 { 1 }
    static func values(of key: Int64) -> [SQLValue] { [.integer(key)] }

    var values: [SQLValue] {
        [
            .integer(1), .integer(Int64(identity)), .unsigned(counters.revision.value),
            .integer(counters.clock.nanoseconds), .time(counters.wall), .unsigned(counters.lastToken.value),
            .unsigned(counters.lastSequence.value), .unsigned(counters.lastTaskSerial),
            .unsigned(counters.forgottenTerm.value), .unsigned(lastPosition),
        ]
    }

    init(from row: inout RowReader) throws(JournalError) {
        _ = try row.integer()
        identity = try row.small()
        let revision = Revision(try row.unsigned())
        counters = StoredCounters(
            clock: try row.instant(), wall: try row.time(), revision: revision,
            lastToken: FencingToken(try row.unsigned()), lastSequence: Sequence(try row.unsigned()),
            lastTaskSerial: try row.unsigned(), forgottenTerm: Term(try row.unsigned()))
        lastPosition = try row.unsigned()
    }
}

extension AgentStatus {
    /// As on the wire, without the prefix.
    var name: String {
        switch self {
        case .alive: "ALIVE"
        case .unreachable: "UNREACHABLE"
        case .dead: "DEAD"
        }
    }
}
