// The command and its guardian as Swift sees them.

import CProcess
import Glibc

/// Unchecked, because of a pointer: it is to memory that lives as long as the process, and is only read here.
struct RunningCommand: @unchecked Sendable {
    private let process: cprocess

    enum Verdict {
        case leftAlone
        /// The guardian ended it: nobody had prolonged it in time.
        case ranOut
        /// The guardian ended it because it was told to.
        case ended
    }

    /// - Parameters:
    ///   - remaining: for how long it may run unless prolonged.
    ///   - grace: so long before that it gets SIGTERM; SIGKILL follows when it is over.
    ///   - terminal: whose foreground it is to have, or -1.
    static func start(
        _ arguments: [String], environment: [String], ignoring ignored: sigset_t, terminal: Int32,
        remaining: Duration, grace: Duration
    ) throws(Failure) -> RunningCommand {
        let argv = arguments.map { strdup($0) } + [nil]
        let envp = environment.map { strdup($0) } + [nil]
        defer { for text in argv + envp { free(text) } }
        var ignored = ignored
        var process = cprocess()
        let until = cprocess_now() + remaining.nanosecondsOfClock
        let code = cprocess_start(argv[0], argv, envp, &ignored, terminal, until, grace.nanosecondsOfClock, &process)
        guard code == 0 else {
            let status: ExitStatus =
                switch code {
                case ENOENT, ENOTDIR: .notFound
                case EACCES, ENOEXEC, EISDIR: .notExecutable
                default: .failure
                }
            throw Failure("can't run \(arguments[0]): \(String(cString: strerror(code)))", status)
        }
        return RunningCommand(process: process)
    }

    /// Also its process group's id.
    var pid: pid_t { process.command }

    /// It may run for so long from now.
    func prolong(by remaining: Duration) {
        withUnsafePointer(to: process) { cprocess_prolong($0, cprocess_now() + remaining.nanosecondsOfClock) }
    }

    func end() { withUnsafePointer(to: process) { cprocess_end($0) } }

    func signal(_ number: Int32) { kill(-pid, number) }

    /// Blocks until its state changes.
    ///
    /// - Returns: the signal that stopped it; nil when it has ended.
    func waitForChange() -> Int32? {
        let signal = withUnsafePointer(to: process) { cprocess_wait($0) }
        return signal > 0 ? signal : nil
    }

    var verdict: Verdict {
        switch process.verdict.pointee {
        case Int32(CPROCESS_RAN_OUT): .ranOut
        case Int32(CPROCESS_WAS_TOLD): .ended
        default: .leftAlone
        }
    }

    var groupLives: Bool { withUnsafePointer(to: process) { cprocess_group_lives($0) } != 0 }

    /// The guardian is needed no more.
    func dismissGuardian() { withUnsafePointer(to: process) { cprocess_dismiss($0) } }

    /// What a shell would have in `$?`.
    func reap() -> Int32 { withUnsafePointer(to: process) { cprocess_reap($0) } }
}

extension Duration {
    fileprivate var nanosecondsOfClock: Int64 {
        let (seconds, attoseconds) = components
        return min(seconds, 1 << 32) * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
