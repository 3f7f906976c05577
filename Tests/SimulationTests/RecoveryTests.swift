// What the simulation found once, told as what happened.

import Coordination
import Journal
import Testing

@testable import Simulation

private func opened(_ disk: SimulatedDisk) throws -> SimulatedDaemon {
    let start = StoredCounters(
        clock: Instant(nanoseconds: 0), wall: WallTime(nanoseconds: 0), revision: .zero, lastToken: FencingToken(0),
        lastSequence: .zero, lastTaskSerial: 0, forgottenTerm: Term(0))
    var options = Journal.Options()
    options.firstSegmentBytes = 4_096
    let opened = try Journal.open(disk, limits: Limits(), options: options, identity: 1, start: start)
    let journal = opened.journal
    return SimulatedDaemon(
        journal: journal, machine: opened.take(), twin: nil, resumingAt: Instant(nanoseconds: 0), stallTolerance: nil,
        twinIsLate: false)
}

private let now = Moment(instant: Instant(nanoseconds: 0), wall: WallTime(nanoseconds: 0))

extension SimulatedDaemon {
    fileprivate var counts: Counts { coordinator.read(at: now) { $0.counts }.result }

    fileprivate func say(_ command: Command) {
        _ = execute(command, at: now, call: 0, after: .zero)
    }

    fileprivate func commit() throws {
        guard take(), case .taken(let bytes, let revision, _) = batch else { return }
        var frame = [UInt8](repeating: 0, count: Journal.headroom) + bytes
        try journal.commit(&frame, upTo: revision)
        batch = .none
    }
}

@Suite struct RecoveryTests {
    private let agent = AgentID(high: 0, low: 1)

    private func register() -> Command {
        .register(.init(newID: agent, card: AgentCard(name: "a"), ttlSeconds: 60))
    }

    @Test func `A candidate that left and joined between two checkpoints stands once`() throws {
        let disk = SimulatedDisk(random: SeededRandom(seed: 1))
        var daemon: SimulatedDaemon? = try opened(disk)
        daemon?.say(register())
        daemon?.say(.campaign(GroupName("g"), agent))
        try daemon?.commit()
        // The first one makes the next segment ready, and the second closes the present one.
        for _ in 0..<2 { try daemon?.journal.checkpoint() }
        daemon?.say(.resign(GroupName("g"), agent))
        daemon?.say(.campaign(GroupName("g"), agent))
        try daemon?.commit()
        disk.powerCut()
        daemon = nil
        #expect(try opened(disk).counts.candidates == 1)
    }

    @Test func `What a sync failed to write is not built upon after the restart`() throws {
        // Each sync of a start fails in turn, the daemon is started again, and the power goes anywhere in that.
        for failing in 1...6 {
            for cut in 1...60 {
                let disk = SimulatedDisk(random: SeededRandom(seed: UInt64(failing * 100 + cut)))
                var daemon: SimulatedDaemon? = try opened(disk)
                daemon?.say(register())
                try daemon?.commit()
                disk.powerCut()
                daemon = nil
                disk.failingSync = disk.operations + failing
                _ = try? opened(disk)
                disk.processEnds()
                disk.cut = (disk.operations + cut, .after)
                daemon = try? opened(disk)
                disk.powerCut()
                daemon = try opened(disk)
                #expect(daemon?.counts.agentsAlive == 1, "sync \(failing), operation \(cut)")
            }
        }
    }
}
