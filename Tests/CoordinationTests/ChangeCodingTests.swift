// Changes and payloads as bytes: there and back, cut anywhere, and with any bits flipped.

import Testing

@testable import Coordination

private let texts = ["", "t", "a\u{0}b", "e\u{301}", "😀", String(repeating: "x", count: 300)]
private let last = AgentID(high: .max, low: .max)
private let (earliest, latest) = (WallTime(nanoseconds: .min), WallTime(nanoseconds: .max))

private let agents = [
    AgentInfo(
        id: last,
        card: AgentCard(
            name: "name", description: texts[5], version: "1",
            capabilities: texts.map { .init(name: $0, description: $0) },
            tools: texts, metadata: texts.map { .init(key: $0, value: $0) }),
        status: .dead, registeredAt: earliest, lastHeartbeatAt: latest),
    AgentInfo(id: a, card: AgentCard(name: ""), status: .unreachable, registeredAt: latest, lastHeartbeatAt: earliest),
]

private let lease = Lease(
    task: TaskID(texts[2]), holder: last, token: FencingToken(.max), acquiredAt: earliest, expiresAt: latest)

private let elections = [
    ElectionState(group: GroupName(texts[3]), leader: last, term: Term(.max), electedAt: latest),
    ElectionState(group: "g", leader: nil, term: Term(1), electedAt: nil),
]

private let policies = [Policy.Effect.allow, .deny].map {
    Policy(id: PolicyID(texts[4]), subject: "a*", action: "", resource: texts[5], effect: $0)
}

private let specification = QueuedTask.Specification(
    id: "q", type: texts[4], input: Array(0...255), requiredTools: texts, maxRetries: .max, ttlSeconds: .max,
    createdAt: earliest)

private let states = QueuedTask.Status.allCases.flatMap { status in
    [
        StoredTaskState(
            status: status, retryCount: .max, claimer: last, claimedAt: latest, finishedAt: earliest,
            token: FencingToken(.max), failedBy: a, failureReason: texts[5], output: Array(0...255)),
        StoredTaskState(
            status: status, retryCount: 0, claimer: nil, claimedAt: nil, finishedAt: nil, token: nil, failedBy: nil,
            failureReason: "", output: []),
    ]
}

private let changes: [Change] =
    agents.map { .agent(StoredAgent(info: $0, ttlSeconds: .max, registeredBy: Sequence(.max), diedAt: nil)) }
    + AgentStatus.allCases.map { .agentStatus(last, $0, lastHeartbeatAt: latest) }
    + [(true, false), (false, true), (true, true), (false, false)].map { isRetriable, isClaim in
        .lease(
            StoredLease(
                lease: lease, ttlSeconds: .max, isRetriable: isRetriable, isClaim: isClaim,
                deadline: Instant(nanoseconds: .min)))
    }
    + [StoredRequest.Made.agent(a), .lease(FencingToken(.max)), .task("q")].map {
        .requested(RequestID(texts[3]), fingerprint: .max, made: $0)
    }
    + elections.map { .election(StoredElection(state: $0, changedBy: Sequence(.max), changedAt: latest)) }
    + policies.map { .policy($0) } + states.map { .taskState(TaskID(texts[4]), $0) }
    + [
        .agentForgotten(last), .leaseEnded(TaskID(texts[2])), .released(FencingToken(.max), fingerprint: 1),
        .candidateJoined(StoredCandidacy(group: "g", agent: last)),
        .candidateLeft(StoredCandidacy(group: "g", agent: last)), .electionForgotten(GroupName(texts[3])),
        .policyDeleted(PolicyID(texts[2])), .task(specification, serial: .max), .taskForgotten("q"),
    ]
    + Topic.allCases.enumerated().map { index, topic in
        let subjects: [EventSubject] = [.agent(a), .lease("t"), .election("g"), .policy(PolicyID("p")), .task("q")]
        return .event(topic, agent: index % 2 == 0 ? last : nil, subject: subjects[index % subjects.count])
    }
    + EventReason.allCases.flatMap { reason -> [Change] in
        let traces = [nil, TraceContext(traceHigh: .max, traceLow: 0, parent: .max, flags: .max)]
        return traces.map { .event(.agentDied, agent: last, subject: .agent(a), reason: reason, trace: $0) }
    }

private let payloads: [Event.Payload] =
    agents.map { .agent($0) } + [.lease(lease)] + elections.map { .election($0) } + policies.map { .policy($0) }
    + states.map { state in
        var stored = StoredTask(
            task: QueuedTask(specification: specification), serial: 0, token: nil, failedBy: nil, finishedAt: nil)
        stored.become(state, at: Instant(nanoseconds: 0))
        return .task(stored.task)
    }

private func encoded(_ change: Change) -> [UInt8] {
    var writer = ByteWriter()
    change.write(to: &writer)
    return writer.bytes
}

private func encoded(_ payload: Event.Payload) -> [UInt8] {
    var writer = ByteWriter()
    payload.write(to: &writer)
    return writer.bytes
}

/// What the bytes hold, all of them, written anew; nil when they are not what a writer made.
private func reread(_ bytes: [UInt8], asPayload: Bool) -> [UInt8]? {
    bytes.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        do throws(ByteReader.Malformed) {
            let again = asPayload ? encoded(try Event.Payload(from: &reader)) : encoded(try Change(from: &reader))
            return reader.isAtEnd ? again : nil
        } catch {
            return nil
        }
    }
}

@Suite struct ChangeCodingTests {
    private let samples = changes.map { (encoded($0), false) } + payloads.map { (encoded($0), true) }

    @Test func `Every change and every payload comes back as it was, and every kind is among them`() {
        for (bytes, isPayload) in samples { #expect(reread(bytes, asPayload: isPayload) == bytes) }
        #expect(Set(changes.map { encoded($0)[0] }) == Set(1...18))
        #expect(Set(payloads.map { encoded($0)[0] }) == Set(1...5))
    }

    @Test func `An event as it was written before events had reasons is read as one without`() throws {
        // Kind 17, agent.died, of an agent, about an agent: bytes of the first version.
        let id: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 97, 0, 0, 0, 0, 0, 0, 0]
        let bytes: [UInt8] = [17, 3, 1] + id + [1] + id
        #expect(reread(bytes, asPayload: false) == bytes)
        try bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            guard
                case .event(.agentDied, agent: a, subject: .agent(a), let reason, let trace) = try Change(
                    from: &reader)
            else { throw ByteReader.Malformed() }
            #expect(reason == .none && trace == nil)
        }
    }

    @Test func `Bytes that end too early are refused, wherever they end`() {
        for (bytes, isPayload) in samples {
            for count in 0..<bytes.count {
                #expect(reread(Array(bytes[..<count]), asPayload: isPayload) == nil, "\(count) of \(bytes)")
            }
        }
    }

    @Test func `Bytes with flipped bits are refused or are something else, and never more than they were`() {
        var random = SeededRandom(seed: testSeed)
        for (bytes, isPayload) in samples {
            for _ in 0..<500 {
                var damaged = bytes
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    damaged[Int.random(in: 0..<damaged.count, using: &random)] ^=
                        1 << UInt8.random(in: 0..<8, using: &random)
                }
                // A count that was made huge would be seen here, or would not come back at all.
                guard let again = reread(damaged, asPayload: isPayload) else { continue }
                #expect(again.count <= damaged.count, "seed \(testSeed)")
            }
        }
    }

    @Test func `A kind that nobody knows is refused`() {
        for kind in [0, 19, 255] as [UInt8] {
            #expect(reread([kind] + [UInt8](repeating: 0, count: 64), asPayload: false) == nil)
        }
        for kind in [0, 6, 255] as [UInt8] {
            #expect(reread([kind] + [UInt8](repeating: 0, count: 64), asPayload: true) == nil)
        }
    }

    @Test func `A number has at most ten bytes, and a count is no greater than what is left`() throws {
        for (bytes, value): ([UInt8], UInt64?) in [
            ([0], 0), ([0x7f], 127), ([0x80, 1], 128), ([UInt8](repeating: 0xff, count: 9) + [1], .max),
            ([UInt8](repeating: 0x80, count: 10) + [1], nil), ([0x80], nil), ([], nil),
        ] {
            let found: UInt64? = bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                return try? reader.varint()
            }
            #expect(found == value)
        }
        let text: String? = ([0xff, 0xff, 0xff, 0xff, 0x0f, 65] as [UInt8]).withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return try? reader.text()
        }
        #expect(text == nil)
    }

    @Test func `All changes of one command are one transaction, and a command that changes nothing is none`() throws {
        var recorder = ChangeRecorder()
        #expect(!recorder.isOn && recorder.isEmpty)
        recorder.begin(after: Revision(7))
        recorder.end()
        #expect(recorder.isOn && recorder.isEmpty && recorder.revision == Revision(7))
        let now = Moment(instant: Instant(nanoseconds: 5), wall: WallTime(nanoseconds: -6))
        for count in [2, 1] {
            for change in changes.prefix(count) { recorder.record(change, at: now, oldestEvent: Sequence(3)) }
            recorder.end()
        }
        #expect(recorder.revision == Revision(9))
        var bytes: [UInt8] = []
        recorder.take(into: &bytes)
        #expect(recorder.isEmpty && recorder.byteCount == 0)
        try bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let (first, second) = (try Transaction(from: &reader), try Transaction(from: &reader))
            let isAtEnd = reader.isAtEnd
            #expect(isAtEnd)
            #expect((first.revision, second.revision) == (Revision(8), Revision(9)))
            #expect((first.changes.count, second.changes.count) == (2, 1))
            #expect(
                first.oldestEvent == Sequence(3) && first.moment.instant == now.instant && first.moment.wall == now.wall
            )
        }
    }
}
