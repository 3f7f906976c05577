// What a command changed, in the words of the tables: the journal's alphabet.
//
// A change says what a record is now, not how it came to be so, and never leaves anything to be worked out
// by rules: a later version with other rules reads it the same. So the rules of this domain are applied
// once, by the command, and recovery only sets down what they led to.
//
// All changes of one command are one transaction and stand or fall together. It begins with the moment of
// the command; an event's payload is the record that it is about as the changes before it left it.

package enum Change: Sendable {
    /// A registration: the record whole.
    case agent(StoredAgent)
    /// An agent's new status; nothing else of its record changes.
    case agentStatus(AgentID, AgentStatus, lastHeartbeatAt: WallTime)
    case agentForgotten(AgentID)
    /// A lease that is held now, or was prolonged.
    case lease(StoredLease)
    case leaseEnded(TaskID)
    case released(FencingToken, fingerprint: UInt64)
    case requested(RequestID, fingerprint: UInt64, made: StoredRequest.Made)
    case candidateJoined(StoredCandidacy)
    case candidateLeft(StoredCandidacy)
    case election(StoredElection)
    case electionForgotten(GroupName)
    case policy(Policy)
    case policyDeleted(PolicyID)
    /// A task of the queue as it was created.
    case task(QueuedTask.Specification, serial: UInt64)
    case taskState(TaskID, StoredTaskState)
    case taskForgotten(TaskID)
    case event(Topic, agent: AgentID?, subject: EventSubject, reason: EventReason = .none, trace: TraceContext? = nil)
}

/// Which record an event is about.
package enum EventSubject: Sendable {
    case agent(AgentID)
    case lease(TaskID)
    case election(GroupName)
    case policy(PolicyID)
    case task(TaskID)
}

extension Event.Payload {
    package var subject: EventSubject {
        switch self {
        case .agent(let agent): .agent(agent.id)
        case .lease(let lease): .lease(lease.task)
        case .election(let state): .election(state.group)
        case .policy(let policy): .policy(policy.id)
        case .task(let task): .task(task.id)
        }
    }
}

/// What one command changed, as it is read back.
package struct Transaction: Sendable {
    package var revision: Revision
    package var moment: Moment
    /// The oldest event that was kept before the command.
    package var oldestEvent: Sequence
    package var changes: [Change]
}
