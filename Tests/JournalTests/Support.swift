// Real directories, a disk that can be told to fail, and the words for what is put there.

import Coordination
import Glibc
import Synchronization

@testable import Journal

/// Is removed with all that is in it when nobody refers to it any more.
final class TemporaryDirectory: Sendable {
    let path: String
    var disk: PosixDisk { PosixDisk(path: path) }

    init() {
        var template = Array("/tmp/agentkeeper-test.XXXXXX\0".utf8CString)
        guard let made = mkdtemp(&template) else { preconditionFailure("no temporary directory: errno \(errno)") }
        path = String(cString: made)
    }

    deinit {
        guard let names = try? disk.list() else { return }  // It was removed by its test.
        for name in names { unlink(path + "/" + name) }
        rmdir(path)
    }

    var names: [String] { get throws { try disk.list() } }

    func database(_ mode: Database.Mode = .readWrite) throws(JournalError) -> Database {
        try Database((path + "/" + Schema.fileName, nil), mode)
    }

    func bytes(of name: String) throws -> [UInt8] {
        let file = try disk.open(name)
        var bytes = [UInt8](repeating: 0, count: try file.size())
        _ = try bytes.withUnsafeMutableBytes { buffer in try file.read(into: buffer, at: 0) }
        return bytes
    }

    func put(_ bytes: [UInt8], into name: String) throws {
        if access(path + "/" + name, F_OK) == 0 { try disk.remove(name) }
        let file = try disk.create(name)
        try bytes.withUnsafeBytes { bytes in try file.write(bytes, at: 0) }
    }

    /// All files as they are, for another directory.
    func copy(to other: TemporaryDirectory) throws {
        for name in try names { try other.put(try bytes(of: name), into: name) }
    }
}

/// A real directory whose files fail when they are told to, and that says what was done to them. SQLite's own
/// files are not among them.
final class FaultyDisk: Disk {
    struct State {
        /// errno of each write and of each sync; 0 for none.
        var writeError: Int32 = 0
        var syncError: Int32 = 0
        var openError: Int32 = 0
        var free = Int.max
        /// What was done to files, in words.
        var operations: [String] = []
    }

    let state = Mutex(State())
    private let disk: PosixDisk

    init(_ directory: TemporaryDirectory) { disk = directory.disk }

    /// What was done since the last look.
    func takeOperations() -> [String] {
        state.withLock { state in
            defer { state.operations = [] }
            return state.operations
        }
    }

    func change(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    func list() throws(DiskError) -> [String] { try disk.list() }

    func create(_ name: String) throws(DiskError) -> any DiskFile {
        FaultyFile(try disk.create(name), name: name, disk: self)
    }

    func open(_ name: String) throws(DiskError) -> any DiskFile {
        let error = state.withLock { $0.openError }
        guard error == 0 else { throw DiskError(operation: "open", file: name, code: error) }
        return try disk.open(name)
    }

    func rename(_ name: String, to newName: String) throws(DiskError) { try disk.rename(name, to: newName) }
    func remove(_ name: String) throws(DiskError) { try disk.remove(name) }
    func syncDirectory() throws(DiskError) { try disk.syncDirectory() }
    func freeBytes() throws(DiskError) -> Int { state.withLock { $0.free } }
    func databaseLocation(_ name: String) -> (path: String, vfs: String?) { disk.databaseLocation(name) }
}

private final class FaultyFile: DiskFile {
    private let file: any DiskFile
    private let name: String
    private let disk: FaultyDisk

    init(_ file: any DiskFile, name: String, disk: FaultyDisk) {
        self.file = file
        self.name = name
        self.disk = disk
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        let error = disk.state.withLock { $0.writeError }
        // Told when it has been done: then it is in a copy of the directory.
        defer { disk.state.withLock { $0.operations.append("write \(name) at \(offset)") } }
        guard error == 0 else { throw DiskError(operation: "write", file: name, code: error) }
        try file.write(bytes, at: offset)
    }

    func sync() throws(DiskError) {
        let error = disk.state.withLock { state in
            state.operations.append("sync \(name)")
            return state.syncError
        }
        guard error == 0 else { throw DiskError(operation: "fdatasync", file: name, code: error) }
        try file.sync()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
        try file.read(into: buffer, at: offset)
    }

    func size() throws(DiskError) -> Int { try file.size() }
}

// MARK: Words

let (a, b) = (AgentID(high: 1, low: 10), AgentID(high: 1, low: 11))

func moment(_ seconds: Int64) -> Moment {
    Moment(
        instant: Instant(nanoseconds: seconds * 1_000_000_000),
        wall: WallTime(nanoseconds: (1_800_000_000 + seconds) * 1_000_000_000))
}

/// What a new directory begins with: nothing, at second 0.
let start = StoredCounters(
    clock: moment(0).instant, wall: moment(0).wall, revision: .zero, lastToken: FencingToken(0),
    lastSequence: .zero, lastTaskSerial: 0, forgottenTerm: Term(0))

/// What an operator is told; nil when nothing is wrong.
func complaint(_ body: () throws(JournalError) -> Void) -> String? {
    do throws(JournalError) {
        try body()
        return nil
    } catch {
        return error.message
    }
}

extension Database {
    /// Every row of every table as text, in the order of the tables' keys: equal for equal contents.
    func contents() throws(JournalError) -> [String] {
        var names: [String] = []
        let tables = try prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        while try tables.step() {
            if case .text(let name) = try tables.value(0) { names.append(name) }
        }
        var lines: [String] = []
        for name in names {
            let rows = try prepare("SELECT * FROM \(name) ORDER BY 1, 2")
            while try rows.step() {
                var values: [String] = []
                for column in 0..<rows.columnCount { values.append("\(try rows.value(column))") }
                lines.append("\(name): " + values.joined(separator: ", "))
            }
        }
        return lines
    }
}

/// A daemon's state at work, without its threads.
struct Keeper: ~Copyable {
    let journal: Journal
    var machine: Machine

    init(
        _ disk: any Disk, limits: Limits = Limits(), options: Journal.Options = smallSegments,
        identity: UInt32 = 7, start: StoredCounters = start
    ) throws(JournalError) {
        let opened = try Journal.open(disk, limits: limits, options: options, identity: identity, start: start)
        journal = opened.journal
        machine = opened.take()
    }

    static var smallSegments: Journal.Options {
        var options = Journal.Options()
        options.firstSegmentBytes = 4_096
        options.maxSegmentBytes = 16_384
        return options
    }

    /// The machine goes to another owner.
    consuming func take() -> Machine { machine }

    @discardableResult
    mutating func say(_ command: Command, at seconds: Int64) -> Outcome {
        machine.apply(command, at: moment(seconds))
    }

    /// Writes down what was said since the last time.
    mutating func commit() throws {
        var changes: [UInt8] = []
        machine.takeChanges(into: &changes)
        guard !changes.isEmpty else { return }
        var frame = [UInt8](repeating: 0, count: Journal.headroom) + changes
        try journal.commit(&frame, upTo: machine.revision)
    }

    mutating func sayAndCommit(_ command: Command, at seconds: Int64) throws {
        say(command, at: seconds)
        try commit()
    }
}

extension Command {
    static func register(_ agent: AgentID, ttl: UInt32 = 600) -> Command {
        .register(
            .init(
                newID: agent, card: AgentCard(name: "agent", description: "it works", tools: ["saw"]),
                ttlSeconds: ttl, requestID: nil))
    }

    static func acquire(_ task: String, _ agent: AgentID, ttl: UInt32 = 600, id: String? = nil) -> Command {
        .acquireLease(
            .init(task: TaskID(task), agent: agent, ttlSeconds: ttl, requestID: id.map { RequestID($0) }))
    }

    static func release(_ task: String, _ agent: AgentID, _ token: UInt64) -> Command {
        .releaseLease(.init(task: TaskID(task), agent: agent, token: FencingToken(token)))
    }

    static func create(_ task: String) -> Command {
        .createTask(.init(newID: TaskID(task), type: "work", input: [1, 2, 3], requiredTools: ["saw"]))
    }
}
