// What a client can want of the core, one case an intent, and what the core says to it.

package enum Command: Sendable {
    case register(Register)
    case heartbeat(AgentID)
    case deregister(AgentID)
    case acquireLease(AcquireLease)
    case renewLease(HeldLease, ttlSeconds: UInt32)
    case releaseLease(HeldLease)
    case campaign(GroupName, AgentID)
    case resign(GroupName, AgentID)
    case setPolicy(Policy)
    case deletePolicy(PolicyID)
    case createTask(CreateTask)
    /// Waits until there is a task for the agent, without a deadline of the core's.
    case claimTask(AgentID)
    case completeTask(FinishTask, output: [UInt8])
    case failTask(FinishTask, reason: String)
    /// The client of a waiting call went away: the wait is over, and nothing came of it. A waiter that
    /// was already settled is none any more, and nothing happens.
    case cancelWait(WaiterID)
    /// What was granted to a waiting call did not reach its client. A claim goes back to the queue
    /// (`task.requeued`), a lease ends (`lease.expired`), unless it has moved on since. A lease that was
    /// asked for under a request id stays: the retry will ask for it.
    case returnGrant(TaskID, FencingToken)
    /// An operator ends the lease with this token, or the claim, whoever holds it.
    case forceRelease(TaskID, FencingToken)
    /// An operator ends a living agent, and all that a death ends.
    case forceDeregister(AgentID)
    /// An operator puts a task back that is CLAIMED, or DEAD, which gets all its retries again.
    case forceRequeue(TaskID)
    case forceDeletePolicy(PolicyID)
    /// Takes down for a journal when agents were last heard of, of so many places of their table from this one on.
    /// Heartbeats by themselves are not worth a write each.
    case noteHeartbeats(from: Int, count: Int)
    /// The daemon was away for a while and heard nobody: no agent's silence counts until now.
    case awaken
    /// Nothing but the passing of time.
    case advance

    package struct Register: Sendable {
        /// Fresh and random: the agent's id, if this registers one.
        package var newID: AgentID
        package var card: AgentCard
        /// 0 for the default.
        package var ttlSeconds: UInt32
        package var requestID: RequestID?

        package init(newID: AgentID, card: AgentCard, ttlSeconds: UInt32, requestID: RequestID? = nil) {
            self.newID = newID
            self.card = card
            self.ttlSeconds = ttlSeconds
            self.requestID = requestID
        }
    }

    package struct AcquireLease: Sendable {
        package var task: TaskID
        package var agent: AgentID
        /// 0 for the default.
        package var ttlSeconds: UInt32
        /// 0 not to wait.
        package var waitMilliseconds: UInt32
        package var requestID: RequestID?

        package init(
            task: TaskID, agent: AgentID, ttlSeconds: UInt32, waitMilliseconds: UInt32 = 0,
            requestID: RequestID? = nil
        ) {
            self.task = task
            self.agent = agent
            self.ttlSeconds = ttlSeconds
            self.waitMilliseconds = waitMilliseconds
            self.requestID = requestID
        }
    }

    /// A lease as its holder knows it.
    package struct HeldLease: Hashable, Sendable {
        package var task: TaskID
        package var agent: AgentID
        package var token: FencingToken

        package init(task: TaskID, agent: AgentID, token: FencingToken) {
            self.task = task
            self.agent = agent
            self.token = token
        }
    }

    package struct CreateTask: Sendable {
        /// Fresh and random: the task's id, if this creates one.
        package var newID: TaskID
        package var type: String
        package var input: [UInt8]
        package var requiredTools: [String]
        package var maxRetries: UInt32
        /// 0 for the default.
        package var ttlSeconds: UInt32
        package var requestID: RequestID?

        package init(
            newID: TaskID, type: String, input: [UInt8] = [], requiredTools: [String] = [],
            maxRetries: UInt32 = 0, ttlSeconds: UInt32 = 0, requestID: RequestID? = nil
        ) {
            self.newID = newID
            self.type = type
            self.input = input
            self.requiredTools = requiredTools
            self.maxRetries = maxRetries
            self.ttlSeconds = ttlSeconds
            self.requestID = requestID
        }
    }

    package struct FinishTask: Sendable {
        package var task: TaskID
        package var agent: AgentID
        /// The claim's token; nil when the client does not know of tokens.
        package var token: FencingToken?

        package init(task: TaskID, agent: AgentID, token: FencingToken? = nil) {
            self.task = task
            self.agent = agent
            self.token = token
        }
    }
}

extension Command {
    /// What a command asks of a disk that is full.
    enum Need {
        /// It makes the state larger.
        case room
        /// It leaves the state as large as it is, but has to be written down: whoever works on must not lose his lease for it.
        case reserve
        /// It ends something, or is time itself, and must go on in any case.
        case nothing
    }

    var need: Need {
        switch self {
        case .register, .acquireLease, .campaign, .setPolicy, .createTask, .claimTask: .room
        case .completeTask(_, let output): output.count > Self.smallOutputBytes ? .room : .nothing
        case .renewLease, .forceRequeue: .reserve
        case .heartbeat, .noteHeartbeats, .deregister, .releaseLease, .resign, .deletePolicy, .failTask, .cancelWait,
            .returnGrant, .forceRelease, .forceDeregister, .forceDeletePolicy, .awaken, .advance:
            .nothing
        }
    }

    /// A result of so many bytes is no burden: work that is done should be told of.
    private static let smallOutputBytes = 16_384
}

/// What became of a command.
package enum Outcome: Sendable {
    case reply(Reply)
    case refused(Refusal)
    /// The call waits; its outcome comes from `Machine.takeSettled()`.
    case waiting(WaiterID)
}

package enum Reply: Sendable {
    case done
    case registered(AgentID)
    /// The lease on the task: the caller's new one, or, when not acquired, whoever's it is.
    case lease(Lease, acquired: Bool)
    case election(ElectionState)
    case policy(Policy)
    /// What an operator wanted is done; the first event that tells of it.
    case forced(Sequence)
    // Boxed, so that every other reply need not be moved about in the size of these.
    indirect case created(QueuedTask)
    indirect case claimed(QueuedTask, Lease)
}

/// Why the core refuses, in the domain's terms. The text says what was wrong and what was found.
package enum Refusal: Error, Sendable {
    /// A field's value is outside its range.
    case invalid(String)
    case unknownAgent(AgentID)
    case deadAgent(AgentID)
    /// Nobody holds a lease on the task.
    case noLease(TaskID)
    case heldByAnother(TaskID, holder: AgentID, caller: AgentID)
    case staleToken(TaskID, given: FencingToken, current: FencingToken)
    case unknownPolicy(PolicyID)
    case unknownTask(TaskID)
    /// The task is another agent's.
    case notClaimer(TaskID, claimer: AgentID, caller: AgentID)
    case notClaimed(TaskID, QueuedTask.Status)
    /// Only a task that is CLAIMED or DEAD can be put back.
    case notRequeuable(TaskID, QueuedTask.Status)
    /// Somebody has taken a lease under the id of a task that was finished.
    case leaseOnFinishedTask(TaskID, holder: AgentID)
    /// AcquireLease on a task of the queue.
    case leaseOnQueuedTask(TaskID, QueuedTask.Status)
    /// ReleaseLease on a claim.
    case releaseOfClaim(TaskID)
    /// The request id was used before, with other content.
    case requestIDReused(RequestID)
    /// One of `Limits` is reached.
    case limitReached(String)
    /// The history no longer reaches back so far.
    case historyGone(after: Sequence, oldest: Sequence)
    /// The sequence has not been given out yet.
    case futureSequence(Sequence, last: Sequence)
}
