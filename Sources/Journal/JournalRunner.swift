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
    /// And how much of the log, in bytes: a start after a crash has to read that.
    private static let maxWaitingBytes = 64 << 20
    /// How old what the database says of heartbeats may be.
    private static let heartbeatNanoseconds: Int64 = 60_000_000_000
    /// How often the clock is noted and the room looked at.
    private static let lookNanoseconds: Int64 = 1_000_000_000
    /// Kept free on the disk for what must go on, in bytes: two checkpoints of what segments grow to under load.
    private static let reservedBytes = 8 << 20
    /// Of what is prepared when there is no more room, so many bytes are for what ends something: not for renewals.
    private static let lastBytes = 256 << 10
    /// With so many free, a disk is not full a second later.
    private static let roomyBytes = 1 << 30
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
    /// Bytes that were free when last looked, and when that was, in nanoseconds of the monotonic clock.
    private let freeBytes = Atomic<Int>(0)
    private let lookedAt = Atomic<Int64>(.min / 2)
    private let checkpointFailed = Atomic<Bool>(false)
    private let isOutOfRoom = Atomic<Bool>(false)
    /// Goes up when a write to the log begins, and when it ends.
    private let attempts = Atomic<UInt64>(0)

    package init(journal: Journal, coordinator: Coordinator, disk: any Disk, directory: String, hooks: Hooks) {
        self.journal = journal
        self.coordinator = coordinator
        self.disk = disk
        self.directory = directory
        self.hooks = hooks
    }

    package func start() {
        look()  // Before the first call: the disk may be full already.
        coordinator.attach(self)
        startThread { [self] in commitForEver() }
        startThread { [self] in archiveForEver() }
    }

    /// Commits what is there, puts it into the database, and ends both threads. Nothing is changed any more.
    package func stop() throws(JournalError) {
        coordinator.noteHeartbeats(at: hooks.now())
        isStopping.store(true, ordering: .sequentiallyConsistent)
        changes.signal()
        writerIsDone.wait()
        work.signal()
        archiverIsDone.wait()
        do throws(JournalError) {
            if let moment = coordinator.clock(at: hooks.now()) { try journal.note(moment) }
            try journal.close()
        } catch {
            // All of it is in the log, and stays there.
            guard error.isOutOfRoom || error.isBusy else { throw error }
            let reason = error.isBusy ? "the database is held by another program" : noRoom
            hooks.warn("\(reason); the next start puts into the database what is in the log alone")
        }
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

    /// A write to the log, or the time between two. For a watchdog: the same write for long is a disk that hangs.
    package struct Attempt: Equatable, Sendable {
        fileprivate let number: UInt64
        package var isUnderWay: Bool { !number.isMultiple(of: 2) }
    }

    package var attempt: Attempt { Attempt(number: attempts.load(ordering: .relaxed)) }

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
                if journal.numbers.needsNext { work.signal() }
            }
            if isStopping.load(ordering: .sequentiallyConsistent) { break }
        }
        writerIsDone.signal()
    }

    /// Tries until there is room: what was not written has not happened for anybody.
    private func commit(_ frame: inout [UInt8], upTo revision: Revision) {
        while true {
            attempts.add(1, ordering: .relaxed)
            defer { attempts.add(1, ordering: .relaxed) }
            do throws(Journal.CommitFailure) {
                try journal.commit(&frame, upTo: revision)
                return look()
            } catch {
                guard error.mayRetry, error.error.isOutOfRoom else { hooks.fail(error.error) }
                look()
                work.signal()
                usleep(50_000)
            }
        }
    }

    /// Looks how much more may be committed, and tells the core when there is no more room, or again. On a disk that was
    /// far from full a moment ago once a second is enough.
    private func look() {
        let now = hooks.now().instant.nanoseconds
        let isRoomy = freeBytes.load(ordering: .relaxed) >= Self.roomyBytes
        if isRoomy, now - lookedAt.load(ordering: .relaxed) < Self.lookNanoseconds { return }
        lookedAt.store(now, ordering: .relaxed)
        let free: Int
        do throws(DiskError) {
            free = min(try disk.freeBytes(), 1 << 60)
        } catch {
            free = Self.roomyBytes  // A disk that doesn't say is tried.
        }
        freeBytes.store(free, ordering: .relaxed)
        // What is free must grow to twice the reserve before it counts as room again.
        let wasFull = isOutOfRoom.load(ordering: .relaxed)
        let reserve = wasFull ? 2 * Self.reservedBytes : Self.reservedBytes
        let isFull = free < reserve || checkpointFailed.load(ordering: .relaxed)
        if isFull != wasFull {
            isOutOfRoom.store(isFull, ordering: .relaxed)
            if isFull {
                hooks.warn(
                    "\(noRoom); new work is refused, what is there can be read, renewed and released, and runs out")
            } else {
                hooks.inform("there is room on the disk again")
            }
            work.signal()
        }
        let prepared = journal.numbers.preparedBytes
        let room = isFull ? 0 : free - reserve + prepared
        if isFull || room < Coordinator.maxWaitingChangeBytes || wasFull || !isRoomy {
            coordinator.setRoom(
                room, reserve: isFull ? prepared - Self.lastBytes : .max,
                else: isFull ? noRoom : "the disk is slower than the changes come")
        }
    }

    private var noRoom: String {
        "there is no room for more on the disk of \(directory): "
            + "\(Self.reservedBytes >> 20) MiB must be free, for what has to go on"
    }

    // MARK: The database

    private func archiveForEver() {
        var ballast = Ballast(disk: disk)
        var wasBusy = false
        var checkpointedAt = Int64.min / 2
        var notedAt = Int64.min / 2
        var heartbeatsAt = hooks.now().instant.nanoseconds
        while true {
            _ = work.wait(timeout: .now() + .milliseconds(250))
            if isStopping.load(ordering: .sequentiallyConsistent) { break }
            look()
            weigh(&ballast)
            let now = hooks.now()
            let numbers = journal.numbers
            let age = now.instant.nanoseconds - checkpointedAt
            let isDue = age >= Self.checkpointNanoseconds && numbers.logBytes > 0
            if isDue || journal.waitingBytes >= Self.maxWaitingBytes || checkpointFailed.load(ordering: .relaxed) {
                let hadRoom = roomFor { () throws(JournalError) in try checkpoint(&wasBusy) }
                checkpointFailed.store(!hadRoom, ordering: .relaxed)
                checkpointedAt = hooks.now().instant.nanoseconds
            } else if numbers.needsNext {
                let hadRoom = roomFor { () throws(JournalError) in try journal.prepare() }
                checkpointFailed.store(!hadRoom, ordering: .relaxed)
            }
            if now.instant.nanoseconds - notedAt >= Self.lookNanoseconds {
                notedAt = now.instant.nanoseconds
                noteClock(now)
            }
            if now.instant.nanoseconds - heartbeatsAt >= Self.heartbeatNanoseconds {
                heartbeatsAt = now.instant.nanoseconds
                coordinator.noteHeartbeats(at: now)
            }
        }
        archiverIsDone.signal()
    }

    /// Takes the ballast on when there is room, and gives it up when there is none.
    private func weigh(_ ballast: inout Ballast) {
        do throws(DiskError) {
            if isOutOfRoom.load(ordering: .relaxed) { try ballast.dump() } else { try ballast.takeOn() }
        } catch {
            let error = JournalError.disk(error)
            if !error.isOutOfRoom { hooks.fail(error) }
        }
    }

    private func checkpoint(_ wasBusy: inout Bool) throws(JournalError) {
        let start = hooks.now().instant.nanoseconds
        do throws(JournalError) {
            if try journal.checkpoint() {
                statistics.checkpointed(nanoseconds: hooks.now().instant.nanoseconds - start)
            }
            wasBusy = false
        } catch {
            statistics.checkpointFailed()
            guard error.isBusy else { throw error }
            if !wasBusy {
                hooks.warn("the database is held by another program, and is not brought up to date meanwhile")
            }
            wasBusy = true
        }
    }

    /// Whether there was room for it. Another failure is the end.
    private func roomFor(_ body: () throws(JournalError) -> Void) -> Bool {
        do throws(JournalError) {
            try body()
            return true
        } catch {
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
