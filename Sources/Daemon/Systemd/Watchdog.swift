// WATCHDOG=1 to the service manager, at half the time it allows (sd_watchdog_enabled(3)), and each time only on proof
// that the daemon works: every event loop has come round since, the core's lock could be taken, and the journal is not
// still at the write at which it was the last time. A timer that says "alive" by itself would say so of a
// daemon that answers nobody.
//
// A full disk is no reason to be killed: the daemon deals with it, and each of its attempts to write ends. A disk that
// does not answer at all is one.

import Coordination
import Dispatch
import Journal
import Logging
import NIOCore
import Services

final class Watchdog: @unchecked Sendable {
    // Unchecked: what changes is used on the queue alone.

    /// Often enough for any interval that makes sense.
    private static let shortestBeatMicroseconds: UInt64 = 10_000

    private let manager: ServiceManager
    private let loops: [any EventLoop]
    private let coordinator: Coordinator
    private let journal: JournalRunner?
    private let logger: Logger
    private let queue = DispatchQueue(label: "watchdog")
    private var timer: (any DispatchSourceTimer)?
    /// What the round under way waits for; nil between rounds.
    private var waitsFor: String?
    private var lastAttempt: JournalRunner.Attempt?
    private var hasComplained = false

    init(
        _ manager: ServiceManager, group: any EventLoopGroup, coordinator: Coordinator, journal: JournalRunner?,
        logger: Logger
    ) {
        self.manager = manager
        loops = Array(group.makeIterator())
        self.coordinator = coordinator
        self.journal = journal
        self.logger = logger
    }

    /// Begins, when the manager expects it.
    func start() {
        guard let limit = manager.watchdogMicroseconds else { return }
        let beat = Int(max(limit / 2, Self.shortestBeatMicroseconds))
        queue.sync {
            let timer = DispatchSource.makeTimerSource(queue: queue)
            timer.setEventHandler { [unowned self] in self.beat() }
            timer.schedule(deadline: .now() + .microseconds(beat), repeating: .microseconds(beat))
            timer.resume()
            self.timer = timer
        }
    }

    func stop() {
        queue.sync {
            timer?.cancel()
            timer = nil
        }
    }

    private func beat() {
        if let waitsFor { return complain("\(waitsFor) does not answer") }
        ask(loops[...])
    }

    /// Goes round the event loops, one after the other.
    private func ask(_ rest: ArraySlice<any EventLoop>) {
        guard let loop = rest.first else { return askTheCore() }
        waitsFor = "event loop \(rest.startIndex + 1) of \(loops.count)"
        loop.execute { [self] in queue.async { self.ask(rest.dropFirst()) } }
    }

    private func askTheCore() {
        waitsFor = "the core"
        // On another thread, so that this queue can say so when it hangs.
        DispatchQueue.global().async { [self] in
            coordinator.advance(to: Clock.now())
            queue.async { self.askTheJournal() }
        }
    }

    private func askTheJournal() {
        waitsFor = nil
        let attempt = journal?.attempt
        defer { lastAttempt = attempt }
        if let attempt, attempt.isUnderWay, attempt == lastAttempt { return complain("the disk does not answer") }
        manager.works()
        if hasComplained { logger.notice("the daemon works again, and the watchdog is told so") }
        hasComplained = false
    }

    private func complain(_ reason: String) {
        if !hasComplained {
            logger.error("the watchdog is no longer told that the daemon works", metadata: ["reason": "\(reason)"])
        }
        hasComplained = true
    }
}
