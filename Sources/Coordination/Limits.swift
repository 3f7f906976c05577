// Every size that a client can grow, with its unit and its reason, in one place.

/// The core's limits. The defaults are the daemon's; tests and the simulation shrink them.
package struct Limits: Sendable {
    /// The longest ttl of anything, in seconds: a week. A longer one is a forgotten zero more often
    /// than a wish, and a lease that nobody renews for a week has lost its holder.
    package var maxTTLSeconds: UInt32 = 604_800
    /// The ttl of an agent that names none, in seconds.
    package var defaultAgentTTLSeconds: UInt32 = 30
    /// The ttl of a lease or of a task's claim that names none, in seconds.
    package var defaultLeaseTTLSeconds: UInt32 = 60
    /// How long past its ttl an agent may be silent. The Python client beats every max(1, ttl/2)
    /// seconds, which for a ttl of 1 s is just at the edge.
    package var livenessSlack = Span.milliseconds(500)

    /// A name: agent, task, group, policy, request; in UTF-8 bytes.
    package var maxNameBytes = 1_024
    /// A pattern of a policy and a text it is matched with, in UTF-8 bytes: matching costs at most
    /// their product.
    package var maxPatternBytes = 1_024
    package var maxCheckedTextBytes = 4_096
    /// All texts of an agent's card together, in UTF-8 bytes; and how many tools, capabilities and
    /// metadata entries it may name.
    package var maxCardBytes = 65_536
    package var maxCardEntries = 1_024
    /// The input of a task and its output together, in bytes: with all else that a task has they must fit
    /// into one message of 4 MiB, or nobody could ever read it. And the reason of a failure.
    package var maxTaskPayloadBytes = 3_932_160
    package var maxFailureReasonBytes = 16_384

    /// Agents that are not DEAD, 2 KiB or so each, and the texts of their cards together, in bytes.
    package var maxAgents = 1_000_000
    /// Registrations after which the search index numbers its cards anew: its numbers have 32 bits.
    package var maxSearchNumber = UInt32.max - 1
    package var maxAgentBytes = 1 << 30
    package var maxLeases = 4_000_000
    /// Empty ones included; when there are so many, a new one takes the place of the longest empty.
    package var maxElections = 100_000
    /// Candidacies over all elections.
    package var maxCandidates = 1_000_000
    package var maxPolicies = 100_000
    /// Tasks that are not finished, and the bytes of their inputs together.
    package var maxOpenTasks = 1_000_000
    package var maxTaskBytes = 1 << 30
    /// Different sets of required tools among the open tasks, and of tools among the living agents: a
    /// claim looks at those sets that have a tool in common with its agent.
    package var maxToolSets = 200_000
    /// Calls that wait for a lease or a task; below 2^24.
    package var maxWaiters = 100_000

    /// DEAD agents and finished tasks are kept so long, and so many, that a late question still finds
    /// an answer. Their texts, inputs and outputs count together, in bytes.
    package var deadAgentRetention = Span.seconds(86_400)
    package var maxDeadAgents = 100_000
    package var maxDeadAgentBytes = 256 << 20
    package var finishedTaskRetention = Span.seconds(86_400)
    package var maxFinishedTasks = 100_000
    package var maxFinishedTaskBytes = 256 << 20

    /// Released leases and request ids are remembered so long, and so many, that a retry is recognised.
    /// A dictionary of 49 152 entries takes a megabyte, one of a few more takes two.
    package var retryRetention = Span.seconds(600)
    package var maxReleasedLeases = 49_000
    package var maxRequestIDs = 100_000

    /// The event history that resuming watchers read: so many events, of so many bytes.
    package var maxEvents = 10_000
    package var maxEventBytes = 64 << 20
    /// And none that is older.
    package var eventRetention = Span.seconds(86_400)

    /// How many agents one `Find` answers with at the most.
    package var maxFound = 1_000

    package init() {}
}

/// The limits in force. Every table refers to them, and none carries a copy about.
final class SharedLimits: Sendable {
    let values: Limits

    init(_ values: Limits) {
        self.values = values
    }
}
