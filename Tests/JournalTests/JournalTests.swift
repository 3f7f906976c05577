// A data directory through its life. A crash of the process is a journal that nobody closes.

import Coordination
import Glibc
import Testing

@testable import Journal

@Suite struct JournalTests {
    private let directory = TemporaryDirectory()

    private func contents(_ directory: TemporaryDirectory) throws -> [String] {
        try directory.database().contents()
    }

    private var segments: [String] {
        get throws { try directory.names.filter { LogFormat.number(ofSegment: $0) != nil } }
    }

    /// Fills a directory: what was committed, and how the machine stood then.
    private func work(_ disk: any Disk, options: Journal.Options = Keeper.smallSegments) throws -> StoredCounters {
        var keeper = try Keeper(disk, options: options)
        try keeper.sayAndCommit(.register(a), at: 1)
        for number in 1...200 {
            try keeper.sayAndCommit(.acquire("t\(number)", a, id: "r\(number)"), at: Int64(number))
            if number % 3 == 0 {
                try keeper.sayAndCommit(.release("t\(number)", a, UInt64(number)), at: Int64(number))
            }
            // Some of it is in the database by now.
            if number % 60 == 0 { try keeper.journal.checkpoint() }
        }
        keeper.say(.create("q"), at: 300)
        keeper.say(.claimTask(a), at: 300)
        keeper.say(.campaign(GroupName("g"), a), at: 300)
        try keeper.commit()
        return keeper.machine.counters
    }

    @Test func `What was committed is there after a crash, and what was not is not`() throws {
        for syncs in [true, false] {
            let directory = TemporaryDirectory()
            var options = Keeper.smallSegments
            options.syncs = syncs
            let committed: StoredCounters
            do {
                var keeper = try Keeper(directory.disk, options: options)
                try keeper.sayAndCommit(.register(a), at: 1)
                try keeper.sayAndCommit(.acquire("t", a), at: 2)
                committed = keeper.machine.counters
                keeper.say(.acquire("u", a), at: 3)
            }
            let keeper = try Keeper(directory.disk, options: options)
            keeper.machine.checkInvariants()
            #expect(keeper.machine.counters == committed)
            #expect(keeper.machine.counts.leases == 1 && keeper.machine.counts.agentsAlive == 1)
            #expect(keeper.machine.agent(a)?.card.name == "agent")
            #expect(keeper.machine.counts.eventsKept == 2)
        }
    }

    @Test func `A longer life ends in the same state, however often it crashed in between`() throws {
        let end = try work(directory.disk)
        let other = TemporaryDirectory()
        try directory.copy(to: other)
        let keeper = try Keeper(directory.disk)
        keeper.machine.checkInvariants()
        #expect(keeper.machine.counters == end)
        for _ in 0..<3 {
            let again = try Keeper(other.disk)
            #expect(again.machine.counters == end)
        }
        #expect(try contents(other) == contents(directory))
    }

    @Test func `After close there is no log, and everything is in the database`() throws {
        let end: StoredCounters
        do {
            end = try work(directory.disk)
            let keeper = try Keeper(directory.disk)
            try directory.put([0], into: Ballast.fileName)
            try keeper.journal.close()
            #expect(try directory.names.filter { $0.hasPrefix("log") || $0 == Ballast.fileName } == [])
            // Nothing is in SQLite's own log either: the one file can be copied away.
            #expect(try directory.bytes(of: "agentkeeper.db-wal") == [])
        }
        let moved = TemporaryDirectory()
        try moved.put(try directory.bytes(of: Schema.fileName), into: Schema.fileName)
        let keeper = try Keeper(moved.disk)
        #expect(keeper.machine.counters == end)
        #expect(keeper.machine.counts.leases == 201 - 66)
    }

    @Test func `Close puts down what was committed just before, over several segments`() throws {
        var keeper = try Keeper(directory.disk)
        try keeper.sayAndCommit(.register(a), at: 1)
        for number in 1...300 { try keeper.sayAndCommit(.acquire("t\(number)", a), at: 1) }
        try keeper.journal.close()
        #expect(try directory.database().value("SELECT count(*) FROM leases") == 300)
    }

    @Test func `The log of another directory is not taken`() throws {
        let (one, other) = (directory, TemporaryDirectory())
        do {
            let keeper = try Keeper(one.disk, identity: 1)
            try keeper.journal.close()
            var stranger = try Keeper(other.disk, identity: 2)
            try stranger.sayAndCommit(.register(a), at: 1)
        }
        for name in try other.names where name.hasPrefix("log.") { try one.put(try other.bytes(of: name), into: name) }
        let keeper = try Keeper(one.disk, identity: 3)
        #expect(keeper.journal.identity == 1)
        #expect(keeper.machine.counts.agentsAlive == 0)
        #expect(keeper.machine.revision == .zero)
    }

    @Test func `A start that was interrupted and repeated gives the same as one that was not`() throws {
        let end = try work(directory.disk)
        let reference = TemporaryDirectory()
        try directory.copy(to: reference)
        do { _ = try Keeper(reference.disk) }

        // No room for a segment: by then the log is in the database, and is still there.
        let full = FaultyDisk(directory)
        full.change { $0.writeError = ENOSPC }
        var options = Keeper.smallSegments
        options.firstSegmentBytes = 1 << 20
        let said = complaint { () throws(JournalError) in _ = try Keeper(full, options: options) }
        #expect(said?.hasSuffix("write failed: No space left on device") == true)
        #expect(try contents(directory) == contents(reference))
        #expect(try segments.count > 0)
        // An unreadable log: nothing has happened.
        let unreadable = FaultyDisk(directory)
        unreadable.change { $0.openError = EIO }
        #expect(complaint { () throws(JournalError) in _ = try Keeper(unreadable) } != nil)
        let keeper = try Keeper(directory.disk)
        #expect(keeper.machine.counters == end)
        #expect(try contents(directory) == contents(reference))
    }

    @Test func `Whatever of the log was put into the database already, the rest is`() throws {
        // The directory as it is after each of these commits, with checkpoints in between, some of them half done: the
        // database is as after one, the log as before it.
        var keeper = try Keeper(directory.disk)
        try keeper.sayAndCommit(.register(a), at: 1)
        for number in 1...20 {
            try keeper.sayAndCommit(.acquire("t\(number)", a), at: Int64(number))
            let before = TemporaryDirectory()
            try directory.copy(to: before)
            if number % 5 == 0 { try keeper.journal.checkpoint() }
            let after = TemporaryDirectory()
            try directory.copy(to: after)
            for name in try before.names where name.hasPrefix("log.") {
                try after.put(try before.bytes(of: name), into: name)
            }
            for copy in [before, after] {
                let restarted = try Keeper(copy.disk)
                #expect(restarted.machine.counters == keeper.machine.counters)
                #expect(restarted.machine.counts.leases == number)
            }
        }
    }

    @Test func `A checkpoint brings the database up to the last commit, and uses the segment's file again`() throws {
        var keeper = try Keeper(directory.disk)
        #expect(try keeper.journal.checkpoint() == false)
        #expect(try segments == ["log.0000000001", "log.0000000002"])
        try keeper.sayAndCommit(.register(a), at: 1)
        #expect(keeper.journal.numbers.logBytes > 0)
        #expect(try keeper.journal.checkpoint())
        #expect(keeper.journal.numbers.logBytes == 0)
        #expect(try directory.database().value("SELECT count(*) FROM agents") == 1)
        #expect(try segments == ["log.0000000002", "log.0000000003"])
        #expect(try keeper.journal.checkpoint() == false)
    }

    @Test func `A checkpoint that fails forgets nothing, and the next one makes up for it`() throws {
        var keeper = try Keeper(directory.disk)
        try keeper.journal.prepare()
        try keeper.sayAndCommit(.register(a), at: 1)
        let person = try directory.database()
        try person.execute(
            "CREATE TRIGGER full BEFORE INSERT ON agents BEGIN SELECT raise(FAIL, 'no'); END")
        #expect(complaint { () throws(JournalError) in try keeper.journal.checkpoint() } != nil)
        try keeper.sayAndCommit(.acquire("t", a), at: 2)
        #expect(complaint { () throws(JournalError) in try keeper.journal.checkpoint() } != nil)
        #expect(try person.value("SELECT count(*) FROM leases") == 0)
        try person.execute("DROP TRIGGER full")
        #expect(try keeper.journal.checkpoint())
        #expect(try person.value("SELECT count(*) FROM agents") == 1)
        // What was committed meanwhile is in a segment that had none to follow it.
        #expect(try keeper.journal.checkpoint())
        #expect(try person.value("SELECT count(*) FROM leases") == 1)
    }

    @Test func `Commits go on while there is no next segment, and nothing of them is lost`() throws {
        do {
            var keeper = try Keeper(directory.disk)
            try keeper.sayAndCommit(.register(a), at: 1)
            for number in 1...200 { try keeper.sayAndCommit(.acquire("t\(number)", a), at: 1) }
            #expect(try segments == ["log.0000000001"])
            #expect(keeper.journal.numbers.logBytes > 4_096 && keeper.journal.numbers.preparedBytes == 0)
        }
        #expect(try Keeper(directory.disk).machine.counts.leases == 200)
    }

    @Test func `A segment of any size is used again, with syncs or without`() throws {
        for (before, after) in [(false, true), (true, false), (false, false), (true, true)] {
            let directory = TemporaryDirectory()
            var options = Keeper.smallSegments
            options.syncs = before
            do {
                var keeper = try Keeper(directory.disk, options: options)
                try keeper.sayAndCommit(.register(a), at: 1)
                // Beyond what was made ready, to somewhere within a block.
                for number in 1...50 { try keeper.sayAndCommit(.acquire("t\(number)", a), at: 1) }
                #expect(keeper.journal.numbers.logBytes > 4_096)
            }
            options.syncs = after
            options.firstSegmentBytes = 1 << 14
            var keeper = try Keeper(directory.disk, options: options)
            try keeper.sayAndCommit(.acquire("u", a), at: 1)
            let restarted = try Keeper(directory.disk, options: options)
            #expect(restarted.machine.counters == keeper.machine.counters, "\(before), \(after)")
        }
    }

    @Test func `The clock goes on from where it was last noted`() throws {
        do {
            var keeper = try Keeper(directory.disk)
            try keeper.sayAndCommit(.register(a), at: 5)
            try keeper.journal.note(moment(9))
        }
        let counters = try Keeper(directory.disk).machine.counters
        #expect(counters.clock == moment(9).instant && counters.wall == moment(9).wall)
    }

    @Test func `A new directory begins with the counters that it is given, an old one with its own`() throws {
        var counters = start
        counters.lastToken = FencingToken(1_000)
        do {
            var keeper = try Keeper(directory.disk, start: counters)
            try keeper.sayAndCommit(.register(a), at: 1)
            guard case .reply(.lease(let lease, acquired: true)) = keeper.say(.acquire("t", a), at: 1) else {
                Issue.record("no lease")
                return
            }
            #expect(lease.token == FencingToken(1_001))
            try keeper.commit()
        }
        counters.lastToken = FencingToken(5_000)
        #expect(try Keeper(directory.disk, start: counters).machine.counters.lastToken == FencingToken(1_001))
        // Where what was given last may have been lost, they go on above any that can have been.
        let opened = try Journal.open(
            directory.disk, limits: Limits(), options: Keeper.smallSegments, identity: 7, start: start,
            tokensStartAbove: FencingToken(9_000))
        #expect(opened.machine.counters.lastToken == FencingToken(9_000))
    }

    @Test func `What is left of a full disk's emergency is given up at the start`() throws {
        do { _ = try Keeper(directory.disk) }
        try directory.put([0, 0], into: Ballast.fileName)
        _ = try Keeper(directory.disk)
        #expect(try directory.names.contains(Ballast.fileName) == false)
    }

    @Test func `A log without its database is damage`() throws {
        do { _ = try Keeper(directory.disk) }
        try directory.disk.remove(Schema.fileName)
        #expect(
            complaint { () throws(JournalError) in _ = try Keeper(directory.disk) }
                == "there is a log without its database agentkeeper.db; nothing was changed, and a backup is needed")
    }

    @Test func `A damaged log is refused, and nothing is changed`() throws {
        do {
            var keeper = try Keeper(directory.disk)
            for (number, agent) in [a, b].enumerated() {
                try keeper.sayAndCommit(.register(agent), at: Int64(number + 1))
            }
            try keeper.sayAndCommit(.acquire("t", a), at: 3)
        }
        var log = try directory.bytes(of: "log.0000000001")
        log[LogFormat.headerBytes + 40] ^= 1
        try directory.put(log, into: "log.0000000001")
        let before = try contents(directory)
        #expect(
            complaint { () throws(JournalError) in _ = try Keeper(directory.disk) }
                == "log.0000000001 at byte 0 is damaged: the changes after revision 0 were on disk, "
                + "and can't be read; nothing was changed, and a backup is needed")
        #expect(try contents(directory) == before)
        #expect(try directory.bytes(of: "log.0000000001") == log)
    }

    @Test func `A database that contradicts itself is refused with the reason`() throws {
        do {
            var keeper = try Keeper(directory.disk)
            try keeper.sayAndCommit(.register(a), at: 1)
            try keeper.sayAndCommit(.acquire("t", a), at: 1)
            try keeper.journal.close()
        }
        try directory.database().execute("DELETE FROM agents")
        #expect(
            complaint { () throws(JournalError) in _ = try Keeper(directory.disk) }
                == "agentkeeper.db contradicts itself: the lease on task \"t\" is held by agent \(a), "
                + "which is not there or is DEAD; nothing was changed, and a backup is needed")
    }

    @Test func `A commit that failed for want of room may be tried again, one that could not be synced not`() throws {
        let disk = FaultyDisk(directory)
        var keeper = try Keeper(disk)
        keeper.say(.register(a), at: 1)
        var changes: [UInt8] = []
        keeper.machine.takeChanges(into: &changes)
        var frame = [UInt8](repeating: 0, count: Journal.headroom) + changes
        func attempt() -> (message: String, mayRetry: Bool)? {
            do throws(Journal.CommitFailure) {
                try keeper.journal.commit(&frame, upTo: keeper.machine.revision)
                return nil
            } catch {
                return (error.error.message, error.mayRetry)
            }
        }
        disk.change { $0.writeError = ENOSPC }
        #expect(try #require(attempt()) == ("log.0000000001: write failed: No space left on device", true))
        disk.change { $0.writeError = 0 }
        #expect(attempt() == nil)
        disk.change { $0.syncError = EIO }
        #expect(try #require(attempt()) == ("log.0000000001: fdatasync failed: Input/output error", false))
    }
}
