// The journal's threads at work: on a disk that is well, full, and failing.

import Coordination
import Glibc
import Synchronization
import Testing

@testable import Journal

/// What the runner says, in order, and the clock that it reads.
private final class Watch: Sendable {
    enum Word: Equatable, Sendable {
        case durable(UInt64)
        case warning(String)
        case information(String)
        case failure(String)
    }

    private let words: AsyncStream<Word>
    private let continuation: AsyncStream<Word>.Continuation
    let seconds = Atomic<Int64>(0)

    init() { (words, continuation) = AsyncStream.makeStream() }

    func next() async -> Word? {
        for await word in words { return word }
        return nil
    }

    var hooks: JournalRunner.Hooks {
        JournalRunner.Hooks(
            now: { [self] in moment(seconds.load(ordering: .relaxed)) },
            changesAreDurable: { [continuation] in continuation.yield(.durable($0.value)) },
            warn: { [continuation] in continuation.yield(.warning($0)) },
            inform: { [continuation] in continuation.yield(.information($0)) },
            fail: { [continuation] error in
                continuation.yield(.failure(error.message))
                // The process would be gone by now: this thread does nothing any more.
                while true { pause() }
            })
    }
}

private let noRoom = "there is no room for more on the disk of DIR: 8 MiB must be free, for what has to go on"

@Suite(.timeLimit(.minutes(15))) struct RunnerTests {
    private let directory = TemporaryDirectory()
    private let disk: FaultyDisk
    private let watch = Watch()
    private let journal: Journal
    private let coordinator: Coordinator
    private let runner: JournalRunner

    init() async throws {
        disk = FaultyDisk(directory)
        // So little that it is looked at with every commit.
        disk.change { $0.free = 100 << 20 }
        let keeper = try Keeper(disk)
        journal = keeper.journal
        coordinator = Coordinator(machine: keeper.take())
        runner = JournalRunner(
            journal: journal, coordinator: coordinator, disk: disk, directory: "DIR", hooks: watch.hooks)
        runner.start()
        // The ballast is there by then, too.
        try await until { !journal.numbers.needsNext }
        _ = disk.takeOperations()
    }

    /// Waits for what another thread does and tells nobody of.
    private func until(_ condition: () throws -> Bool) async throws {
        while try !condition() { try await Task.sleep(for: .milliseconds(2)) }
    }

    @discardableResult
    private func perform(_ command: Command, at second: Int64 = 1) -> (outcome: String, revision: Revision) {
        let (outcome, revision) = coordinator.perform(command, at: moment(second))
        if case .refused(.limitReached(let reason)) = outcome { return (reason, revision) }
        if case .reply = outcome { return ("reply", revision) }
        return ("\(outcome)", revision)
    }

    @Test func `Changes become durable, and then it is said so`() async throws {
        let revision = perform(.register(a)).revision
        #expect(await watch.next() == .durable(1))
        #expect(coordinator.isDurable(revision) && coordinator.durableRevision == Revision(1))
        // A segment that is made ready meanwhile is another.
        let operations = disk.takeOperations().filter { $0.contains("log.0000000001") }
        #expect(operations == ["write log.0000000001 at 0", "sync log.0000000001"])
        perform(.acquire("t", a))
        #expect(await watch.next() == .durable(2))
        let statistics = runner.statistics.snapshot
        #expect(statistics.batchSize.sum == 2 && statistics.batchSize.counts.reduce(0, +) == 2)
        #expect(statistics.commitLatency.counts.reduce(0, +) == 2)
        #expect(statistics.committedBytes > 0)
        try runner.stop()
    }

    @Test func `Stop commits what is there, puts all of it into the database and leaves no log`() async throws {
        for number in 1...100 { perform(.register(AgentID(high: 2, low: UInt64(number)))) }
        try runner.stop()
        #expect(coordinator.durableRevision == Revision(100))
        #expect(try directory.names.filter { $0.hasPrefix("log") || $0 == Ballast.fileName } == [])
        #expect(try directory.database().value("SELECT count(*) FROM agents") == 100)
        #expect(try directory.database().value("SELECT revision FROM daemon") == 100)
    }

    @Test func `Five seconds after the last time the database is brought up to date`() async throws {
        // The first time is at once: there was none before.
        perform(.register(a))
        try await until { runner.statistics.snapshot.checkpoints == 1 }
        perform(.register(b))
        _ = await watch.next()
        _ = await watch.next()
        watch.seconds.store(5, ordering: .relaxed)
        try await until { runner.statistics.snapshot.checkpoints == 2 }
        #expect(try directory.database().value("SELECT count(*) FROM agents") == 2)
        try runner.stop()
    }

    @Test func `The clock is noted every second while something runs out, and not synced`() async throws {
        perform(.register(a))
        try await until { runner.statistics.snapshot.checkpoints == 1 }
        _ = disk.takeOperations()
        watch.seconds.store(2, ordering: .relaxed)
        var operations: [String] = []
        try await until {
            operations += disk.takeOperations()
            return operations.contains { $0.hasPrefix("write log") }
        }
        #expect(operations.filter { $0.hasPrefix("sync log.0000000002") } == [])
        let copy = TemporaryDirectory()
        try directory.copy(to: copy)
        #expect(try Keeper(copy.disk).machine.counters.clock == moment(2).instant)
        try runner.stop()
    }

    @Test func `When agents were last heard of is taken down every minute`() async throws {
        perform(.register(a, ttl: 3_600))
        #expect(await watch.next() == .durable(1))
        perform(.heartbeat(a), at: 30)
        watch.seconds.store(59, ordering: .relaxed)
        try await until { runner.statistics.snapshot.checkpoints > 0 }
        #expect(coordinator.durableRevision == Revision(1))
        watch.seconds.store(60, ordering: .relaxed)
        #expect(await watch.next() == .durable(2))
        try runner.stop()
        let text = try directory.database().prepare("SELECT last_heartbeat_at FROM agents")
        #expect(try text.step())
        #expect(try text.value(0) == .text(moment(30).wall.iso8601))
    }

    @Test func `A commit without room is tried until there is some, and nobody is told before`() async throws {
        perform(.register(a))
        #expect(await watch.next() == .durable(1))
        try await until { runner.statistics.snapshot.checkpoints == 1 }
        _ = disk.takeOperations()
        disk.change { $0.writeError = ENOSPC }
        let revision = perform(.register(b)).revision
        var attempts: [String] = []
        try await until {
            attempts += disk.takeOperations()
            return attempts.count >= 3
        }
        #expect(Set(attempts).count == 1)
        #expect(!coordinator.isDurable(revision))
        disk.change { $0.writeError = 0 }
        #expect(await watch.next() == .durable(2))
        #expect(coordinator.isDurable(revision))
        try runner.stop()
    }

    @Test func `Without room what grows is refused, what ends goes on, and so does all when there is room`()
        async throws
    {
        /// What is said besides that changes are durable.
        func nextRemark() async -> Watch.Word? {
            while let word = await watch.next() {
                guard case .durable = word else { return word }
            }
            return nil
        }
        // The operator may hear of it a moment before a client does.
        var number: UInt64 = 0
        func grow() -> String {
            number += 1
            return perform(.register(AgentID(high: 3, low: number))).outcome
        }
        perform(.register(a))
        let held = perform(.acquire("t", a)).revision
        try await until { coordinator.isDurable(held) }
        disk.change { $0.free = 8 << 20 - 1 }
        let warning = "\(noRoom); new work is refused, what is there can be read, renewed and released, and runs out"
        #expect(await nextRemark() == .warning(warning))
        try await until { grow() == noRoom }
        #expect(perform(.acquire("u", a)).outcome == noRoom)
        #expect(runner.numbers.isOutOfRoom)
        try await until { try !directory.names.contains(Ballast.fileName) }
        let released = perform(.release("t", a, 1))
        #expect(released.outcome == "reply")
        try await until { coordinator.isDurable(released.revision) }

        // A little more is not enough, or it would be full again at once.
        disk.change { $0.free = 16 << 20 - 1 }
        let left = perform(.deregister(a))
        try await until { coordinator.isDurable(left.revision) }
        #expect(left.outcome == "reply" && grow() == noRoom)
        disk.change { $0.free = 100 << 20 }
        try await until { grow() == "reply" }
        try await until { try directory.names.contains(Ballast.fileName) }
        try runner.stop()
    }

    @Test func `What can't be written or synced for another reason is the end, and is told to nobody`() async throws {
        for (change, failure): (@Sendable (inout FaultyDisk.State) -> Void, String) in [
            ({ $0.writeError = EIO }, "write failed: Input/output error"),
            ({ $0.syncError = EIO }, "fdatasync failed: Input/output error"),
            // What is on disk after that is not known, and trying again would find out nothing.
            ({ $0.syncError = ENOSPC }, "fdatasync failed: No space left on device"),
        ] {
            let tests = try await RunnerTests()
            tests.disk.change(change)
            let revision = tests.perform(.register(a)).revision
            #expect(await tests.watch.next() == .failure("log.0000000001: " + failure))
            #expect(!tests.coordinator.isDurable(revision))
        }
        try runner.stop()
    }

    @Test func `A log that can't be read back is the end`() async throws {
        disk.change { $0.openError = EIO }
        perform(.register(a))
        // Two threads say so, in either order.
        let words = [await watch.next(), await watch.next()]
        #expect(words.contains(.durable(1)))
        #expect(words.contains(.failure("log.0000000001: open failed: Input/output error")))
        #expect(runner.statistics.snapshot.failedCheckpoints == 1)
    }

    @Test func `Somebody who holds the database holds up the database, and no commit`() async throws {
        let person = try directory.database()
        try person.execute("BEGIN IMMEDIATE")
        perform(.register(a))
        #expect(await watch.next() == .durable(1))
        let warning = "the database is held by another program, and is not brought up to date meanwhile"
        #expect(await watch.next() == .warning(warning))
        perform(.register(b))
        #expect(await watch.next() == .durable(2))
        try person.execute("ROLLBACK")
        try await until {
            watch.seconds.add(5, ordering: .relaxed)
            return try person.value("SELECT count(*) FROM agents") == 2
        }
        try runner.stop()
    }
}
