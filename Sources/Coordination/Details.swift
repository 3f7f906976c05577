// What the core tells to those who look at all of it: each thing with how it stands at this moment.

package struct AgentDetails: Sendable {
    package var info: AgentInfo
    package var ttl: Span
    /// Since it was last heard of.
    package var silence: Span
    /// Until it is UNREACHABLE or, if it is that, DEAD; nil when it is DEAD.
    package var untilChange: Span?
    /// Claims included.
    package var leases: Int
    package var candidacies: Int
    package var waitingCalls: Int
}

package struct LeaseDetails: Sendable {
    package var lease: Lease
    package var isClaim: Bool
    package var ttlSeconds: UInt32
    package var remaining: Span
    package var waitingCalls: Int
}

package struct ElectionDetails: Sendable {
    package var state: ElectionState
    /// The leader included.
    package var candidates: Int
    package var changedBy: Sequence
    package var changedAt: WallTime
}

/// Which agents a list is to have. All that is set must hold.
package struct AgentFilter: Equatable, Sendable {
    /// None means all.
    package var statuses: [AgentStatus]
    package var tools: [String]
    package var namePrefix: String

    package init(statuses: [AgentStatus] = [], tools: [String] = [], namePrefix: String = "") {
        self.statuses = statuses
        self.tools = tools
        self.namePrefix = namePrefix
    }

    func matches(_ card: AgentCard, _ status: AgentStatus) -> Bool {
        (statuses.isEmpty || statuses.contains(status))
            && card.name.utf8.starts(with: namePrefix.utf8)
            && tools.allSatisfy { tool in card.tools.contains { $0.hasSameBytes(as: tool) } }
    }
}

/// Which leases a list is to have. All that is set must hold.
package struct LeaseFilter: Equatable, Sendable {
    package var holder: AgentID?
    package var taskPrefix: String
    /// Nil for claims and others.
    package var claims: Bool?

    package init(holder: AgentID? = nil, taskPrefix: String = "", claims: Bool? = nil) {
        self.holder = holder
        self.taskPrefix = taskPrefix
        self.claims = claims
    }
}

/// The order of a list of tasks.
package enum TaskOrder: Equatable, Sendable {
    /// All of them, the oldest first.
    case created
    /// Those that are finished, the last first.
    case finished
}

/// Which tasks of the queue a list is to have. All that is set must hold.
package struct TaskFilter: Equatable, Sendable {
    /// None means all.
    package var statuses: [QueuedTask.Status]
    package var type: String?

    package init(statuses: [QueuedTask.Status] = [], type: String? = nil) {
        self.statuses = statuses
        self.type = type
    }

    func matches(_ task: QueuedTask) -> Bool {
        (statuses.isEmpty || statuses.contains(task.status))
            && (type.map { task.specification.type.hasSameBytes(as: $0) } ?? true)
    }
}
