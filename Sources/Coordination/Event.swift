// Something that happened. Every change that a client could care about is one event, numbered in the
// order in which the core made it.

package enum Topic: String, CaseIterable, Sendable {
    case agentRegistered = "agent.registered"
    case agentUnreachable = "agent.unreachable"
    case agentRecovered = "agent.recovered"
    case agentDied = "agent.died"
    case leaseAcquired = "lease.acquired"
    case leaseRenewed = "lease.renewed"
    case leaseReleased = "lease.released"
    case leaseExpired = "lease.expired"
    case leaderChanged = "leader.changed"
    case policySet = "policy.set"
    case policyDeleted = "policy.deleted"
    case taskCreated = "task.created"
    case taskClaimed = "task.claimed"
    case taskRenewed = "task.renewed"
    case taskRequeued = "task.requeued"
    case taskCompleted = "task.completed"
    case taskFailed = "task.failed"
    case taskDead = "task.dead"
}

package struct Event: Sendable {
    /// What the event is about, as it was just after.
    package enum Payload: Sendable {
        case agent(AgentInfo)
        case lease(Lease)
        case election(ElectionState)
        case policy(Policy)
        /// Boxed: by far the largest, and all events would be of its size.
        indirect case task(QueuedTask)
    }

    package let sequence: Sequence
    package let topic: Topic
    package let reason: EventReason
    package let occurredAt: WallTime
    package let payload: Payload
    /// The agent concerned, also where the payload no longer names it: the claimer that a requeued
    /// task was taken from, the leader that just left. The next leader stands in the payload.
    package let agent: AgentID?
    /// Of the call that the event answers; nil when mere time made it happen, or nothing is known of the call.
    package let origin: Origin?

    package init(
        sequence: Sequence, topic: Topic, occurredAt: WallTime, payload: Payload, agent: AgentID?,
        reason: EventReason = .none, origin: Origin? = nil
    ) {
        self.sequence = sequence
        self.topic = topic
        self.reason = reason
        self.occurredAt = occurredAt
        self.payload = payload
        self.agent = agent
        self.origin = origin
    }

    /// The trace of the call that the event answers.
    package var trace: TraceContext? { origin?.trace }
}

/// Which events a watcher wants. All that is set must hold.
package struct EventFilter: Equatable, Sendable {
    /// Prefixes; none means all.
    package let topics: [String]
    /// Prefixes that win over `topics`.
    package let excludedTopics: [String]
    /// What the two come to, a bit for each `Topic.index`: prefixes are compared once, not for each event.
    package let topicBits: UInt32
    package var agent: AgentID?
    package var task: TaskID?
    package var group: GroupName?

    package init(
        topics: [String] = [], excludedTopics: [String] = [], agent: AgentID? = nil, task: TaskID? = nil,
        group: GroupName? = nil
    ) {
        self.topics = topics
        self.excludedTopics = excludedTopics
        var topicBits: UInt32 = 0
        for topic in Topic.allCases {
            let isPrefix = { (prefix: String) in topic.rawValue.utf8.starts(with: prefix.utf8) }
            guard topics.isEmpty || topics.contains(where: isPrefix) else { continue }
            if !excludedTopics.contains(where: isPrefix) { topicBits |= 1 << topic.index }
        }
        self.topicBits = topicBits
        self.agent = agent
        self.task = task
        self.group = group
    }

    /// Lets every topic through that one of these filters does; none where there are none.
    package init(topicsOf filters: some Swift.Sequence<EventFilter>) {
        topics = []
        excludedTopics = []
        topicBits = filters.reduce(0) { $0 | $1.topicBits }
    }

    package func matches(_ event: Event) -> Bool {
        guard topicBits & 1 << event.topic.index != 0 else { return false }
        if let agent, event.agent != agent, event.payload.leader != agent { return false }
        if let task, event.payload.task != task { return false }
        if let group, event.payload.group != group { return false }
        return true
    }
}

extension Topic {
    /// 0 for the first case and so on.
    package var index: Int {
        switch self {
        case .agentRegistered: 0
        case .agentUnreachable: 1
        case .agentRecovered: 2
        case .agentDied: 3
        case .leaseAcquired: 4
        case .leaseRenewed: 5
        case .leaseReleased: 6
        case .leaseExpired: 7
        case .leaderChanged: 8
        case .policySet: 9
        case .policyDeleted: 10
        case .taskCreated: 11
        case .taskClaimed: 12
        case .taskRenewed: 13
        case .taskRequeued: 14
        case .taskCompleted: 15
        case .taskFailed: 16
        case .taskDead: 17
        }
    }
}

extension Event.Payload {
    package var leader: AgentID? {
        if case .election(let state) = self { state.leader } else { nil }
    }

    package var group: GroupName? {
        if case .election(let state) = self { state.group } else { nil }
    }

    package var task: TaskID? {
        switch self {
        case .lease(let lease): lease.task
        case .task(let task): task.id
        default: nil
        }
    }
}

extension Event {
    /// About what the event keeps in memory, counted as if nothing were shared: the card or the input
    /// may have been forgotten everywhere else.
    var approximateBytes: Int {
        let fixed = MemoryLayout<Event>.stride + (origin == nil ? 0 : Self.originBytes)
        switch payload {
        case .agent(let agent): return fixed + agent.card.textBytes
        case .lease(let lease): return fixed + lease.task.text.utf8.count
        case .election(let state): return fixed + state.group.text.utf8.count
        case .policy(let policy): return fixed + policy.textBytes
        case .task(let task): return fixed + task.bytes
        }
    }

    /// An `Origin` of its own, on the heap, and its text.
    private static let originBytes = 96
}
