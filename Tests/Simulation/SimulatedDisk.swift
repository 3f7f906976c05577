// A disk that keeps no more than it promised.
//
// Every file has two contents: what reads see, and what a power cut would leave. A write changes the first, a
// sync brings the second up to it. At a power cut each write that was not synced survives, is lost or is torn at
// sectors of 512 bytes, one independently of the other; so do creations, renames and removals that no
// sync of the directory followed. The cut can come before, within or after any numbered operation; from then on every
// operation fails, until `powerCut` has decided what is left.

import Glibc
import Journal

package final class SimulatedDisk: Disk, @unchecked Sendable {
    // Unchecked: a simulation is one thread.

    final class Inode {
        enum Change {
            case write(at: Int, [UInt8])
            case truncation(to: Int)
        }

        var data: [UInt8] = []
        var durable: [UInt8] = []
        var unsynced: [Change] = []
    }

    enum DirectoryChange {
        case link(String, Inode)
        case unlink(String)
        case rename(String, to: String)
    }

    enum CutPoint: CaseIterable {
        case before
        case within
        case after
    }

    /// What the disk does wrong when a fault was planted in it.
    struct Lies {
        var syncsOfLogsDoNothing = false
        var syncsOfDatabaseDoNothing = false
        var syncsOfDirectoryDoNothing = false
    }

    private static let sectorBytes = 512

    let number: Int
    var names: [String: Inode] = [:]
    private var durableNames: [String: Inode] = [:]
    private var unsyncedNames: [DirectoryChange] = []
    /// Of files that SQLite shares between its connections.
    var sharedMemory: [String: SharedMemory.Reference] = [:]
    /// Goes up with every power cut: what was opened before is of no use.
    private(set) var epoch = 0
    /// Writes, syncs and changes of the directory so far.
    private(set) var operations = 0
    private(set) var isDown = false
    /// The operation that the power goes at, and where in it.
    var cut: (operation: Int, point: CutPoint)?
    /// The first sync from this operation on fails, as when the device reports an error.
    var failingSync: Int?
    private(set) var hasFailedSync = false
    /// Bytes that fit.
    var capacity = Int.max
    private(set) var usedBytes = 0
    /// Whether another program holds SQLite's write lock.
    var isHeldByAnother = false
    var lies = Lies()
    /// Whether files of the log are opened so that each write is also a sync.
    var logsSyncThemselves = false
    /// Is told of every operation.
    var tell: ((String) -> Void)?
    var random: SeededRandom
    /// Whether there was no room for something.
    private(set) var hasRunOut = false

    init(random: SeededRandom) {
        self.random = random
        number = DiskRegistry.reserve()
        DiskRegistry.add(self)
    }

    deinit { DiskRegistry.remove(number) }

    /// A disk with the same files.
    func copy() -> SimulatedDisk {
        let other = SimulatedDisk(random: random)
        for (name, inode) in names {
            let copied = Inode()
            copied.data = inode.data
            copied.durable = inode.data
            other.names[name] = copied
        }
        other.durableNames = other.names
        other.usedBytes = usedBytes
        return other
    }

    // MARK: Operations

    func failure(_ operation: String, _ file: String, _ code: Int32 = EIO) -> DiskError {
        DiskError(operation: operation, file: file, code: code)
    }

    func check(_ epoch: Int, _ file: String) throws(DiskError) {
        guard !isDown, epoch == self.epoch else { throw failure("access", file) }
    }

    /// Counts an operation, and does it unless the power goes first.
    private func operate(
        _ name: String, _ file: String, partially: (() -> Void)? = nil, _ body: () throws(DiskError) -> Void
    ) throws(DiskError) {
        guard !isDown else { throw failure(name, file) }
        operations += 1
        tell?("    \(operations): \(name) \(file)")
        guard let cut, cut.operation == operations else { return try body() }
        isDown = true
        switch cut.point {
        case .before: break
        case .within: partially?()
        case .after: try body()
        }
        throw failure(name, file)
    }

    func write(
        _ bytes: [UInt8], to inode: Inode, at offset: Int, _ file: String, syncs: Bool = false
    ) throws(DiskError) {
        let fitting = min(bytes.count, max(0, capacity - usedBytes + inode.data.count - offset))
        let part = bytes.count < 2 ? 0 : bytes.count / 2
        try operate("write", file, partially: { self.put(Array(bytes[..<part]), in: inode, at: offset) }) {
            () throws(DiskError) in
            guard fitting == bytes.count || offset + bytes.count <= inode.data.count else {
                hasRunOut = true
                put(Array(bytes[..<fitting]), in: inode, at: offset)
                throw failure("write", file, ENOSPC)
            }
            put(bytes, in: inode, at: offset)
            if syncs { try flush(inode, file) }
        }
    }

    private func put(_ bytes: [UInt8], in inode: Inode, at offset: Int) {
        guard !bytes.isEmpty else { return }
        let before = inode.data.count
        inode.data.set(bytes, at: offset)
        usedBytes += inode.data.count - before
        inode.unsynced.append(.write(at: offset, bytes))
    }

    func truncate(_ inode: Inode, to count: Int, _ file: String) throws(DiskError) {
        try operate("truncate", file) { () throws(DiskError) in
            guard count < inode.data.count else { return }
            usedBytes -= inode.data.count - count
            inode.data.removeLast(inode.data.count - count)
            inode.unsynced.append(.truncation(to: count))
        }
    }

    func sync(_ inode: Inode, _ file: String) throws(DiskError) {
        try operate("sync", file, partially: { self.leave(inode) }) { () throws(DiskError) in
            try flush(inode, file)
        }
    }

    private func flush(_ inode: Inode, _ file: String) throws(DiskError) {
        if let failingSync, operations >= failingSync {
            self.failingSync = nil
            hasFailedSync = true
            // What a device could not write may be gone, although reads still show it.
            leave(inode)
            throw failure("sync", file)
        }
        let isLog = file.hasPrefix("log.")
        guard !(isLog ? lies.syncsOfLogsDoNothing : lies.syncsOfDatabaseDoNothing) else { return }
        for change in inode.unsynced { inode.durable.apply(change) }
        inode.unsynced = []
    }

    func change(_ change: DirectoryChange, _ file: String) throws(DiskError) {
        try operate("change", file) { () throws(DiskError) in
            if case .link = change, usedBytes >= capacity {
                hasRunOut = true
                throw failure("create", file, ENOSPC)
            }
            switch change {
            case .unlink(let name): usedBytes -= names[name]?.data.count ?? 0
            case .rename(_, let name): usedBytes -= names[name]?.data.count ?? 0
            case .link: break
            }
            names.apply(change)
            unsyncedNames.append(change)
        }
    }

    func syncNames() throws(DiskError) {
        try operate("sync", "the directory") { () throws(DiskError) in
            guard !lies.syncsOfDirectoryDoNothing else { return }
            for change in unsyncedNames { durableNames.apply(change) }
            unsyncedNames = []
        }
    }

    // MARK: Crashes

    /// The process ends, and the machine does not: what was written is still there.
    func processEnds() {
        epoch += 1
        isDown = false
        cut = nil
        failingSync = nil
        hasFailedSync = false
        sharedMemory = [:]
        isHeldByAnother = false
    }

    /// The power goes, or went, and comes back.
    func powerCut() {
        var inodes: [ObjectIdentifier: Inode] = [:]
        for inode in names.values { inodes[ObjectIdentifier(inode)] = inode }
        for inode in durableNames.values { inodes[ObjectIdentifier(inode)] = inode }
        for case .link(_, let inode) in unsyncedNames { inodes[ObjectIdentifier(inode)] = inode }
        // In an order that the seed decides and not the addresses.
        let sorted = names.sorted { $0.key < $1.key }.map(\.value)
        for inode in sorted where inodes.removeValue(forKey: ObjectIdentifier(inode)) != nil { leave(inode) }
        let rest = durableNames.sorted { $0.key < $1.key }.map(\.value)
        for inode in rest where inodes.removeValue(forKey: ObjectIdentifier(inode)) != nil { leave(inode) }
        for case .link(_, let inode) in unsyncedNames
        where inodes.removeValue(forKey: ObjectIdentifier(inode)) != nil {
            leave(inode)
        }
        for change in unsyncedNames where random.chance(50) { durableNames.apply(change) }
        unsyncedNames = []
        names = durableNames
        for inode in names.values { inode.data = inode.durable }
        usedBytes = names.values.reduce(0) { $0 + $1.data.count }
        processEnds()
    }

    /// Decides what became of each write that was not synced.
    private func leave(_ inode: Inode) {
        for change in inode.unsynced {
            switch Int(random.next() % 10) {
            case 0..<5: inode.durable.apply(change)
            case 5..<8: break
            default:
                guard case .write(let offset, let bytes) = change else { break }
                tear(bytes, at: offset, in: inode)
            }
        }
        inode.unsynced = []
    }

    /// Some sectors are written, others are not.
    private func tear(_ bytes: [UInt8], at offset: Int, in inode: Inode) {
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, ((offset + start) / Self.sectorBytes + 1) * Self.sectorBytes - offset)
            if random.chance(50) { inode.durable.set(Array(bytes[start..<end]), at: offset + start) }
            start = end
        }
    }

    /// Changes what is on the disk behind everybody's back.
    func overwrite(_ name: String, _ body: (inout [UInt8]) -> Void) {
        guard let inode = names[name] else { return }
        body(&inode.data)
        inode.durable = inode.data
    }

    func vanish(_ name: String) {
        names[name] = nil
        durableNames[name] = nil
    }
}

extension [UInt8] {
    /// Zeros fill a gap before it.
    mutating func set(_ bytes: [UInt8], at offset: Int) {
        if count < offset { append(contentsOf: repeatElement(0, count: offset - count)) }
        let overlap = Swift.min(bytes.count, count - offset)
        if overlap > 0 {
            withUnsafeMutableBytes { own in
                bytes.withUnsafeBytes { new in
                    UnsafeMutableRawBufferPointer(rebasing: own[offset..<offset + overlap])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: new[..<overlap]))
                }
            }
        }
        if overlap < bytes.count { append(contentsOf: bytes[overlap...]) }
    }

    fileprivate mutating func apply(_ change: SimulatedDisk.Inode.Change) {
        switch change {
        case .write(let offset, let bytes): set(bytes, at: offset)
        case .truncation(let count): if count < self.count { removeLast(self.count - count) }
        }
    }
}

extension [String: SimulatedDisk.Inode] {
    fileprivate mutating func apply(_ change: SimulatedDisk.DirectoryChange) {
        switch change {
        case .link(let name, let inode): self[name] = inode
        case .unlink(let name): self[name] = nil
        case .rename(let name, let newName):
            guard let inode = removeValue(forKey: name) else { return }
            self[newName] = inode
        }
    }
}
