// What happened, and what is known when it can't be told completely.

/// Something that happened at the daemon.
public struct Event: Hashable, Sendable, Codable {
    /// What an event happened to, as it was just after.
    public enum Payload: Hashable, Sendable, Codable {
        /// Of `agent.*`.
        case agent(AgentInfo)
        /// Of `lease.*`.
        case lease(LeaseInfo)
        /// Of `leader.changed`.
        case election(ElectionState)
        /// Of `policy.*`.
        case policy(Policy)
        /// Of `task.*`.
        case task(TaskInfo)
        /// Of a kind that this version of the SDK does not know: the type's URL and the message's bytes.
        case other(type: String, bytes: [UInt8])
    }

    /// What happened: `agent.registered`, `agent.unreachable`, `agent.recovered`, `agent.died`; `lease.acquired`,
    /// `lease.renewed`, `lease.released`, `lease.expired`; `leader.changed`; `policy.set`, `policy.deleted`;
    /// `task.created`, `task.claimed`, `task.renewed`, `task.requeued`, `task.completed`, `task.failed`, `task.dead`.
    public var topic: String
    /// One counter for all topics, one higher with every event. With a data directory it goes on over a restart.
    public var sequence: UInt64
    /// When it happened.
    public var occurredAt: Timestamp
    /// What it happened to.
    public var payload: Payload
    /// Why, where the topic alone doesn't say it. Of `agent.died`: `silence`, `deregistered`, `forced`. Of
    /// `lease.expired` and `task.requeued`: `ran_out`, `holder_died`, `not_delivered`, `forced`. Of `leader.changed`:
    /// `campaigned`, `resigned`, `leader_died`. Of `policy.deleted`: `forced`. By force is what an operator did.
    public var reason: String?
    /// The W3C `traceparent` that came with the call which the event answers.
    public var traceParent: String?

    /// An event as it is told in tests of one's own code.
    public init(
        topic: String, sequence: UInt64, occurredAt: Timestamp, payload: Payload, reason: String? = nil,
        traceParent: String? = nil
    ) {
        self.topic = topic
        self.sequence = sequence
        self.occurredAt = occurredAt
        self.payload = payload
        self.reason = reason
        self.traceParent = traceParent
    }
}

/// Events that were missed and can't be had any more: what was known has to be read anew.
public struct EventGap: Hashable, Sendable, Codable {
    /// The last sequence that was dealt with before the gap; nil when none was.
    public var after: UInt64?
    /// Why the gap can't be closed.
    public var reason: String

    /// A gap as it is told in tests of one's own code.
    public init(after: UInt64?, reason: String) {
        self.after = after
        self.reason = reason
    }
}

/// What a watcher sees.
public enum WatchElement: Hashable, Sendable {
    /// Something happened.
    case event(Event)
    /// Nothing that the watcher wants has happened up to this sequence: it can resume after it. Only for those who ask
    /// for it.
    case progress(UInt64)
    /// Events were missed. The stream goes on with the oldest that the daemon has.
    case gap(EventGap)

    /// The event, if this is one.
    public var event: Event? {
        if case .event(let event) = self { event } else { nil }
    }
}
