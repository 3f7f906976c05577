import Testing

@testable import Coordination
@testable import Journal

@Suite struct LedgerTests {
    private let directory = TemporaryDirectory()
    private let database: Database

    init() throws {
        try Schema.create(on: directory.disk, identity: 7, counters: start)
        database = try directory.database()
    }

    private func count(_ table: String) throws -> Int64 { try database.value("SELECT count(*) FROM \(table)") }

    private func agent(_ id: AgentID, _ number: UInt64) -> Change {
        .agent(
            StoredAgent(
                info: AgentInfo(
                    id: id, card: AgentCard(name: "agent"), status: .alive, registeredAt: moment(1).wall,
                    lastHeartbeatAt: moment(1).wall),
                ttlSeconds: 30, registeredBy: Sequence(number), diedAt: nil))
    }

    private func lease(_ task: String, _ token: UInt64) -> Change {
        .lease(
            StoredLease(
                lease: Lease(
                    task: TaskID(task), holder: a, token: FencingToken(token), acquiredAt: moment(1).wall,
                    expiresAt: moment(2).wall),
                ttlSeconds: 1, isRetriable: false, isClaim: false, deadline: moment(2).instant))
    }

    private func request(_ id: String) -> Change {
        .requested(RequestID(id), fingerprint: 1, made: .lease(FencingToken(1)))
    }

    private func apply(
        _ ledger: Ledger, _ revision: UInt64, at second: Int64, oldestEvent: UInt64 = 1, _ changes: Change...
    )
        throws(JournalError)
    {
        try ledger.apply(
            Transaction(
                revision: Revision(revision), moment: moment(second), oldestEvent: Sequence(oldestEvent),
                changes: changes))
    }

    @Test func `A record that is made and ends between two checkpoints never touches its table`() throws {
        try database.execute(
            "CREATE TEMP TRIGGER spy BEFORE INSERT ON leases BEGIN SELECT raise(FAIL, 'a lease was written'); END")
        let ledger = try Ledger(database, limits: Limits())
        try apply(ledger, 1, at: 1, lease("t", 1))
        try apply(ledger, 2, at: 1, .leaseEnded(TaskID("t")))
        try ledger.write()
        #expect(try count("leases") == 0)
        #expect(ledger.daemon.counters.lastToken == FencingToken(1))
        // The spy is at work.
        try apply(ledger, 3, at: 1, lease("u", 2))
        let said = complaint { () throws(JournalError) in try ledger.write() }
        #expect(said?.contains("a lease was written") == true)
    }

    @Test func `Of all that became of a record the last is written, and one that was there can be deleted`() throws {
        let ledger = try Ledger(database, limits: Limits())
        try apply(ledger, 1, at: 1, lease("t", 1), lease("u", 2), lease("t", 3))
        try ledger.write()
        #expect(try database.value("SELECT token FROM leases WHERE task_id = 't'") == 3)
        try apply(ledger, 2, at: 1, .leaseEnded(TaskID("t")), .leaseEnded(TaskID("u")), lease("u", 4))
        try ledger.write()
        #expect(try count("leases") == 1)
        #expect(try database.value("SELECT token FROM leases WHERE task_id = 'u'") == 4)
    }

    @Test func `A change of a record that is only in the database finds it there`() throws {
        let first = try Ledger(database, limits: Limits())
        try apply(first, 1, at: 1, agent(a, 1))
        try first.write()
        let second = try Ledger(database, limits: Limits())
        try apply(second, 2, at: 9, .agentStatus(a, .dead, lastHeartbeatAt: moment(8).wall))
        try second.write()
        #expect(try database.value("SELECT died_clock_ns FROM agents WHERE status = 'DEAD'") == 9_000_000_000)
    }

    @Test func `A change of what is not there is damage, and says which`() throws {
        let ledger = try Ledger(database, limits: Limits())
        for (change, key, table): (Change, String, String) in [
            (.agentStatus(a, .dead, lastHeartbeatAt: moment(1).wall), "\(a)", "agents"),
            (.electionForgotten(GroupName("g")), "g", "elections"),
            (
                .taskState(
                    TaskID("t"),
                    StoredTaskState(
                        status: .pending, retryCount: 0, claimer: nil, claimedAt: nil, finishedAt: nil, token: nil,
                        failedBy: nil, failureReason: "", output: [])), "t", "tasks"
            ),
            (.event(.leaseExpired, agent: nil, subject: .lease(TaskID("t"))), "t", "leases"),
            (.event(.policySet, agent: nil, subject: .policy(PolicyID("p"))), "p", "policies"),
        ] {
            #expect(
                complaint { () throws(JournalError) in try apply(ledger, 1, at: 1, change) }
                    == "agentkeeper.db and its log disagree: the log changes \(key) of table \(table), "
                    + "which is not there; nothing was changed, and a backup is needed")
        }
    }

    @Test func `If the write fails nothing of it is in the database, and the log's changes can be applied again`()
        throws
    {
        let ledger = try Ledger(database, limits: Limits())
        try apply(ledger, 1, at: 1, lease("t", 1))
        try ledger.write()
        let before = try database.contents()

        func more() throws(JournalError) {
            try apply(
                ledger, 2, at: 5, agent(a, 1), lease("u", 2), .event(.agentRegistered, agent: a, subject: .agent(a)),
                .candidateJoined(StoredCandidacy(group: GroupName("g"), agent: a)), request("r"),
                .released(FencingToken(1), fingerprint: 1), .leaseEnded(TaskID("t")))
        }
        try more()
        #expect(ledger.revision == Revision(2))
        try database.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON requests BEGIN SELECT raise(FAIL, 'full'); END")
        #expect(complaint { () throws(JournalError) in try ledger.write() } != nil)
        #expect(try database.contents() == before)
        // It is where the database is: what comes next is what the log has after that.
        #expect(ledger.revision == Revision(1) && ledger.daemon.counters.clock == moment(1).instant)
        #expect(ledger.daemon.counters.lastSequence == .zero && ledger.daemon.lastPosition == 0)

        try database.execute("DROP TRIGGER full")
        try more()
        try ledger.write()
        let other = TemporaryDirectory()
        try Schema.create(on: other.disk, identity: 7, counters: start)
        let unharmed = try other.database()
        let reference = try Ledger(unharmed, limits: Limits())
        try apply(reference, 1, at: 1, lease("t", 1))
        try reference.apply(
            Transaction(
                revision: Revision(2), moment: moment(5), oldestEvent: Sequence(1),
                changes: [
                    agent(a, 1), lease("u", 2), .event(.agentRegistered, agent: a, subject: .agent(a)),
                    .candidateJoined(StoredCandidacy(group: GroupName("g"), agent: a)), request("r"),
                    .released(FencingToken(1), fingerprint: 1), .leaseEnded(TaskID("t")),
                ]))
        try reference.write()
        #expect(try database.contents() == unharmed.contents())
    }

    @Test func `Counters go up with what is made, and never down with what ends`() throws {
        let ledger = try Ledger(database, limits: Limits())
        let election = StoredElection(
            state: ElectionState(group: GroupName("g"), leader: nil, term: Term(4), electedAt: nil),
            changedBy: Sequence(1), changedAt: moment(1).wall)
        let task = QueuedTask.Specification(
            id: TaskID("q"), type: "", input: [], requiredTools: [], maxRetries: 0, ttlSeconds: 1,
            createdAt: moment(1).wall)
        try apply(
            ledger, 3, at: 6, lease("t", 9), .election(election), .task(task, serial: 5), agent(a, 1),
            .event(.agentRegistered, agent: a, subject: .agent(a)),
            .event(.leaseAcquired, agent: a, subject: .lease(TaskID("t"))))
        try apply(
            ledger, 8, at: 7, .leaseEnded(TaskID("t")), .electionForgotten(GroupName("g")), .taskForgotten(TaskID("q")),
            .agentForgotten(a))
        try ledger.write()
        let expected = StoredCounters(
            clock: moment(7).instant, wall: moment(7).wall, revision: Revision(8), lastToken: FencingToken(9),
            lastSequence: Sequence(2), lastTaskSerial: 5, forgottenTerm: Term(4))
        #expect(ledger.daemon.counters == expected)
        #expect(try Ledger.daemonRow(database).counters == expected)
        for table in ["leases", "elections", "tasks", "agents"] { #expect(try count(table) == 0) }
        #expect(try count("events") == 2)
    }

    @Test func `The clock never goes back`() throws {
        let ledger = try Ledger(database, limits: Limits())
        ledger.note(moment(9))
        ledger.note(moment(5))
        #expect(ledger.daemon.counters.clock == moment(9).instant)
        #expect(ledger.daemon.counters.wall == moment(9).wall)
        // The calendar may.
        ledger.note(Moment(instant: moment(10).instant, wall: moment(-100).wall))
        #expect(ledger.daemon.counters.wall == moment(-100).wall)
    }

    @Test func `An event's payload is its subject as the changes before it left it`() throws {
        let ledger = try Ledger(database, limits: Limits())
        try apply(ledger, 1, at: 1, agent(a, 1), .event(.agentRegistered, agent: a, subject: .agent(a)))
        try apply(
            ledger, 2, at: 2, .agentStatus(a, .unreachable, lastHeartbeatAt: moment(1).wall),
            .event(.agentUnreachable, agent: a, subject: .agent(a)))
        try apply(ledger, 3, at: 3, .agentForgotten(a))
        try ledger.write()
        var found: [String] = []
        let scan = try database.prepare(EventRow.layout.scan)
        while try scan.step() {
            let row = try EventRow(row: scan)
            guard case .agent(let info) = row.event.payload else { continue }
            found.append("\(row.event.sequence.value) \(row.event.topic.rawValue) \(info.status)")
        }
        #expect(found == ["1 agent.registered alive", "2 agent.unreachable unreachable"])
    }

    @Test func `Releases and requests are pruned to so many, those of earlier writes too`() throws {
        var limits = Limits()
        limits.maxReleasedLeases = 3
        limits.maxRequestIDs = 2
        let ledger = try Ledger(database, limits: limits)
        var token: UInt64 = 0
        for revision in 1...4 as ClosedRange<UInt64> {
            for _ in 0..<2 {
                token += 1
                try apply(
                    ledger, revision, at: 1, .released(FencingToken(token), fingerprint: 1), request("\(token)"))
            }
            try ledger.write()
            #expect(try count("released_leases") == min(3, Int64(token)))
            #expect(try count("requests") == min(2, Int64(token)))
        }
        #expect(try database.value("SELECT min(token) FROM released_leases") == 6)
        #expect(try database.value("SELECT min(CAST(request_id AS INTEGER)) FROM requests") == 7)
        // More at once than are kept.
        for _ in 0..<10 {
            token += 1
            try apply(ledger, 5, at: 1, .released(FencingToken(token), fingerprint: 1))
        }
        try ledger.write()
        #expect(try database.value("SELECT min(token) FROM released_leases") == 16)
        #expect(try count("released_leases") == 3)
    }

    @Test func `Releases and requests are pruned by their age, at the last change of all`() throws {
        var limits = Limits()
        limits.retryRetention = .seconds(10)
        let ledger = try Ledger(database, limits: limits)
        try apply(ledger, 1, at: 1, .released(FencingToken(1), fingerprint: 1), request("1"))
        try apply(ledger, 2, at: 5, .released(FencingToken(2), fingerprint: 1), request("2"))
        try ledger.write()
        #expect(try count("released_leases") == 2)
        try apply(ledger, 3, at: 11)
        try ledger.write()
        #expect(try database.value("SELECT min(token) FROM released_leases") == 2)
        #expect(try count("requests") == 1)
        try apply(ledger, 4, at: 15)
        try ledger.write()
        #expect(try count("released_leases") == 0)
        #expect(try count("requests") == 0)
    }

    @Test func `A request id that is used again stands there once`() throws {
        let ledger = try Ledger(database, limits: Limits())
        try apply(ledger, 1, at: 1, request("r"), request("s"))
        try ledger.write()
        try apply(ledger, 2, at: 2, request("r"), request("r"))
        try ledger.write()
        #expect(try count("requests") == 2)
        #expect(try database.value("SELECT made_clock_ns FROM requests WHERE request_id = 'r'") == 2_000_000_000)
    }

    @Test func `A candidate that left and came back is the last in line, once`() throws {
        let ledger = try Ledger(database, limits: Limits())
        let (first, second) = (
            StoredCandidacy(group: GroupName("g"), agent: a), StoredCandidacy(group: GroupName("g"), agent: b)
        )
        try apply(ledger, 1, at: 1, .candidateJoined(first), .candidateJoined(second))
        try ledger.write()
        try apply(ledger, 2, at: 1, .candidateLeft(first), .candidateJoined(first))
        try ledger.write()
        var line: [AgentID] = []
        let scan = try database.prepare(CandidateRow.layout.scan)
        while try scan.step() { line.append(try CandidateRow(row: scan).candidacy.agent) }
        #expect(line == [b, a])
    }

    @Test func `Events that the machine has dropped are dropped, written or not`() throws {
        let ledger = try Ledger(database, limits: Limits())
        func event(_ revision: UInt64, oldest: UInt64) throws {
            try apply(
                ledger, revision, at: 1, oldestEvent: oldest, agent(a, 1),
                .event(.agentRegistered, agent: a, subject: .agent(a)))
        }
        for revision in 1...4 as ClosedRange<UInt64> { try event(revision, oldest: 1) }
        try event(5, oldest: 3)
        try ledger.write()
        #expect(try database.value("SELECT min(sequence) FROM events") == 3)
        try event(6, oldest: 5)
        try ledger.write()
        #expect(try database.value("SELECT min(sequence) FROM events") == 5)
        #expect(try database.value("SELECT max(sequence) FROM events") == 6)
    }

    @Test func `A database without its counters is damaged`() throws {
        try database.execute("DELETE FROM daemon")
        #expect(
            complaint { () throws(JournalError) in _ = try Ledger(database, limits: Limits()) }
                == "agentkeeper.db is damaged: table daemon is empty; nothing was changed, and a backup is needed")
    }
}
