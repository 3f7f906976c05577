// Tasks of the queue, as values.

/// Where a task of the queue stands.
public enum TaskStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// Waits to be claimed.
    case pending = "PENDING"
    /// An agent works on it.
    case claimed = "CLAIMED"
    /// Done; the output is the result. Final.
    case completed = "COMPLETED"
    /// Failed with no retry left. Final.
    case dead = "DEAD"
    /// A status that this version of the SDK does not know.
    case unknown = "UNKNOWN"
}

/// A unit of work of the queue, as the daemon knows it.
///
/// A plain value. ``ClaimedTask`` is the one that a worker holds, completes and fails.
public struct TaskInfo: Hashable, Sendable, Codable, Identifiable {
    /// 32 lowercase hexadecimal digits, chosen by the daemon.
    public var id: String
    /// What kind of work: the creator's and the workers' own word for it.
    public var type: String
    /// What to work on.
    public var input: [UInt8]
    /// The result, once completed.
    public var output: [UInt8]
    /// Where it stands.
    public var status: TaskStatus
    /// An agent is given the task only if its card names all of these.
    public var requiredTools: [String]
    /// How often it may fail and be tried again.
    public var maxRetries: Int
    /// How often it has failed and gone back to the queue. A claim that ran out does not count.
    public var retryCount: Int
    /// The agent that works on it or, of a completed task, has done it; nil while pending.
    public var claimedBy: AgentID?
    /// Why it failed the last time; empty if it never did.
    public var failureReason: String
    /// When it was created.
    public var createdAt: Timestamp
    /// When the present or last claim began.
    public var claimedAt: Timestamp?
    /// When it was finished.
    public var finishedAt: Timestamp?

    /// A task as it is told in tests of one's own code.
    public init(
        id: String, type: String, input: [UInt8] = [], output: [UInt8] = [], status: TaskStatus = .pending,
        requiredTools: [String] = [], maxRetries: Int = 0, retryCount: Int = 0, claimedBy: AgentID? = nil,
        failureReason: String = "", createdAt: Timestamp, claimedAt: Timestamp? = nil, finishedAt: Timestamp? = nil
    ) {
        self.id = id
        self.type = type
        self.input = input
        self.output = output
        self.status = status
        self.requiredTools = requiredTools
        self.maxRetries = maxRetries
        self.retryCount = retryCount
        self.claimedBy = claimedBy
        self.failureReason = failureReason
        self.createdAt = createdAt
        self.claimedAt = claimedAt
        self.finishedAt = finishedAt
    }
}

/// One answer of a list that is read in parts.
public struct Page<Element: Sendable>: Sendable {
    /// What this part has; it may be fewer than were asked for.
    public var elements: [Element]
    /// What the next call is given to go on; nil when there is no more.
    public var nextToken: String?

    /// A part of a list.
    public init(elements: [Element], nextToken: String?) {
        self.elements = elements
        self.nextToken = nextToken
    }
}
