// The core's state as it is kept over a restart: one value for each record of a table.
//
// These are the words in which the core and a journal speak of durable state. A record has in it what the
// tables can't derive again; who waits, and when an agent was last heard of, is not kept. Instants are on
// the daemon's own clock, which goes on over a restart where it stopped, so a deadline needs no
// translation: nothing ran out while the daemon was away.

package struct StoredAgent: Sendable {
    package var info: AgentInfo
    package var ttlSeconds: UInt32
    /// The event of its registration: the order of age.
    package var registeredBy: Sequence
    /// Set exactly when it is DEAD.
    package var diedAt: Instant?

    package init(info: AgentInfo, ttlSeconds: UInt32, registeredBy: Sequence, diedAt: Instant?) {
        self.info = info
        self.ttlSeconds = ttlSeconds
        self.registeredBy = registeredBy
        self.diedAt = diedAt
    }
}

package struct StoredLease: Sendable {
    package var lease: Lease
    /// The last ttl given.
    package var ttlSeconds: UInt32
    /// Whether its request had an id, so that a retry may ask for it.
    package var isRetriable: Bool
    /// Whether it is a claim of a task of the queue.
    package var isClaim: Bool
    package var deadline: Instant

    package init(lease: Lease, ttlSeconds: UInt32, isRetriable: Bool, isClaim: Bool, deadline: Instant) {
        self.lease = lease
        self.ttlSeconds = ttlSeconds
        self.isRetriable = isRetriable
        self.isClaim = isClaim
        self.deadline = deadline
    }
}

package struct StoredElection: Sendable {
    package var state: ElectionState
    /// The event that told of the last change.
    package var changedBy: Sequence
    package var changedAt: WallTime

    package init(state: ElectionState, changedBy: Sequence, changedAt: WallTime) {
        self.state = state
        self.changedBy = changedBy
        self.changedAt = changedAt
    }
}

package struct StoredCandidacy: Hashable, Sendable {
    package var group: GroupName
    package var agent: AgentID

    package init(group: GroupName, agent: AgentID) {
        self.group = group
        self.agent = agent
    }
}

package struct StoredTask: Sendable {
    package var task: QueuedTask
    /// Counts the tasks that were ever created, from 1: the order of age.
    package var serial: UInt64
    /// The token of the last claim.
    package var token: FencingToken?
    /// Who failed it last, until it is claimed again.
    package var failedBy: AgentID?
    /// Set exactly when it is finished.
    package var finishedAt: Instant?

    package init(
        task: QueuedTask, serial: UInt64, token: FencingToken?, failedBy: AgentID?, finishedAt: Instant?
    ) {
        self.task = task
        self.serial = serial
        self.token = token
        self.failedBy = failedBy
        self.finishedAt = finishedAt
    }
}

/// What a task has become since its creation, which is all of it that changes.
package struct StoredTaskState: Sendable {
    package var status: QueuedTask.Status
    package var retryCount: UInt32
    package var claimer: AgentID?
    package var claimedAt: WallTime?
    package var finishedAt: WallTime?
    package var token: FencingToken?
    package var failedBy: AgentID?
    package var failureReason: String
    package var output: [UInt8]
}

extension StoredTask {
    package var state: StoredTaskState {
        StoredTaskState(
            status: task.status, retryCount: task.retryCount, claimer: task.claimer, claimedAt: task.claimedAt,
            finishedAt: task.finishedAt, token: token, failedBy: failedBy, failureReason: task.failureReason,
            output: task.output)
    }

    package mutating func become(_ state: StoredTaskState, at now: Instant) {
        task.status = state.status
        task.retryCount = state.retryCount
        task.claimer = state.claimer
        task.claimedAt = state.claimedAt
        task.finishedAt = state.finishedAt
        task.failureReason = state.failureReason
        task.output = state.output
        token = state.token
        failedBy = state.failedBy
        finishedAt = state.finishedAt == nil ? nil : now
    }
}

/// A request that is remembered by the id its client gave it.
package struct StoredRequest: Sendable {
    package enum Made: Sendable {
        case agent(AgentID)
        case lease(FencingToken)
        case task(TaskID)
    }

    package var id: RequestID
    /// Of the request's content.
    package var fingerprint: UInt64
    package var made: Made
    package var at: Instant

    package init(id: RequestID, fingerprint: UInt64, made: Made, at: Instant) {
        self.id = id
        self.fingerprint = fingerprint
        self.made = made
        self.at = at
    }
}

/// A lease that was released, remembered so that a repeat is recognised.
package struct StoredRelease: Sendable {
    package var token: FencingToken
    /// Of the lease's task and holder.
    package var fingerprint: UInt64
    package var at: Instant

    package init(token: FencingToken, fingerprint: UInt64, at: Instant) {
        self.token = token
        self.fingerprint = fingerprint
        self.at = at
    }
}

/// What goes on above everything ever given out.
package struct StoredCounters: Sendable, Equatable {
    /// The clock when the last change was made, and the calendar.
    package var clock: Instant
    package var wall: WallTime
    package var revision: Revision
    package var lastToken: FencingToken
    package var lastSequence: Sequence
    package var lastTaskSerial: UInt64
    /// The highest term of an election that was forgotten.
    package var forgottenTerm: Term

    package init(
        clock: Instant, wall: WallTime, revision: Revision, lastToken: FencingToken, lastSequence: Sequence,
        lastTaskSerial: UInt64, forgottenTerm: Term
    ) {
        self.clock = clock
        self.wall = wall
        self.revision = revision
        self.lastToken = lastToken
        self.lastSequence = lastSequence
        self.lastTaskSerial = lastTaskSerial
        self.forgottenTerm = forgottenTerm
    }
}
