// A machine that goes on where another stopped, and every way in which what was kept can contradict itself.

import Testing

@testable import Coordination

private let now = Moment(instant: Instant(nanoseconds: 1_000), wall: WallTime(nanoseconds: 5))

private func agent(_ id: AgentID, registeredBy: UInt64 = 1, _ status: AgentStatus = .alive, died: Bool? = nil)
    -> StoredAgent
{
    let info = AgentInfo(
        id: id, card: card(id.letter), status: status, registeredAt: now.wall, lastHeartbeatAt: now.wall)
    return StoredAgent(
        info: info, ttlSeconds: 30, registeredBy: Sequence(registeredBy),
        diedAt: died ?? (status == .dead) ? now.instant : nil)
}

private func lease(_ task: TaskID, _ holder: AgentID, token: UInt64 = 1, isClaim: Bool = false) -> StoredLease {
    StoredLease(
        lease: Lease(
            task: task, holder: holder, token: FencingToken(token), acquiredAt: now.wall, expiresAt: now.wall),
        ttlSeconds: 60, isRetriable: false, isClaim: isClaim, deadline: Instant(nanoseconds: 9_000))
}

private func task(
    _ id: TaskID, number: UInt64 = 1, _ status: QueuedTask.Status = .pending, claimer: AgentID? = nil,
    token: UInt64? = nil, isFinished: Bool = false
) -> StoredTask {
    var task = QueuedTask(
        specification: .init(
            id: id, type: "", input: [], requiredTools: [], maxRetries: 0, ttlSeconds: 60, createdAt: now.wall),
        status: status)
    task.claimer = claimer
    task.claimedAt = claimer == nil ? nil : now.wall
    task.finishedAt = isFinished ? now.wall : nil
    return StoredTask(
        task: task, serial: number, token: token.map { FencingToken($0) }, failedBy: nil,
        finishedAt: isFinished ? now.instant : nil)
}

private func election(_ group: GroupName, leader: AgentID?, term: UInt64 = 1, changedBy: UInt64 = 1) -> StoredElection {
    StoredElection(
        state: ElectionState(
            group: group, leader: leader, term: Term(term), electedAt: leader == nil ? nil : now.wall),
        changedBy: Sequence(changedBy), changedAt: now.wall)
}

private enum Record {
    case agent(StoredAgent)
    case task(StoredTask)
    case lease(StoredLease)
    case election(StoredElection)
    case candidate(GroupName, AgentID)
    case release(UInt64)
    case event(UInt64)
}

/// What a machine says of these records; nil when it goes on from them. Tokens, events and tasks went up to 3.
private func complaint(_ records: [Record]) -> String? {
    let counters = StoredCounters(
        clock: now.instant, wall: now.wall, revision: Revision(9), lastToken: FencingToken(3),
        lastSequence: Sequence(3),
        lastTaskSerial: 3, forgottenTerm: Term(0))
    var machine = Machine(limits: Limits(), resuming: counters)
    do throws(Machine.RestoreFailure) {
        for record in records {
            switch record {
            case .agent(let agent): try machine.restore(agent)
            case .task(let task): try machine.restore(task)
            case .lease(let lease): try machine.restore(lease)
            case .election(let election): try machine.restore(election)
            case .candidate(let group, let agent): try machine.restore(StoredCandidacy(group: group, agent: agent))
            case .release(let token):
                try machine.restore(StoredRelease(token: FencingToken(token), fingerprint: 1, at: now.instant))
            case .event(let sequence):
                let policy = Policy(id: PolicyID("p"), subject: "", action: "", resource: "", effect: .allow)
                let event = Event(
                    sequence: Sequence(sequence), topic: .policySet, occurredAt: now.wall, payload: .policy(policy),
                    agent: nil)
                try machine.restore(event, at: now.instant)
            }
        }
        try machine.finishRestoring(revision: Revision(9))
    } catch {
        return error.message
    }
    machine.checkInvariants()
    #expect(machine.revision == Revision(9) && machine.counters == counters)
    return nil
}

@Suite struct RestoreTests {
    @Test func `What was kept and contradicts itself is refused in a sentence`() {
        for (records, sentence): ([Record], String?) in [
            ([], nil),
            (
                [
                    .agent(agent(a)), .agent(agent(b, registeredBy: 2, .unreachable)),
                    .agent(agent(c, registeredBy: 3, .dead)),
                    .task(task("p")), .task(task("q", number: 2, .claimed, claimer: a, token: 2)),
                    .task(task("r", number: 3, .completed, claimer: b, token: 1, isFinished: true)),
                    .lease(lease("t", b)), .lease(lease("q", a, token: 2, isClaim: true)),
                    .election(election("g", leader: a)), .election(election("h", leader: nil)), .candidate("g", a),
                    .candidate("g", b), .release(3), .event(2), .event(3),
                ], nil
            ),
            ([.agent(agent(a)), .agent(agent(a))], "agent \(a) is there twice"),
            (
                [.agent(agent(a, .dead, died: false))],
                "agent \(a) is half dead: its status and the time of its death disagree"
            ),
            (
                [.agent(agent(a, died: true))],
                "agent \(a) is half dead: its status and the time of its death disagree"
            ),
            ([.agent(agent(a, registeredBy: 4))], "agent \(a) registered with an event that has not happened"),
            ([.task(task("q")), .task(task("q", number: 2))], "task q is there twice"),
            ([.task(task("q", number: 4))], "task q has number 4 of 3"),
            ([.task(task("q", number: 2)), .task(task("r", number: 1))], "task r is out of order"),
            (
                [.task(task("q", .completed))],
                "task q is half finished: its status and its time of completion disagree"
            ),
            (
                [.task(task("q", isFinished: true))],
                "task q is half finished: its status and its time of completion disagree"
            ),
            ([.task(task("q", .claimed))], "task q is CLAIMED, and its claimer says otherwise"),
            ([.task(task("q", claimer: a))], "task q is PENDING, and its claimer says otherwise"),
            (
                [.agent(agent(a)), .lease(lease("t", a)), .lease(lease("t", a, token: 2))],
                "there are two leases on task \"t\""
            ),
            (
                [.lease(lease("t", a))],
                "the lease on task \"t\" is held by agent \(a), which is not there or is DEAD"
            ),
            (
                [.agent(agent(a, .dead)), .lease(lease("t", a))],
                "the lease on task \"t\" is held by agent \(a), which is not there or is DEAD"
            ),
            (
                [.agent(agent(a)), .lease(lease("t", a, token: 4))],
                "the lease on task \"t\" has token 4, and the last that was given is 3"
            ),
            (
                [.agent(agent(a)), .lease(lease("q", a, isClaim: true))],
                "the claim of task q and the task disagree"
            ),
            (
                [
                    .agent(agent(a)), .task(task("q", .claimed, claimer: a, token: 2)),
                    .lease(lease("q", a, token: 1, isClaim: true)),
                ], "the claim of task q and the task disagree"
            ),
            (
                [.agent(agent(a)), .task(task("q")), .lease(lease("q", a))],
                "there is a lease on task q of the queue that is no claim"
            ),
            (
                [.agent(agent(a)), .task(task("q", .claimed, claimer: a, token: 2))],
                "there are 1 tasks that are CLAIMED, and 0 claims"
            ),
            (
                [.election(election("g", leader: nil)), .election(election("g", leader: nil))],
                "election \"g\" is there twice"
            ),
            ([.election(election("g", leader: nil, term: 0))], "election \"g\" contradicts itself"),
            ([.election(election("g", leader: nil, changedBy: 4))], "election \"g\" contradicts itself"),
            (
                [.election(election("g", leader: nil)), .candidate("g", a)],
                "agent \(a), a candidate of election \"g\", is not there or is DEAD"
            ),
            (
                [.agent(agent(a)), .candidate("g", a)],
                "agent \(a) is a candidate of election \"g\" twice, or there is no such election"
            ),
            (
                [.agent(agent(a)), .election(election("g", leader: a)), .candidate("g", a), .candidate("g", a)],
                "agent \(a) is a candidate of election \"g\" twice, or there is no such election"
            ),
            (
                [.election(election("g", leader: a))],
                "the leader of election \"g\" is not its first candidate"
            ),
            (
                [
                    .agent(agent(a)), .agent(agent(b, registeredBy: 2)), .election(election("g", leader: a)),
                    .candidate("g", b), .candidate("g", a),
                ], "the leader of election \"g\" is not its first candidate"
            ),
            ([.release(1), .release(1)], "token 1 was released twice"),
            ([.event(4)], "event 4 is not one of those up to 3"),
            ([.event(2)], "there is a gap in the events that were kept"),
            ([.event(1), .event(3)], "there is a gap in the events that were kept"),
        ] {
            #expect(complaint(records) == sentence)
        }
    }

    @Test func `Events are kept for a day, and no longer`() {
        var limits = Limits()
        limits.eventRetention = .seconds(100)
        let scene = Scene(limits: limits)
        scene.register(a, ttl: 10_000)
        scene.turn(to: 60)
        scene.say(.acquire("t", a, ttl: 5_000))
        for (second, oldest): (Double, UInt64) in [(99.9, 1), (100, 2), (159.9, 2), (160, 3)] {
            scene.wait(until: second)
            #expect(scene.read { $0.oldestKeptSequence } == Sequence(oldest), "second \(second)")
        }
        #expect(scene.read { $0.lastSequence } == Sequence(2))
    }
}
