// `agentkeeper backup` and `agentkeeper verify`: what an operator does with a data directory, whether a daemon is
// at work there or not.

import ArgumentParser
import Commands
import Coordination
import Glibc
import Journal

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy a data directory's state to one file, also while its daemon runs.",
        discussion: """
            Everything is in the copy that was answered before the copy began. To go back to it: stop the daemon, put the \
            file into an empty directory under the name agentkeeper.db, and start the daemon on that directory.

            The file must not be there yet. It appears under its name when it is whole.
            """)

    @Argument(help: "The file to make.") var file: String
    @OptionGroup var directory: DirectoryOption

    func run() throws {
        try printingProblems {
            // The state is for its owner alone, and so is its copy.
            umask(0o077)
            let path = try directory.path()
            let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
            let name = String(file.split(separator: "/", omittingEmptySubsequences: false).last ?? "")
            guard !name.isEmpty else { throw Problem("\(file) is no name of a file") }
            guard access(file, F_OK) != 0 else { throw Problem("\(file) is there already, and is left as it is") }
            let target = PosixDisk(path: folder.isEmpty ? (file.hasPrefix("/") ? "/" : ".") : folder)
            let partial = name + ".partial"
            unlink(target.path + "/" + partial)
            do {
                let contents = try Snapshot.take(PosixDisk(path: path), to: partial, on: target, limits: Limits())
                try target.create(partial).sync()
                try target.rename(partial, to: name)
                try target.syncDirectory()
                print("\(file): \(contents.summary)")
            } catch {
                unlink(target.path + "/" + partial)
                throw error
            }
        }
    }
}

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a data directory or a backup, and say what it holds.",
        discussion: """
            Reads everything, as a start would: the database's structure, each row's checksum, the log, and whether all of it \
            fits together. Changes nothing, and may run beside a daemon. The exit status is 0 when all is whole, and 1 \
            when something is not, with one line that says what.
            """)

    @Argument(help: "A data directory, or a file that backup made. (default: --data-dir)") var path: String?
    @OptionGroup var directory: DirectoryOption

    func run() throws {
        try printingProblems {
            let path = try path ?? directory.path()
            var scratch = Array("/tmp/agentkeeper-verify-XXXXXX".utf8CString)
            guard mkdtemp(&scratch) != nil else { throw Problem("can't make a folder in /tmp: \(lastError)") }
            let folder = scratch.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            let disk = PosixDisk(path: folder)
            defer {
                for name in (try? disk.list()) ?? [] { try? disk.remove(name) }  // Nothing is left to tell of.
                rmdir(folder)
            }
            let contents = try Snapshot.take(
                isDirectory(path) ? PosixDisk(path: path) : FileAsDirectory(path), to: "copy", on: disk,
                limits: Limits())
            print("\(path) is whole: \(contents.summary)")
            print("  \(contents.details)")
        }
    }
}

struct DirectoryOption: ParsableArguments {
    @Option(
        help: ArgumentHelp("The daemon's data directory; or AGENTKEEPER_DATA_DIR.", valueName: "dir"))
    var dataDir: String?

    func path() throws -> String {
        guard let path = dataDir ?? Environment()["AGENTKEEPER_DATA_DIR"] else {
            throw ValidationError("--data-dir or AGENTKEEPER_DATA_DIR must say which directory")
        }
        guard access(path, F_OK) == 0 else { throw Problem("\(path): \(lastError)") }
        return path
    }
}

/// A complaint in one line.
private struct Problem: Error {
    let message: String

    init(_ message: String) { self.message = message }
}

private var lastError: String { String(cString: strerror(errno)) }

private func isDirectory(_ path: String) throws -> Bool {
    var info = stat()
    guard stat(path, &info) == 0 else { throw Problem("\(path): \(lastError)") }
    return info.st_mode & S_IFMT == S_IFDIR
}

/// One line on standard error, and exit 1.
private func printingProblems(_ body: () throws -> Void) throws {
    let message: String
    do {
        return try body()
    } catch let error as Problem {
        message = error.message
    } catch let error as JournalError {
        message = error.message
    } catch let error as DiskError {
        message = JournalError.disk(error).message
    }
    complain(message)
    throw ExitCode.failure
}

/// A backup, which is a data directory's database alone and under another name.
private final class FileAsDirectory: Disk {
    private let file: String
    private let folder: PosixDisk
    private let name: String

    init(_ path: String) {
        file = path
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        name = String(parts.last ?? "")
        let parent = parts.dropLast().joined(separator: "/")
        folder = PosixDisk(path: parent.isEmpty ? (path.hasPrefix("/") ? "/" : ".") : parent)
    }

    func list() throws(DiskError) -> [String] { [Snapshot.databaseName] }
    func open(_ name: String) throws(DiskError) -> any DiskFile { try folder.open(self.name) }
    func databaseLocation(_ name: String) -> (path: String, vfs: String?) { (file, nil) }
    func freeBytes() throws(DiskError) -> Int { 0 }
    func create(_ name: String) throws(DiskError) -> any DiskFile { throw refusal("create") }
    func rename(_ name: String, to newName: String) throws(DiskError) { throw refusal("rename") }
    func remove(_ name: String) throws(DiskError) { throw refusal("remove") }
    func syncDirectory() throws(DiskError) {}

    private func refusal(_ operation: String) -> DiskError {
        DiskError(operation: operation, file: file, code: EROFS)
    }
}

extension Snapshot.Contents {
    fileprivate var summary: String {
        "revision \(counters.revision.value), \(counts.agentsAlive + counts.agentsUnreachable) agents, "
            + "\(counts.leases - counts.claims) leases, \(counts.tasksPending + counts.tasksClaimed) open tasks, "
            + "\(counts.policies) policies"
    }

    fileprivate var details: String {
        "agents: \(counts.agentsAlive) alive, \(counts.agentsUnreachable) unreachable, \(counts.agentsDead) dead; "
            + "tasks: \(counts.tasksPending) pending, \(counts.tasksClaimed) claimed, \(counts.tasksCompleted) completed, "
            + "\(counts.tasksDead) dead; \(counts.elections) elections with \(counts.candidates) candidates; "
            + "\(counts.eventsKept) events kept; last token \(counters.lastToken.value), "
            + "last sequence \(counters.lastSequence.value); \(revisionsInLog) changes of \(segments) segments "
            + "of the log not yet in the database"
    }
}
