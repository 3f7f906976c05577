/// A lease as the daemon knows it: the exclusive right of one agent to work on a task for a while.
///
/// A plain value, which does nothing by itself. ``Lease`` is the one that renews itself.
public struct LeaseInfo: Hashable, Sendable, Codable {
    /// The callers' own name for the task, or the id of a task of the queue.
    public var taskID: String
    /// The agent that holds it.
    public var holder: AgentID
    /// What the holder proves itself with.
    public var token: FencingToken
    /// When it was acquired.
    public var acquiredAt: Timestamp
    /// When it ends unless renewed: never earlier, at most half a second later.
    public var expiresAt: Timestamp

    /// A lease as it is told in tests of one's own code.
    public init(
        taskID: String, holder: AgentID, token: FencingToken, acquiredAt: Timestamp, expiresAt: Timestamp
    ) {
        self.taskID = taskID
        self.holder = holder
        self.token = token
        self.acquiredAt = acquiredAt
        self.expiresAt = expiresAt
    }
}
