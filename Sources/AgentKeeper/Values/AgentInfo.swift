// What agents say of themselves, and what the registry knows of them.

/// Something that an agent can do.
public struct Capability: Hashable, Sendable, Codable {
    /// What it is called. Searches match it.
    public var name: String
    /// For people, and for searches.
    public var description: String

    /// A capability with its name and what it means.
    public init(_ name: String, description: String = "") {
        self.name = name
        self.description = description
    }
}

/// What an agent says of itself when it registers. At most 64 KiB of text in all, and 1,024 tools, capabilities and
/// metadata entries.
public struct AgentCard: Hashable, Sendable, Codable {
    /// Required. It need not be unique: agents are told apart by their ``AgentID``.
    public var name: String
    /// What the agent does, in plain words: what searches rank by, above all.
    public var description: String
    /// The agent's own version, in its own format. Only kept.
    public var version: String
    /// What it can do.
    public var capabilities: [Capability]
    /// The tools that it has. Searches and the task queue compare them letter for letter.
    public var tools: [String]
    /// Whatever else is to be known: team, region, model.
    public var metadata: [String: String]

    /// A card; only the name is required.
    public init(
        name: String, description: String = "", version: String = "", capabilities: [Capability] = [],
        tools: [String] = [], metadata: [String: String] = [:]
    ) {
        self.name = name
        self.description = description
        self.version = version
        self.capabilities = capabilities
        self.tools = tools
        self.metadata = metadata
    }
}

/// Whether an agent has been heard of in time.
public enum AgentStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// Heard of within its ttl plus half a second.
    case alive = "ALIVE"
    /// Silent for longer. It keeps what it holds, is not found by searches and is given no new task, until the next
    /// heartbeat makes it alive again.
    case unreachable = "UNREACHABLE"
    /// Silent for twice its ttl plus half a second, or deregistered. It holds nothing and never comes back.
    case dead = "DEAD"
    /// A status that this version of the SDK does not know.
    case unknown = "UNKNOWN"
}

/// An agent as the registry knows it.
public struct AgentInfo: Hashable, Sendable, Codable, Identifiable {
    /// What all other calls know it by.
    public var id: AgentID
    /// As registered.
    public var card: AgentCard
    /// Whether it has been heard of in time.
    public var status: AgentStatus
    /// When it registered.
    public var registeredAt: Timestamp
    /// When its last heartbeat came; before the first, when it registered.
    public var lastHeartbeatAt: Timestamp

    /// An agent as it is told in tests of one's own code.
    public init(
        id: AgentID, card: AgentCard, status: AgentStatus, registeredAt: Timestamp, lastHeartbeatAt: Timestamp
    ) {
        self.id = id
        self.card = card
        self.status = status
        self.registeredAt = registeredAt
        self.lastHeartbeatAt = lastHeartbeatAt
    }
}
