import Coordination
import Glibc
import Synchronization
import Testing

@testable import Journal

@Suite(.timeLimit(.minutes(15))) struct SnapshotTests {
    private let directory = TemporaryDirectory()
    private let copy = TemporaryDirectory()

    private final class Progress: Sendable {
        let committed = Atomic<UInt64>(0)
        let isOver = Atomic(false)
    }

    private func take() throws(JournalError) -> Snapshot.Contents {
        for name in (try? copy.names) ?? [] { unlink(copy.path + "/" + name) }
        return try Snapshot.take(directory.disk, to: "copy.db", on: copy.disk, limits: Limits())
    }

    @Test func `A copy is one file with everything in it, what only the log has as well`() throws {
        var keeper = try Keeper(directory.disk)
        try keeper.journal.prepare()
        try keeper.sayAndCommit(.register(a), at: 1)
        #expect(try keeper.journal.checkpoint())
        try keeper.sayAndCommit(.acquire("t", a), at: 2)
        try keeper.sayAndCommit(.create("q"), at: 3)
        let contents = try take()
        #expect(try copy.names == ["copy.db"])
        #expect(contents.counters == keeper.machine.counters)
        #expect(contents.revisionsInLog == 2 && contents.segments == 2)
        #expect(contents.counts.leases == 1 && contents.counts.tasksPending == 1)
        // A directory with nothing else in it starts from it.
        let restored = TemporaryDirectory()
        try restored.put(try copy.bytes(of: "copy.db"), into: Schema.fileName)
        #expect(try Keeper(restored.disk).machine.counters == keeper.machine.counters)
    }

    @Test func `A copy changes nothing in the directory`() throws {
        var keeper = try Keeper(directory.disk)
        try keeper.sayAndCommit(.register(a), at: 1)
        func files() throws -> [String: [UInt8]] {
            var files: [String: [UInt8]] = [:]
            // What SQLite's connections share among each other is no content.
            for name in try directory.names where !name.hasSuffix("-shm") {
                files[name] = try directory.bytes(of: name)
            }
            return files
        }
        let before = try files()
        _ = try take()
        #expect(try files() == before)
    }

    @Test func `A copy taken while commits go on is whole, and has all that was committed before it began`()
        async throws
    {
        let progress = Progress()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { progress.isOver.store(true, ordering: .sequentiallyConsistent) }
                var keeper = try Keeper(directory.disk)
                try keeper.sayAndCommit(.register(a), at: 1)
                var number: UInt64 = 0
                while !progress.isOver.load(ordering: .sequentiallyConsistent) {
                    number += 1
                    try keeper.sayAndCommit(.acquire("t\(number)", a), at: 1)
                    progress.committed.store(keeper.machine.revision.value, ordering: .sequentiallyConsistent)
                    // So that the log moves away under the copy now and then.
                    if number % 100 == 0 { try keeper.journal.checkpoint() }
                    if number > 50 { try keeper.sayAndCommit(.release("t\(number - 50)", a, number - 50), at: 1) }
                    // What ends this may need this very thread: of Swift's there are as many as cores.
                    await Task.yield()
                }
            }
            group.addTask {
                defer { progress.isOver.store(true, ordering: .sequentiallyConsistent) }
                while progress.committed.load(ordering: .sequentiallyConsistent) == 0 { await Task.yield() }
                for _ in 0..<20 {
                    let before = progress.committed.load(ordering: .sequentiallyConsistent)
                    let contents = try take()
                    #expect(contents.counters.revision.value >= before)
                    #expect(contents.counts.leases > 0)
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func `What is no data directory, or a damaged one, says so`() throws {
        let expected = "there is no agentkeeper.db: this is no data directory"
        #expect(complaint { () throws(JournalError) in _ = try take() } == expected)

        do {
            var keeper = try Keeper(directory.disk)
            try keeper.sayAndCommit(.register(a), at: 1)
            try keeper.sayAndCommit(.register(b), at: 1)
        }
        // The log.
        let log = try directory.bytes(of: "log.0000000001")
        var damaged = log
        damaged[60] ^= 0xff
        try directory.put(damaged, into: "log.0000000001")
        #expect(
            complaint { () throws(JournalError) in _ = try take() }
                == "log.0000000001 at byte 0 is damaged: the changes after revision 0 were on disk, "
                + "and can't be read; nothing was changed, and a backup is needed")
        try directory.put(log, into: "log.0000000001")
        // A row.
        do { try Keeper(directory.disk).journal.close() }
        try directory.database().execute("UPDATE agents SET name = 'somebody else'")
        #expect(
            complaint { () throws(JournalError) in _ = try take() }
                == "agentkeeper.db is damaged: a row of table agents has a wrong checksum; "
                + "nothing was changed, and a backup is needed")
        // What belongs together.
        try directory.database().execute("DELETE FROM daemon")
        #expect(
            complaint { () throws(JournalError) in _ = try take() }
                == "agentkeeper.db is damaged: table daemon is empty; nothing was changed, and a backup is needed")
        // A page of the file, behind the first.
        do { try directory.database().execute("PRAGMA wal_checkpoint(TRUNCATE)") }
        var file = try directory.bytes(of: Schema.fileName)
        for index in 4_096..<8_192 { file[index] = 0xff }
        try directory.put(file, into: Schema.fileName)
        #expect(
            complaint { () throws(JournalError) in _ = try take() }?.hasPrefix("agentkeeper.db is damaged: ") == true)
        // The header.
        try directory.put([1, 2, 3], into: Schema.fileName)
        #expect(
            complaint { () throws(JournalError) in _ = try take() }
                == "\(directory.path)/agentkeeper.db is no SQLite database; move it away, or choose another directory")
    }
}
