// The machine behind its lock, with somebody who writes its changes down.

import Synchronization
import Testing

@testable import Coordination

/// Counts how often it is told.
private final class Ear: EventListener, ChangeWriter {
    private let count = Atomic(0)
    var heard: Int { count.load(ordering: .sequentiallyConsistent) }
    func eventsWereAdded() { count.add(1, ordering: .sequentiallyConsistent) }
    func changesAreWaiting() { count.add(1, ordering: .sequentiallyConsistent) }
}

private func at(_ seconds: Double) -> Moment {
    let nanoseconds = Int64(seconds * 1e9)
    return Moment(instant: Instant(nanoseconds: nanoseconds), wall: WallTime(nanoseconds: nanoseconds))
}

private func register(_ agent: AgentID, ttl: UInt32 = 600) -> Command {
    .register(.init(newID: agent, card: card(agent.letter), ttlSeconds: ttl))
}

private func recording(_ second: Double = 0) -> Machine {
    let counters = StoredCounters(
        clock: at(second).instant, wall: at(second).wall, revision: .zero, lastToken: FencingToken(0),
        lastSequence: .zero, lastTaskSerial: 0, forgottenTerm: Term(0))
    var machine = Machine(limits: Limits(), resuming: counters)
    do { try machine.finishRestoring(revision: .zero) } catch { Issue.record("\(error.message)") }
    return machine
}

@Suite struct CoordinatorTests {
    private let writer = Ear()
    private let coordinator = Coordinator(machine: recording())

    init() { coordinator.attach(writer) }

    /// Takes what there is, and says that it is on disk.
    private func commit() -> Revision? {
        var bytes: [UInt8] = []
        guard let end = coordinator.takeChanges(into: &bytes) else { return nil }
        coordinator.changesAreDurable(upTo: end.revision, end.sequence)
        return end.revision
    }

    private func events(after sequence: UInt64 = 0) throws -> [UInt64] {
        try coordinator.events(
            after: Sequence(sequence), matching: EventFilter(), limit: 100, scanning: 100, at: at(1)
        ).events.map(\.sequence.value)
    }

    @Test func `An outcome comes with the revision that it is based on, of another's change too`() {
        #expect(coordinator.perform(register(a), at: at(1)).revision == Revision(1))
        // A loser is told of the winner, who must not be lost.
        #expect(coordinator.perform(.acquire("t", a), at: at(1)).revision == Revision(2))
        #expect(coordinator.perform(.heartbeat(a), at: at(1)).revision == Revision(2))
        #expect(coordinator.read(at: at(1)) { $0.counts.leases }.revision == Revision(2))
        #expect(!coordinator.isDurable(Revision(1)) && coordinator.isDurable(.zero))
        #expect(commit() == Revision(2))
        #expect(coordinator.isDurable(Revision(2)) && !coordinator.isDurable(Revision(3)))
    }

    @Test func `What ran out before there was a writer waits for it, and holds up nothing`() {
        let coordinator = Coordinator(machine: recording())
        _ = coordinator.perform(register(a, ttl: 1), at: at(0))
        // As the daemon's log does, which asks where the events are.
        _ = coordinator.lastTellableSequence(at: at(10))
        let writer = Ear()
        coordinator.attach(writer)
        #expect(writer.heard == 1)
        #expect(!coordinator.isDurable(Revision(1)) && coordinator.isDurable(.zero))
        let revision = coordinator.perform(register(b), at: at(10)).revision
        var bytes: [UInt8] = []
        #expect(coordinator.takeChanges(into: &bytes)?.revision == revision)
        bytes = []
        #expect(coordinator.takeChanges(into: &bytes) == nil)
        _ = coordinator.perform(register(c), at: at(10))
        #expect(writer.heard == 2)
    }

    @Test(.timeLimit(.minutes(15)))
    func `Whoever waits for the disk is woken when it has written, and leaves when cancelled`() async {
        let revision = coordinator.perform(register(a), at: at(1)).revision
        let (patient, cancelled) = (
            Task { [coordinator] in await coordinator.waitUntilDurable(revision) },
            Task { [coordinator] in await coordinator.waitUntilDurable(revision) }
        )
        cancelled.cancel()
        #expect(await cancelled.value == false)
        while coordinator.durableLineLength != 1 { await Task.yield() }
        #expect(commit() == revision)
        #expect(await patient.value && coordinator.durableLineLength == 0)
        #expect(await coordinator.waitUntilDurable(revision))
    }

    @Test func `Without a journal everything counts as durable`() throws {
        let coordinator = Coordinator(machine: Machine(tokensStartAbove: FencingToken(0)))
        let listener = Ear()
        coordinator.add(listener)
        let revision = coordinator.perform(register(a), at: at(1)).revision
        #expect(revision == .zero && coordinator.isDurable(revision) && listener.heard == 1)
        #expect(coordinator.lastTellableSequence(at: at(1)) == Sequence(1))
    }

    @Test func `Events are told of when they are durable, and not before`() throws {
        let listener = Ear()
        coordinator.add(listener)
        _ = coordinator.perform(register(a), at: at(1))
        var bytes: [UInt8] = []
        let first = try #require(coordinator.takeChanges(into: &bytes))
        _ = coordinator.perform(register(b), at: at(1))
        #expect(try events() == [] && listener.heard == 0)
        #expect(coordinator.lastTellableSequence(at: at(1)) == .zero)
        coordinator.changesAreDurable(upTo: first.revision, first.sequence)
        #expect(try events() == [1] && listener.heard == 1)
        #expect(coordinator.lastTellableSequence(at: at(1)) == Sequence(1))
        _ = commit()
        #expect(try events(after: 1) == [2] && listener.heard == 2)
        coordinator.remove(listener)
        _ = coordinator.perform(register(c), at: at(1))
        _ = commit()
        #expect(listener.heard == 2)
    }

    @Test func `The writer is woken once, until it has found nothing more`() {
        for agent in [a, b] { _ = coordinator.perform(register(agent), at: at(1)) }
        #expect(writer.heard == 1)
        #expect(commit() == Revision(2))
        _ = coordinator.perform(register(c), at: at(1))
        #expect(writer.heard == 1)
        #expect(commit() == Revision(3) && commit() == nil)
        _ = coordinator.perform(.heartbeat(a), at: at(1))
        #expect(writer.heard == 1)
        _ = coordinator.perform(register(d), at: at(1))
        #expect(writer.heard == 2)
        #expect(commit() == Revision(4))
    }

    @Test func `Without room what grows is refused, and what ends something goes on`() {
        _ = coordinator.perform(register(a), at: at(1))
        _ = coordinator.perform(.acquire("t", a, ttl: 5), at: at(1))
        _ = commit()
        func say(_ command: Command, at second: Double = 2) -> String {
            switch coordinator.perform(command, at: at(second)).outcome {
            case .reply(let reply): describe(reply)
            case .refused(let refusal): describe(refusal)
            case .waiting: "waiting"
            }
        }
        coordinator.setRoom(0, reserve: 0, else: "full")
        #expect(say(register(b)) == "limit: full")
        #expect(say(.renew("t", a, 1)) == "limit: full")
        coordinator.setRoom(0, reserve: 1, else: "full")
        #expect(say(.acquire("u", a)) == "limit: full")
        // Whoever works on keeps his lease while there is any reserve.
        #expect(say(.renew("t", a, 1)) != "limit: full")
        _ = commit()
        #expect(say(.heartbeat(a)) == "done")
        // Time goes on with a command that is refused.
        #expect(say(register(b), at: 7) == "limit: full")
        #expect(coordinator.read(at: at(7)) { $0.counts.leases }.result == 0)
        #expect(say(.deregister(a), at: 7) == "done")
        coordinator.setRoom(1, reserve: 1, else: "full")
        _ = commit()
        #expect(say(register(b), at: 7) == "registered b")
        // The one byte is used until the writer takes what there is.
        #expect(say(register(c), at: 7) == "limit: full")
        _ = commit()
        #expect(say(register(c), at: 7) == "registered c")
    }

    @Test func `What needs room is what makes the state larger, and what prolongs it needs the reserve`() {
        let held = Command.HeldLease(task: "t", agent: a, token: FencingToken(1))
        let finish = Command.FinishTask(task: "t", agent: a)
        for (command, need): (Command, Command.Need) in [
            (register(a), .room), (.acquire("t", a), .room), (.renewLease(held, ttlSeconds: 1), .reserve),
            (.campaign("g", a), .room), (.policy("p", "", "", "", .allow), .room), (.create("q"), .room),
            (.claimTask(a), .room), (.completeTask(finish, output: [UInt8](repeating: 0, count: 16_385)), .room),
            (.completeTask(finish, output: [UInt8](repeating: 0, count: 16_384)), .nothing),
            (.failTask(finish, reason: "x"), .nothing), (.heartbeat(a), .nothing), (.deregister(a), .nothing),
            (.releaseLease(held), .nothing), (.resign("g", a), .nothing), (.deletePolicy(PolicyID("p")), .nothing),
            (.returnGrant("t", FencingToken(1)), .nothing), (.awaken, .nothing), (.advance, .nothing),
            (.noteHeartbeats(from: 0, count: 1), .nothing), (.cancelWait(WaiterID(1)), .nothing),
        ] {
            #expect(command.need == need, "\(command)")
        }
    }

    @Test func `After a pause no agent is silent, and leases have run out`() {
        for (tolerance, alive): (Span?, Int) in [(.seconds(1), 1), (nil, 0)] {
            let coordinator = Coordinator(machine: recording(), stallTolerance: tolerance)
            _ = coordinator.perform(register(a, ttl: 10), at: at(1))
            _ = coordinator.perform(.acquire("t", a, ttl: 10), at: at(1))
            // Longer than the tolerance, and than anything lasts.
            let counts = coordinator.read(at: at(100)) { $0.counts }.result
            #expect(counts.leases == 0 && counts.agentsAlive == alive)
            guard tolerance != nil else { continue }
            // Who is silent from then on falls silent, for steps within the tolerance are no pause.
            for second in 101...111 { coordinator.advance(to: at(Double(second))) }
            #expect(coordinator.read(at: at(111)) { $0.counts.agentsUnreachable }.result == 1)
        }
    }

    @Test func `The clock goes on where the last daemon's stopped`() {
        // It stopped at its second 50; this machine's monotonic clock is at 9 000.
        let coordinator = Coordinator(machine: recording(50), resumingAt: at(9_000).instant)
        #expect(coordinator.clock(at: at(9_001)) == nil)
        _ = coordinator.perform(register(a, ttl: 10), at: at(9_000))
        #expect(coordinator.clock(at: at(9_001))?.instant == at(51).instant)
        #expect(coordinator.clock(at: at(9_001))?.wall == at(9_001).wall)
        _ = coordinator.perform(.acquire("t", a, ttl: 5), at: at(9_001))
        #expect(coordinator.read(at: at(9_005.9)) { $0.counts.leases }.result == 1)
        #expect(coordinator.read(at: at(9_006)) { $0.counts.leases }.result == 0)
    }
}
