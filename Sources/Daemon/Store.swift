// The data directory's part in the daemon's life: taken and loaded before any port opens, committed to while it
// runs, brought into the database at the end.

import CSodium
import Coordination
import Glibc
import Journal
import Logging
import RPC
import Services

struct Store: CustomStringConvertible {
    let coordinator: Coordinator
    private let path: String
    private let lock: DirectoryLock
    private let journal: Journal
    private let disk: PosixDisk
    private let logger: Logger
    private let runner = RunnerBox()
    let description: String
    /// Names the sequence of events that this directory keeps.
    var history: String { String(journal.identity, radix: 16) }

    /// - Throws: when the directory can't be had, in one line.
    init(_ path: String, settings: Settings, tokensStartAbove token: FencingToken) throws(StartFailure) {
        self.path = path
        logger = settings.logger
        // The state is for the daemon's user alone, and so are SQLite's files.
        umask(0o077)
        do throws(JournalError) {
            lock = try DirectoryLock(path: path)
            disk = PosixDisk(path: path)
            let now = Clock.now()
            let started = now.instant
            // A new directory's tokens begin above those of a daemon that kept none; and where the last ones
            // may have been lost they go on above anything that can have been given.
            let start = StoredCounters(
                clock: now.instant, wall: now.wall, revision: .zero, lastToken: token, lastSequence: .zero,
                lastTaskSerial: 0, forgottenTerm: Term(0))
            let opened = try Journal.open(
                disk, limits: settings.limits, options: settings.journalOptions, identity: randombytes_random(),
                start: start, tokensStartAbove: settings.journalOptions.syncs ? FencingToken(0) : token)
            journal = opened.journal
            let counts = opened.machine.counts
            let loadedAt = Clock.now().instant
            let milliseconds = (loadedAt - started).nanoseconds / 1_000_000
            description =
                "state is kept in \(path): \(counts.agentsAlive + counts.agentsUnreachable) agents, \(counts.leases) leases, "
                + "\(counts.tasksPending) tasks pending, loaded in \(milliseconds) ms"
            coordinator = Coordinator(
                machine: opened.take(), resumingAt: loadedAt, stallTolerance: Daemon.stallTolerance)
        } catch {
            throw StartFailure(message: error.message(in: path))
        }
    }

    /// Begins to commit.
    ///
    /// - Parameter changesAreDurable: runs after each commit, on the journal's thread.
    func start(_ changesAreDurable: @escaping @Sendable (Revision) -> Void) -> JournalRunner {
        let (logger, path) = (logger, path)
        let started = JournalRunner(
            journal: journal, coordinator: coordinator, disk: disk, directory: path,
            hooks: JournalRunner.Hooks(
                now: { Clock.now() }, changesAreDurable: changesAreDurable,
                warn: { logger.warning("\($0)") }, inform: { logger.info("\($0)") },
                fail: { error in
                    logger.critical(
                        "\(error.message(in: path)); what came after was not answered, and the process ends at once")
                    _exit(1)
                }))
        started.start()
        runner.runner = started
        return started
    }

    /// Brings everything into the database. No command may come any more.
    func stop() throws(StartFailure) {
        do throws(JournalError) {
            try runner.runner?.stop()
        } catch {
            throw StartFailure(message: error.message(in: path))
        }
    }
}

/// Set once, at the start, by the thread that also reads it at the end.
private final class RunnerBox: @unchecked Sendable {
    var runner: JournalRunner?
}
