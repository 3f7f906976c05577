// What the connections of one event loop share: memory, counters, the clock's last reading.

import DequeModule
import Glibc
import HTTP2
import NIOCore
import Synchronization

/// The daemon's monotonic clock.
package enum MonotonicClock {
    /// CLOCK_BOOTTIME in nanoseconds: it counts through suspend, as leases must.
    @inline(__always)
    package static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

/// Confined to its event loop, but for `statistics`.
package final class LoopResources {
    /// Calls kept for the next streams; as many as a connection may have open.
    private static let maxIdleCalls = 512

    let pool = AllocationPool()
    private let arena = Arena()
    private var arenaUsers = 0
    let statistics: CallStatistics
    /// When the work at hand began, in nanoseconds of `MonotonicClock`.
    package private(set) var now = MonotonicClock.now()
    /// What is about to be written; used within one flush.
    var writeBuffer = ByteBufferAllocator().buffer(capacity: 16_384)
    private var idleCalls: [ServerCall] = []
    private var retiredCalls: [ServerCall] = []
    var connections: [ObjectIdentifier: ServerConnection] = [:]

    /// Calls whose answers wait, the smallest number first.
    private var held: Deque<(call: ServerCall, ticket: UInt64)> = []
    /// Whether there are any: read by whoever releases them.
    let holdsAnswers = Atomic<Bool>(false)
    let released: ReleasedAnswers
    let incidents: IncidentListener?
    private var isReleasing = false
    private var toFlush: [ServerConnection] = []

    init(
        statistics: CallStatistics, released: ReleasedAnswers = ReleasedAnswers(), incidents: IncidentListener? = nil
    ) {
        self.statistics = statistics
        self.released = released
        self.incidents = incidents
        idleCalls.reserveCapacity(Self.maxIdleCalls)
    }

    @discardableResult
    func refreshClock() -> Int64 {
        now = MonotonicClock.now()
        return now
    }

    /// Lends the arena; what is made in it lives until the outermost borrower is done.
    package func withArena<Result, Failure: Error>(
        _ body: (Arena) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        arenaUsers += 1
        defer {
            arenaUsers -= 1
            if arenaUsers == 0 { arena.reset() }
        }
        return try body(arena)
    }

    /// Keeps a call's answer back until its number is released.
    func hold(_ call: ServerCall, until ticket: UInt64) {
        held.append((call, ticket))
        holdsAnswers.store(true, ordering: .sequentiallyConsistent)
        // The number may have been released just before anybody could see that it is waited for.
        if released.number >= ticket { releaseAnswers() }
    }

    /// Lets go what has been released: all of it first, and then each connection sends what it has, in one write.
    func releaseAnswers() {
        let number = released.number
        isReleasing = true
        while let first = held.first, first.ticket <= number {
            held.removeFirst()
            first.call.release(first.ticket)
        }
        isReleasing = false
        if held.isEmpty { holdsAnswers.store(false, ordering: .sequentiallyConsistent) }
        for connection in toFlush { connection.flushNow() }
        toFlush.removeAll(keepingCapacity: true)
    }

    /// Takes a connection that has something to send; false when nobody will see to it.
    func flushLater(_ connection: ServerConnection) -> Bool {
        if isReleasing { toFlush.append(connection) }
        return isReleasing
    }

    func makeCall() -> ServerCall {
        idleCalls.popLast() ?? ServerCall()
    }

    /// Takes back a call whose stream is closed, to be used again when nobody refers to it any more.
    func retire(_ call: ServerCall) {
        retiredCalls.append(call)
    }

    /// Readies what was retired, as far as it is free; runs when no call is being worked on.
    func recycleRetired() {
        while var call = retiredCalls.popLast() {
            guard idleCalls.count < Self.maxIdleCalls, isKnownUniquelyReferenced(&call) else { continue }
            call.reset()
            idleCalls.append(call)
        }
    }
}

/// Up to which number answers may leave, for all event loops of a server.
final class ReleasedAnswers: Sendable {
    private let atomic = Atomic<UInt64>(0)

    var number: UInt64 { atomic.load(ordering: .sequentiallyConsistent) }
    func set(_ number: UInt64) { atomic.store(number, ordering: .sequentiallyConsistent) }
}
