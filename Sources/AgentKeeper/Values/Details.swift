// Everything that is there, as values: each with how it stands at the moment of the answer.

/// An agent, and how it stands. Lengths of time run on the daemon's monotonic clock, which decides.
public struct AgentDetails: Hashable, Sendable {
    /// The agent as the registry knows it.
    public var info: AgentInfo
    /// For how long it may be silent.
    public var ttl: Duration
    /// Since its last heartbeat, or its registration.
    public var silence: Duration
    /// Until it is unreachable or, if it is that, dead, unless a heartbeat comes; nil when it is dead.
    public var statusChangesIn: Duration?
    /// Leases that it holds, claims included.
    public var leases: Int
    /// Elections in which it is a candidate or leads.
    public var candidacies: Int
    /// Calls of it that wait for a lease or a task.
    public var waitingCalls: Int
}

/// A lease or a claim, and how it stands.
public struct LeaseDetails: Hashable, Sendable {
    /// What a list is to have.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// Taken by acquiring it.
        case lease = "LEASE"
        /// The claim of a task of the queue.
        case claim = "CLAIM"
        /// A kind that this version of the SDK does not know.
        case unknown = "UNKNOWN"
    }

    /// The lease as its holder knows it.
    public var info: LeaseInfo
    /// What it is.
    public var kind: Kind
    /// The ttl that was last given.
    public var ttl: Duration
    /// Until it ends unless renewed, on the daemon's monotonic clock, which decides.
    public var remaining: Duration
    /// Calls that wait for it.
    public var waitingCalls: Int
}

/// An election, and how it stands.
public struct ElectionDetails: Hashable, Sendable {
    /// Who leads.
    public var state: ElectionState
    /// How many stand, the leader included.
    public var candidates: Int
    /// The sequence of the event that told of the last change.
    public var changedBy: UInt64
    /// When the leader changed last.
    public var changedAt: Timestamp
}

/// The daemon in numbers.
public struct DaemonStatus: Hashable, Sendable {
    /// The daemon's version, such as 0.1.0.
    public var version = ""
    /// When it started.
    public var startedAt = Timestamp(seconds: 0)
    /// Since then, on the monotonic clock.
    public var uptime = Duration.zero
    /// Whether what it answers is on disk, so that it survives the end of the daemon.
    public var isDurable = false
    /// The last event's; 0 when there was none yet.
    public var lastSequence: UInt64 = 0
    /// The oldest event from which a watcher can resume; one past the last when none is kept.
    public var oldestKeptSequence: UInt64 = 0
    /// Agents that are alive.
    public var agentsAlive = 0
    /// Agents that are unreachable.
    public var agentsUnreachable = 0
    /// Dead agents that can still be asked for.
    public var agentsDead = 0
    /// Leases in force, claims not among them.
    public var leases = 0
    /// Claims in force.
    public var claims = 0
    /// Elections, those without a candidate included.
    public var elections = 0
    /// Candidates over all elections.
    public var candidates = 0
    /// Policies.
    public var policies = 0
    /// Tasks that wait to be claimed.
    public var tasksPending = 0
    /// Tasks that somebody works on.
    public var tasksClaimed = 0
    /// Completed tasks that can still be asked for.
    public var tasksCompleted = 0
    /// Dead tasks that can still be asked for.
    public var tasksDead = 0
    /// Calls that wait for a lease.
    public var leaseWaiters = 0
    /// Calls that wait for a task.
    public var taskWaiters = 0
    /// Streams of events.
    public var watchers = 0
}
