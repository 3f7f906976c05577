// The database as the changes of the log leave it. One way in for all: what a crash left in the log is put into
// the database by the same code as, every few seconds, what was written since.
//
// Changes are gathered in memory and written in one transaction together with the revision that they go up to;
// so the database is always the state after some revision, and the log after that revision goes on from it.

import CSQLite
import Coordination

final class Ledger {
    private let database: Database
    private let limits: Limits
    private(set) var daemon: DaemonRow

    private var agents: ChangedRows<StoredAgent>
    private var leases: ChangedRows<StoredLease>
    private var elections: ChangedRows<StoredElection>
    private var candidates: ChangedRows<CandidateRow>
    private var policies: ChangedRows<PolicyRow>
    private var tasks: ChangedRows<StoredTask>
    private var events: AppendedRows<EventRow>
    private var releases: AppendedRows<ReleaseRow>
    private var requests: AppendedRows<RequestRow>
    private var oldestEvent = Sequence.zero

    private let daemonWrite: Statement
    private let eventPruning: Statement
    private let releasePruning: Pruning
    private let requestPruning: Pruning

    /// - Throws: `damaged` when the database is not whole.
    init(_ database: Database, limits: Limits) throws(JournalError) {
        self.database = database
        self.limits = limits
        daemon = try Self.daemonRow(database)
        agents = try ChangedRows(database)
        leases = try ChangedRows(database)
        elections = try ChangedRows(database)
        candidates = try ChangedRows(database)
        policies = try ChangedRows(database)
        tasks = try ChangedRows(database)
        events = try AppendedRows(database)
        releases = try AppendedRows(database)
        requests = try AppendedRows(database)
        daemonWrite = try database.prepare(DaemonRow.layout.insertion)
        eventPruning = try database.prepare("DELETE FROM events WHERE sequence < ?")
        releasePruning = try Pruning(database, table: "released_leases", clock: "released_clock_ns")
        requestPruning = try Pruning(database, table: "requests", clock: "made_clock_ns")
    }

    static func daemonRow(_ database: Database) throws(JournalError) -> DaemonRow {
        let statement = try database.prepare(DaemonRow.layout.scan)
        guard try statement.step() else { throw .damaged("agentkeeper.db is damaged: table daemon is empty") }
        return try DaemonRow(row: statement)
    }

    var revision: Revision { daemon.counters.revision }

    // MARK: Changes

    func apply(_ transaction: Transaction) throws(JournalError) {
        daemon.counters.revision = transaction.revision
        note(transaction.moment)
        oldestEvent = transaction.oldestEvent
        events.drop { $0.event.sequence < oldestEvent }
        for change in transaction.changes { try apply(change, at: transaction.moment) }
    }

    /// The clock went on to here, at least.
    func note(_ moment: Moment) {
        guard moment.instant >= daemon.counters.clock else { return }
        daemon.counters.clock = moment.instant
        daemon.counters.wall = moment.wall
    }

    private func apply(_ change: Change, at now: Moment) throws(JournalError) {
        switch change {
        case .agent(let agent): agents.put(agent)
        case .agentStatus(let id, let status, let lastHeartbeatAt):
            var agent = try agents.required(id)
            agent.info.status = status
            agent.info.lastHeartbeatAt = lastHeartbeatAt
            agent.diedAt = status == .dead ? now.instant : nil
            agents.put(agent)
        case .agentForgotten(let id): agents.remove(id)
        case .lease(let lease):
            leases.put(lease)
            daemon.counters.lastToken = max(daemon.counters.lastToken, lease.lease.token)
        case .leaseEnded(let task): leases.remove(task)
        case .released(let token, let fingerprint):
            let release = StoredRelease(token: token, fingerprint: fingerprint, at: now.instant)
            releases.append(ReleaseRow(release: release, position: takePosition()))
            releases.keepLast(limits.maxReleasedLeases)
        case .requested(let id, let fingerprint, let made):
            let request = StoredRequest(id: id, fingerprint: fingerprint, made: made, at: now.instant)
            requests.append(RequestRow(request: request, position: takePosition()))
            requests.keepLast(limits.maxRequestIDs)
        case .candidateJoined(let candidacy):
            candidates.put(CandidateRow(candidacy: candidacy, position: takePosition()))
        case .candidateLeft(let candidacy): candidates.remove(CandidateRow.Key(candidacy: candidacy))
        case .election(let election): elections.put(election)
        case .electionForgotten(let group):
            let term = try elections.required(group).state.term
            daemon.counters.forgottenTerm = max(daemon.counters.forgottenTerm, term)
            elections.remove(group)
        case .policy(let policy): policies.put(PolicyRow(policy: policy))
        case .policyDeleted(let id): policies.remove(id)
        case .task(let specification, let serial):
            tasks.put(
                StoredTask(
                    task: QueuedTask(specification: specification), serial: serial, token: nil, failedBy: nil,
                    finishedAt: nil))
            daemon.counters.lastTaskSerial = max(daemon.counters.lastTaskSerial, serial)
        case .taskState(let id, let state):
            var task = try tasks.required(id)
            task.become(state, at: now.instant)
            tasks.put(task)
        case .taskForgotten(let id): tasks.remove(id)
        case .event(let topic, let agent, let subject, let reason, let trace):
            let sequence = Sequence(daemon.counters.lastSequence.value + 1)
            daemon.counters.lastSequence = sequence
            let event = Event(
                sequence: sequence, topic: topic, occurredAt: now.wall, payload: try payload(subject), agent: agent,
                reason: reason, origin: trace.map { Origin(trace: $0) })
            events.append(EventRow(event: event, at: now.instant))
        }
    }

    private func payload(_ subject: EventSubject) throws(JournalError) -> Event.Payload {
        switch subject {
        case .agent(let id): .agent(try agents.required(id).info)
        case .lease(let task): .lease(try leases.required(task).lease)
        case .election(let group): .election(try elections.required(group).state)
        case .policy(let id): .policy(try policies.required(id).policy)
        case .task(let id): .task(try tasks.required(id).task)
        }
    }

    private func takePosition() -> UInt64 {
        daemon.lastPosition += 1
        return daemon.lastPosition
    }

    // MARK: The database

    /// Writes everything that was gathered, in one transaction. If that fails nothing was written, and what was
    /// gathered is forgotten: the log has it.
    func write() throws(JournalError) {
        try write(inspectedBy: { () throws(JournalError) in })
    }

    /// The same, with a look at what was written, by which it can still be refused.
    func write<Result: ~Copyable>(
        inspectedBy inspect: () throws(JournalError) -> Result
    ) throws(JournalError) -> Result {
        let result: Result
        do throws(JournalError) {
            result = try database.transaction { () throws(JournalError) in
                try agents.write()
                try leases.write()
                try elections.write()
                try candidates.write()
                try policies.write()
                try tasks.write()
                try events.write()
                try eventPruning.run([.unsigned(oldestEvent.value)])
                try releases.write()
                try requests.write()
                let forgotten = daemon.counters.clock.nanoseconds - limits.retryRetention.nanoseconds
                try releasePruning.run(keeping: limits.maxReleasedLeases, after: forgotten)
                try requestPruning.run(keeping: limits.maxRequestIDs, after: forgotten)
                try daemonWrite.run(daemon.sealed)
                return try inspect()
            }
        } catch {
            try forget()
            throw error
        }
        clear()
        return result
    }

    /// Forgets what was gathered, a transaction that was half taken in too, and begins again where the database is.
    func forget() throws(JournalError) {
        clear()
        daemon = try Self.daemonRow(database)
    }

    private func clear() {
        agents.clear()
        leases.clear()
        elections.clear()
        candidates.clear()
        policies.clear()
        tasks.clear()
        events.clear()
        releases.clear()
        requests.clear()
    }
}

/// Deletes the first rows of a table that is in the order of `position` and of time.
private struct Pruning {
    private let byNumber: Statement
    private let byAge: Statement

    init(_ database: Database, table: String, clock: String) throws(JournalError) {
        byNumber = try database.prepare(
            "DELETE FROM \(table) WHERE position <= (SELECT position FROM \(table) ORDER BY position DESC LIMIT 1 OFFSET ?)"
        )
        byAge = try database.prepare(
            "DELETE FROM \(table) WHERE position < ifnull((SELECT position FROM \(table) WHERE \(clock) > ? "
                + "ORDER BY position LIMIT 1), 9223372036854775807)")
    }

    func run(keeping count: Int, after clock: Int64) throws(JournalError) {
        try byNumber.run([.integer(Int64(count))])
        try byAge.run([.integer(clock)])
    }
}
