// The journal's two threads. One commits: it takes what has gathered while it wrote the last time, so a
// batch is as large as the disk is slow, and an idle disk delays nothing. The other puts closed segments into
// the database, notes the time, and looks whether there is room.
//
// A disk without room is no failure: what would make the state larger is refused, what ends something goes on, and when
// there is room again so does everything. Any other error of the disk ends the process before anything
// that came after it is answered.

import Coordination
import Dispatch
import Glibc
import Synchronization

package final class JournalRunner: ChangeWriter, Sendable {
    /// What the runner needs of the daemon.
    package struct Hooks: Sendable {
        /// Both clocks, read now.
        package var now: @Sendable () -> Moment
        /// The changes up to here are on disk, and answers that waited for it may leave.
        package var changesAreDurable: @Sendable (Revision) -> Void
        /// For the operator's eyes.
        package var warn: @Sendable (String) -> Void
        package var inform: @Sendable (String) -> Void
        /// The disk can't be trusted any more: says so, and ends the process.
        package var fail: @Sendable (JournalError) -> Never

        package init(
            now: @escaping @Sendable () -> Moment, changesAreDurable: @escaping @Sendable (Revision) -> Void,
            warn: @escaping @Sendable (String) -> Void, inform: @escaping @Sendable (String) -> Void,
            fail: @escaping @Sendable (JournalError) -> Never
        ) {
            self.now = now
            self.changesAreDurable = changesAreDurable
            self.warn = warn
            self.inform = inform
            self.fail = fail
        }
    }

    /// How long a change may stand in the log alone: how far the database is behind for whoever looks into it.
    private static let checkpointNanoseconds: Int64 = 5_000_000_000
    /// How often the clock is noted and the room looked at.
    private static let lookNanoseconds: Int64 = 1_000_000_000
    /// Kept free on the disk for what must go on, in bytes: two checkpoints of what segments grow to under load.
    private static let reservedBytes = 8 << 20
    /// Capacity of a buffer that is kept, in bytes.
    private static let keptBufferBytes = 1 << 20

    private let journal: Journal
    private let coordinator: Coordinator
    private let disk: any Disk
    private let directory: String
    private let hooks: Hooks
    package let statistics = JournalStatistics()

    private let changes = DispatchSemaphore(value: 0)
    private let work = DispatchSemaphore(value: 0)
    private let writerIsDone = DispatchSemaphore(value: 0)
    private let archiverIsDone = DispatchSemaphore(value: 0)
    private let isStopping = Atomic<Bool>(false)
    /// When anything was last written to the log, in nanoseconds of the monotonic clock.
    private let writtenAt = Atomic<Int64>(0)
    private let hasNoRoomToCommit = Atomic<Bool>(false)
    private let isOutOfRoom = Atomic<Bool>(false)

    package init(journal: Journal, coordinator: Coordinator, disk: any Disk, directory: String, hooks: Hooks) {
        self.journal = journal
        self.coordinator = coordinator
        self.disk = disk
        self.directory = directory
        self.hooks = hooks
    }

    package func start() {
        coordinator.attach(self)
        startThread { [self] in commitForEver() }
        startThread { [self] in archiveForEver() }
    }

    /// Commits what is there, puts it into the database, and ends both threads. Nothing is changed any more.
    package func stop() throws(JournalError) {
        isStopping.store(true, ordering: .sequentiallyConsistent)
        changes.signal()
        writerIsDone.wait()
        work.signal()
        archiverIsDone.wait()
        if let moment = coordinator.clock(at: hooks.now()) { try journal.note(moment) }
        try journal.close()
    }

    /// What is there, for an operator.
    package struct Numbers: Sendable {
        /// Changes that wait for the next commit, and how far the present segment is used, in bytes.
        package let waitingBytes: Int
        package let logBytes: Int
        package let segmentBytes: Int
        package let databaseBytes: Int
        package let isOutOfRoom: Bool
    }

    package var numbers: Numbers {
        let log = journal.numbers
        return Numbers(
            waitingBytes: coordinator.waitingChangeBytes, logBytes: log.logBytes, segmentBytes: log.segmentBytes,
            databaseBytes: databaseBytes, isOutOfRoom: isOutOfRoom.load(ordering: .relaxed))
    }

    /// 0 when it can't be told.
    private var databaseBytes: Int {
        do throws(DiskError) {
            return try disk.open(Schema.fileName).size()
        } catch {
            return 0
        }
    }

    package func changesAreWaiting() { changes.signal() }

    // MARK: Commits

    private func commitForEver() {
        var taken: [UInt8] = []
        var frame: [UInt8] = []
        var last = coordinator.durableRevision
        while true {
            changes.wait()
            while true {
                taken.removeAll(keepingCapacity: taken.capacity <= Self.keptBufferBytes)
                guard let end = coordinator.takeChanges(into: &taken) else { break }
                frame.removeAll(keepingCapacity: frame.capacity <= Self.keptBufferBytes)
                frame.append(contentsOf: repeatElement(0, count: Journal.headroom))
                frame.append(contentsOf: taken)
                let start = hooks.now().instant.nanoseconds
                commit(&frame, upTo: end.revision)
                let now = hooks.now().instant.nanoseconds
                writtenAt.store(now, ordering: .relaxed)
                statistics.committed(
                    changes: end.revision.value - last.value, bytes: frame.count, nanoseconds: now - start)
                last = end.revision
                coordinator.changesAreDurable(upTo: end.revision, end.sequence)
                hooks.changesAreDurable(end.revision)
                if journal.numbers.isFull { work.signal() }
            }
            if isStopping.load(ordering: .sequentiallyConsistent) { break }
        }
        writerIsDone.signal()
    }

    /// Tries until there is room: what was not written has not happened for anybody.
    private func commit(_ frame: inout [UInt8], upTo revision: Revision) {
        while true {
            do throws(Journal.CommitFailure) {
                try journal.commit(&frame, upTo: revision)
                if hasNoRoomToCommit.exchange(false, ordering: .relaxed) { work.signal() }
                return
            } catch {
                guard error.mayRetry, error.error.isOutOfRoom else { hooks.fail(error.error) }
                hasNoRoomToCommit.store(true, ordering: .relaxed)
                work.signal()
                usleep(50_000)
            }
        }
    }

    // MARK: The database

    private func archiveForEver() {
        var room = Room()
        var (checkpointedAt, lookedAt) = (Int64.min / 2, Int64.min / 2)
        while true {
            _ = work.wait(timeout: .now() + .milliseconds(250))
            if isStopping.load(ordering: .sequentiallyConsistent) { break }
            let now = hooks.now()
            let numbers = journal.numbers
            let isDue = now.instant.nanoseconds - checkpointedAt >= Self.checkpointNanoseconds
            if numbers.isFull || (isDue && (numbers.logBytes > 0 || checkpointedAt < 0)) || room.checkpointFailed {
                room.checkpointFailed = !checkpoint(&room)
                checkpointedAt = hooks.now().instant.nanoseconds
            }
            if now.instant.nanoseconds - lookedAt >= Self.lookNanoseconds {
                lookedAt = now.instant.nanoseconds
                noteClock(now)
                room.freeBytes = (try? disk.freeBytes()) ?? .max  // A disk that doesn't say is tried.
            }
            tell(&room)
        }
        archiverIsDone.signal()
    }

    private struct Room {
        var freeBytes = Int.max
        var checkpointFailed = false
        /// What was last told.
        var reason: String?
    }

    private func checkpoint(_ room: inout Room) -> Bool {
        let start = hooks.now().instant.nanoseconds
        do throws(JournalError) {
            if try journal.checkpoint() {
                statistics.checkpointed(nanoseconds: hooks.now().instant.nanoseconds - start)
            }
            return true
        } catch {
            statistics.checkpointFailed()
            if error.isBusy {
                hooks.warn("the database is held by another program, and is not brought up to date meanwhile")
                return true
            }
            guard error.isOutOfRoom else { hooks.fail(error) }
            return false
        }
    }

    /// Only while it matters how late it is: while something runs out.
    private func noteClock(_ now: Moment) {
        guard now.instant.nanoseconds - writtenAt.load(ordering: .relaxed) >= Self.lookNanoseconds,
            let moment = coordinator.clock(at: now)
        else { return }
        do throws(JournalError) {
            try journal.note(moment)
        } catch {
            // Without room for it, the clock goes on from the last change: nothing ends too early by that.
            if !error.isOutOfRoom { hooks.fail(error) }
        }
    }

    /// Tells the core, and the operator, when it has become different.
    private func tell(_ room: inout Room) {
        // What is free must grow to twice the reserve before it counts as room again.
        let needed = room.reason == nil ? Self.reservedBytes : 2 * Self.reservedBytes
        let isFull =
            room.checkpointFailed || hasNoRoomToCommit.load(ordering: .relaxed) || room.freeBytes < needed
        guard isFull != (room.reason != nil) else { return }
        isOutOfRoom.store(isFull, ordering: .relaxed)
        if isFull {
            let reason =
                "there is no room on the disk of \(directory) for more: "
                + "\(Self.reservedBytes >> 20) MiB must be free, for what has to go on"
            room.reason = reason
            hooks.warn("\(reason); new work is refused, what is there can be read, released and runs out")
            coordinator.setNoRoom(reason)
        } else {
            room.reason = nil
            hooks.inform("there is room on the disk again")
            coordinator.setNoRoom(nil)
        }
    }

    /// A thread of the journal's own, since it waits for the disk.
    private func startThread(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(ThreadBody(body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { pointer in
                Unmanaged<ThreadBody>.fromOpaque(pointer!).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        precondition(code == 0, "no thread can be started: \(String(cString: strerror(code)))")
        pthread_detach(thread)
    }

    private final class ThreadBody: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
