// Every table with one record that has everything and one that has nothing that may be missing.

import Coordination
import Testing

@testable import Journal

private let (earliest, latest) = (WallTime(nanoseconds: .min), WallTime(nanoseconds: .max))
private let last = AgentID(high: .max, low: .max)
private let everything = awkwardTexts.joined(separator: "|")

private let agents = [
    StoredAgent(
        info: AgentInfo(
            id: last,
            card: AgentCard(
                name: everything, description: everything, version: everything,
                capabilities: awkwardTexts.map { .init(name: $0, description: $0) }, tools: awkwardTexts,
                metadata: awkwardTexts.map { .init(key: $0, value: $0) }),
            status: .dead, registeredAt: earliest, lastHeartbeatAt: latest),
        ttlSeconds: .max, registeredBy: Sequence(.max), diedAt: Instant(nanoseconds: .min)),
    StoredAgent(
        info: AgentInfo(
            id: AgentID(high: 0, low: 0), card: AgentCard(name: ""), status: .alive,
            registeredAt: WallTime(nanoseconds: 0), lastHeartbeatAt: WallTime(nanoseconds: 0)),
        ttlSeconds: 0, registeredBy: Sequence(1), diedAt: nil),
]

private let leases = [
    StoredLease(
        lease: Lease(
            task: TaskID(everything), holder: last, token: FencingToken(.max), acquiredAt: earliest,
            expiresAt: latest),
        ttlSeconds: .max, isRetriable: true, isClaim: false, deadline: Instant(nanoseconds: .max)),
    StoredLease(
        lease: Lease(
            task: TaskID("t"), holder: a, token: FencingToken(1), acquiredAt: WallTime(nanoseconds: 0),
            expiresAt: WallTime(nanoseconds: 0)),
        ttlSeconds: 0, isRetriable: false, isClaim: true, deadline: Instant(nanoseconds: .min)),
]

private let releases = [
    ReleaseRow(
        release: StoredRelease(token: FencingToken(.max), fingerprint: .max, at: Instant(nanoseconds: .min)),
        position: .max),
    ReleaseRow(
        release: StoredRelease(token: FencingToken(1), fingerprint: 0, at: Instant(nanoseconds: 0)), position: 1),
]

private let requests = [StoredRequest.Made.agent(last), .lease(FencingToken(.max)), .task(TaskID(everything))]
    .enumerated().map { index, made in
        RequestRow(
            request: StoredRequest(
                id: RequestID("\(index)" + everything), fingerprint: .max, made: made, at: Instant(nanoseconds: .max)),
            position: UInt64(index + 1))
    }

private let elections = [
    StoredElection(
        state: ElectionState(group: GroupName(everything), leader: last, term: Term(.max), electedAt: latest),
        changedBy: Sequence(.max), changedAt: earliest),
    StoredElection(
        state: ElectionState(group: GroupName("g"), leader: nil, term: Term(1), electedAt: nil),
        changedBy: Sequence(1), changedAt: WallTime(nanoseconds: 0)),
]

private let candidates = [
    CandidateRow(candidacy: StoredCandidacy(group: GroupName(everything), agent: last), position: .max),
    CandidateRow(candidacy: StoredCandidacy(group: GroupName("g"), agent: a), position: 1),
]

private let policies = [
    Policy(
        id: PolicyID(everything), subject: everything, action: everything, resource: everything, effect: .deny),
    Policy(id: PolicyID("p"), subject: "", action: "", resource: "", effect: .allow),
]

private let tasks: [StoredTask] = {
    var finished = QueuedTask(
        specification: .init(
            id: TaskID(everything), type: everything, input: Array(0...255), requiredTools: awkwardTexts,
            maxRetries: .max, ttlSeconds: .max, createdAt: earliest),
        status: .dead)
    finished.retryCount = .max
    finished.claimer = last
    finished.output = Array(0...255)
    finished.failureReason = everything
    finished.claimedAt = latest
    finished.finishedAt = latest
    let fresh = QueuedTask(
        specification: .init(
            id: TaskID("t"), type: "", input: [], requiredTools: [], maxRetries: 0, ttlSeconds: 0,
            createdAt: WallTime(nanoseconds: 0)))
    return [
        StoredTask(
            task: finished, serial: .max, token: FencingToken(.max), failedBy: last,
            finishedAt: Instant(nanoseconds: .max)),
        StoredTask(task: fresh, serial: 1, token: nil, failedBy: nil, finishedAt: nil),
    ]
}()

private let events: [EventRow] = {
    let payloads: [Event.Payload] =
        agents.map { .agent($0.info) } + leases.map { .lease($0.lease) } + elections.map { .election($0.state) }
        + policies.map { .policy($0) } + tasks.map { .task($0.task) }
    return zip(payloads, Topic.allCases).enumerated().map { index, pair in
        EventRow(
            event: Event(
                sequence: Sequence(UInt64(index + 1)), topic: pair.1, occurredAt: latest, payload: pair.0,
                agent: index % 2 == 0 ? last : nil, reason: EventReason.allCases[index % EventReason.allCases.count],
                origin: index % 3 == 0
                    ? nil
                    : Origin(trace: TraceContext(traceHigh: 0, traceLow: .max, parent: 1, flags: UInt8(index)))),
            at: Instant(nanoseconds: .min))
    }
}()

private let daemon = DaemonRow(
    identity: .max,
    counters: StoredCounters(
        clock: Instant(nanoseconds: .min), wall: earliest, revision: Revision(.max), lastToken: FencingToken(.max),
        lastSequence: Sequence(.max), lastTaskSerial: .max, forgottenTerm: Term(.max)),
    lastPosition: .max)

/// A test of one table, with its records.
private struct TableTest: Sendable {
    let name: String
    let columns: [String]
    let roundTrips: @Sendable () throws -> Void
    /// Says what a reader finds when the value of a column was changed behind its back; nil for nothing.
    let readAfter: @Sendable (_ update: String) throws -> String?
    /// The same for values that were written with a checksum that is right.
    let readWith: @Sendable (_ value: SQLValue, _ column: Int) -> String?
    let first: [SQLValue]

    init<Row: StoredRow>(_ rows: [Row]) {
        let layout = Row.layout
        name = layout.name
        columns = layout.columns.map(\.name)
        first = rows[0].values
        roundTrips = {
            let database = try Database((":memory:", nil), .readWrite)
            try database.execute(layout.creation)
            for row in rows { try database.prepare(layout.insertion).run(row.sealed) }
            for row in rows {
                let lookup = try database.prepare(layout.lookup)
                lookup.bind(Row.values(of: row.key))
                #expect(try lookup.step())
                let found = try Row(row: lookup)
                // With its checksum, which is over bytes: Swift's texts are equal when they look the same.
                #expect(found.sealed == row.sealed, "\(layout.name)")
                #expect(found.key == row.key)
            }
            #expect(try database.value("SELECT count(*) FROM \(layout.name)") == rows.count)
            for row in rows { try database.prepare(layout.deletion).run(Row.values(of: row.key)) }
            #expect(try database.value("SELECT count(*) FROM \(layout.name)") == 0)
        }
        readAfter = { update in
            let database = try Database((":memory:", nil), .readWrite)
            try database.execute(layout.creation)
            try database.execute("PRAGMA ignore_check_constraints = ON")
            try database.prepare(layout.insertion).run(rows[rows.count - 1].sealed)
            try database.execute(update)
            return complaint { () throws(JournalError) in
                let scan = try database.prepare(layout.scan)
                while try scan.step() { _ = try Row(row: scan) }
            }
        }
        readWith = { value, column in
            var values = rows[0].values
            values[column] = value
            return complaint { () throws(JournalError) in
                var reader = RowReader(table: layout, values: values)
                _ = try Row(from: &reader)
            }
        }
    }
}

private let tables = [
    TableTest(agents), TableTest(leases), TableTest(releases), TableTest(requests), TableTest(elections),
    TableTest(candidates), TableTest(policies.map { PolicyRow(policy: $0) }), TableTest(tasks), TableTest(events),
    TableTest([daemon]),
]

@Suite struct RowTests {
    @Test func `Every record comes back as it was, whatever is in it`() throws {
        for table in tables { try table.roundTrips() }
    }

    @Test func `A value that was changed is found by the checksum of its row, whichever it is`() throws {
        for table in tables {
            for column in table.columns + ["checksum"] {
                let update = """
                    UPDATE \(table.name) SET \(column) = CASE typeof(\(column))
                    WHEN 'integer' THEN \(column) + iif(\(column) < 0, 1, -1) WHEN 'text' THEN \(column) || 'x' WHEN 'blob' THEN x'00ff'
                    ELSE 0 END
                    """
                let found = try table.readAfter(update)
                #expect(
                    found
                        == "agentkeeper.db is damaged: a row of table \(table.name) has a wrong checksum; "
                        + "nothing was changed, and a backup is needed", "\(table.name).\(column)")
            }
        }
    }

    @Test func `Two values that changed places are found`() throws {
        let update = "UPDATE leases SET acquired_at = expires_at, expires_at = '2027-01-01T00:00:00.000000000Z'"
        #expect(try tables[1].readAfter(update) != nil)
        #expect(try tables[7].readAfter("UPDATE tasks SET input = output, output = input, type = 'x'") != nil)
    }

    @Test func `A value that was never written is damage: a fraction, a text that is no UTF-8`() throws {
        #expect(
            try tables[1].readAfter("UPDATE leases SET ttl_seconds = 0.5")
                == "agentkeeper.db is damaged: there is a value of a type that was never written; "
                + "nothing was changed, and a backup is needed")
        #expect(
            try tables[1].readAfter("UPDATE leases SET task_id = CAST(x'ff' AS TEXT)")
                == "agentkeeper.db is damaged: a row of table leases has a wrong checksum; "
                + "nothing was changed, and a backup is needed")
    }

    @Test func `A value of a wrong type is refused by the name of its column`() {
        for table in tables {
            for (index, column) in table.columns.enumerated() {
                let wrong: SQLValue = if case .blob = table.first[index] { .text("x") } else { .blob([0xff]) }
                #expect(
                    table.readWith(wrong, index)
                        == "agentkeeper.db is damaged: \(column) of table \(table.name) can't be \(wrong); "
                        + "nothing was changed, and a backup is needed")
            }
        }
    }

    @Test func `A text or a number that can't be is refused by the name of its column`() throws {
        for (table, column, value): (String, String, SQLValue) in [
            ("agents", "agent_id", .text("nobody")),
            ("agents", "tools", .text("[")),
            ("agents", "capabilities", .text("[]")),
            ("agents", "metadata", .text(#"{"a":1}"#)),
            ("agents", "status", .text("alive")),
            ("agents", "ttl_seconds", .integer(-1)),
            ("agents", "ttl_seconds", .integer(4_294_967_296)),
            ("agents", "registered_at", .text("yesterday")),
            ("leases", "is_claim", .integer(2)),
            ("leases", "token", .null),
            ("requests", "agent_id", .text("nobody")),
            ("elections", "leader_agent_id", .text("")),
            ("elections", "elected_at", .integer(0)),
            ("policies", "effect", .text("allow")),
            ("tasks", "status", .text("FAILED")),
            ("tasks", "required_tools", .text("{}")),
            ("tasks", "input", .null),
            ("events", "topic", .text("lease")),
            ("events", "payload", .blob([])),
            ("events", "payload", .blob([9])),
            ("daemon", "identity", .integer(-1)),
        ] {
            let test = try #require(tables.first { $0.name == table })
            let index = try #require(test.columns.firstIndex(of: column))
            #expect(
                test.readWith(value, index)?.hasPrefix("agentkeeper.db is damaged: \(column) of table \(table) ")
                    == true,
                "\(table).\(column) = \(value)")
        }
    }

    @Test func `A request made exactly one thing`() throws {
        let test = try #require(tables.first { $0.name == "requests" })
        let expected =
            "agentkeeper.db is damaged: a row of table requests made nothing, or two things; "
            + "nothing was changed, and a backup is needed"
        #expect(test.readWith(.null, try #require(test.columns.firstIndex(of: "agent_id"))) == expected)
        #expect(test.readWith(.integer(1), try #require(test.columns.firstIndex(of: "token"))) == expected)
        #expect(test.readWith(.text("t"), try #require(test.columns.firstIndex(of: "task_id"))) == expected)
    }
}
