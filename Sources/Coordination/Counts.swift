// The core in numbers, for an operator.

package struct Counts: Sendable {
    // How it is now.
    package var agentsAlive = 0
    package var agentsUnreachable = 0
    package var agentsDead = 0
    /// Claims included.
    package var leases = 0
    package var claims = 0
    package var elections = 0
    package var candidates = 0
    package var policies = 0
    package var tasksPending = 0
    package var tasksClaimed = 0
    package var tasksCompleted = 0
    package var tasksDead = 0
    package var openTaskBytes = 0
    package var finishedTaskBytes = 0
    /// Calls that wait.
    package var leaseWaiters = 0
    package var taskWaiters = 0
    package var deadlines = 0
    package var toolSets = 0
    package var rememberedReleases = 0
    package var rememberedRequests = 0
    package var eventsKept = 0
    package var eventBytesKept = 0

    // How often it has happened since the start.
    /// In the order of `Topic.allCases`.
    package var eventsEmitted: [(topic: Topic, count: UInt64)] = []
    /// Those of them that somebody forced, of the topics that can be.
    package var eventsForced: [(topic: Topic, count: UInt64)] = []
    /// Leases that ran out or ended with their holder, claims not among them: `lease.expired`, if not forced.
    package var leasesExpired: UInt64 = 0
    /// `task.requeued`, if not forced.
    package var claimsLost: UInt64 = 0
    /// Agents that died because nothing was heard of them, and not by Deregister.
    package var agentsDiedBySilence: UInt64 = 0
    package var tokensGiven: UInt64 = 0
}
