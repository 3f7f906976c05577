// What the core tells about its state: plain values, each a snapshot that later changes don't touch.

/// What an agent says of itself when it registers. Immutable, so that a million events share one.
package final class AgentCard: Sendable {
    package struct Capability: Hashable, Sendable {
        package var name: String
        package var description: String

        package init(name: String, description: String) {
            self.name = name
            self.description = description
        }
    }

    package struct MetadataEntry: Hashable, Sendable {
        package var key: String
        package var value: String

        package init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    package let name: String
    package let description: String
    package let version: String
    package let capabilities: [Capability]
    package let tools: [String]
    /// By key, in the order of its bytes; each key once.
    package let metadata: [MetadataEntry]
    /// All texts together, in UTF-8 bytes.
    package let textBytes: Int

    package init(
        name: String, description: String = "", version: String = "", capabilities: [Capability] = [],
        tools: [String] = [], metadata: [MetadataEntry] = []
    ) {
        self.name = name
        self.description = description
        self.version = version
        self.capabilities = capabilities
        self.tools = tools
        self.metadata = metadata
        var bytes = name.utf8.count + description.utf8.count + version.utf8.count
        for tool in tools { bytes += tool.utf8.count }
        for capability in capabilities { bytes += capability.name.utf8.count + capability.description.utf8.count }
        for entry in metadata { bytes += entry.key.utf8.count + entry.value.utf8.count }
        textBytes = bytes
    }
}

/// Whether an agent has been heard of in time.
package enum AgentStatus: UInt8, CaseIterable, Sendable {
    case alive
    /// Silent for longer than its ttl: keeps what it holds, may still use it, gets no new task.
    case unreachable
    /// Silent for twice its ttl, or deregistered: holds nothing and never comes back.
    case dead
}

package struct AgentInfo: Sendable {
    package var id: AgentID
    package var card: AgentCard
    package var status: AgentStatus
    package var registeredAt: WallTime
    package var lastHeartbeatAt: WallTime

    package init(
        id: AgentID, card: AgentCard, status: AgentStatus, registeredAt: WallTime, lastHeartbeatAt: WallTime
    ) {
        self.id = id
        self.card = card
        self.status = status
        self.registeredAt = registeredAt
        self.lastHeartbeatAt = lastHeartbeatAt
    }
}

/// The exclusive right to work on a task for a while.
package struct Lease: Hashable, Sendable {
    package var task: TaskID
    package var holder: AgentID
    package var token: FencingToken
    package var acquiredAt: WallTime
    /// For display: what ends the lease is the monotonic clock.
    package var expiresAt: WallTime

    package init(
        task: TaskID, holder: AgentID, token: FencingToken, acquiredAt: WallTime, expiresAt: WallTime
    ) {
        self.task = task
        self.holder = holder
        self.token = token
        self.acquiredAt = acquiredAt
        self.expiresAt = expiresAt
    }
}

package struct ElectionState: Hashable, Sendable {
    package var group: GroupName
    /// Nil while nobody leads.
    package var leader: AgentID?
    package var term: Term
    /// Set exactly when `leader` is.
    package var electedAt: WallTime?

    package init(group: GroupName, leader: AgentID?, term: Term, electedAt: WallTime?) {
        self.group = group
        self.leader = leader
        self.term = term
        self.electedAt = electedAt
    }
}

/// Who may, or may not, do what on what. `*` matches any run of characters; all else is literal.
package final class Policy: Sendable {
    package enum Effect: UInt8, Sendable {
        case allow
        case deny
    }

    package let id: PolicyID
    package let subject: String
    package let action: String
    package let resource: String
    package let effect: Effect

    package init(id: PolicyID, subject: String, action: String, resource: String, effect: Effect) {
        self.id = id
        self.subject = subject
        self.action = action
        self.resource = resource
        self.effect = effect
    }

    var textBytes: Int {
        id.text.utf8.count + subject.utf8.count + action.utf8.count + resource.utf8.count
    }
}

/// What a policy check found.
package enum Verdict: Hashable, Sendable {
    case allowed(by: PolicyID)
    case denied(by: PolicyID)
    /// No policy matches: denied.
    case noMatch
}

extension Verdict {
    package var isAllowed: Bool {
        if case .allowed = self { true } else { false }
    }

    /// The contract's words.
    package var reason: String {
        switch self {
        case .allowed(let id): "allowed by policy \"\(id)\""
        case .denied(let id): "denied by policy \"\(id)\""
        case .noMatch: "no matching policy (default deny)"
        }
    }
}

/// A unit of work of the queue.
package struct QueuedTask: Sendable {
    /// What its creator said, once and for all.
    package final class Specification: Sendable {
        package let id: TaskID
        package let type: String
        package let input: [UInt8]
        package let requiredTools: [String]
        package let maxRetries: UInt32
        /// How long one claim may run.
        package let ttlSeconds: UInt32
        package let createdAt: WallTime
        /// The input and all texts together.
        package let bytes: Int

        package init(
            id: TaskID, type: String, input: [UInt8], requiredTools: [String], maxRetries: UInt32,
            ttlSeconds: UInt32, createdAt: WallTime
        ) {
            self.id = id
            self.type = type
            self.input = input
            self.requiredTools = requiredTools
            self.maxRetries = maxRetries
            self.ttlSeconds = ttlSeconds
            self.createdAt = createdAt
            var bytes = id.text.utf8.count + type.utf8.count + input.count
            for tool in requiredTools { bytes += tool.utf8.count }
            self.bytes = bytes
        }
    }

    package enum Status: UInt8, CaseIterable, Sendable {
        case pending
        case claimed
        case completed
        /// Failed with no retry left.
        case dead
    }

    package var specification: Specification
    package var status: Status
    package var retryCount: UInt32 = 0
    /// The claimer while claimed, and of a finished task the one that finished it.
    package var claimer: AgentID?
    package var output: [UInt8] = []
    package var failureReason = ""
    package var claimedAt: WallTime?
    /// When it was completed, or failed for good.
    package var finishedAt: WallTime?

    package var id: TaskID { specification.id }
    /// Input, output and all texts together.
    var bytes: Int { specification.bytes + output.count + failureReason.utf8.count }

    package init(specification: Specification, status: Status = .pending) {
        self.specification = specification
        self.status = status
    }
}
