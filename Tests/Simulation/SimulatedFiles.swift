// The disk as the journal sees it.

import Glibc
import Journal

extension SimulatedDisk {
    package func list() throws(DiskError) -> [String] {
        try check(epoch, "the directory")
        return names.keys.sorted()
    }

    package func create(_ name: String) throws(DiskError) -> any DiskFile {
        try check(epoch, name)
        return SimulatedFile(self, name, try inode(name, creating: true))
    }

    package func createLog(_ name: String, syncs: Bool) throws(DiskError) -> any DiskFile {
        try check(epoch, name)
        return SimulatedFile(
            self, name, try inode(name, creating: true), syncsEachWrite: syncs && logsSyncThemselves)
    }

    package func open(_ name: String) throws(DiskError) -> any DiskFile {
        try check(epoch, name)
        return SimulatedFile(self, name, try inode(name, creating: false))
    }

    func inode(_ name: String, creating: Bool) throws(DiskError) -> Inode {
        if let inode = names[name] { return inode }
        guard creating else { throw failure("open", name, ENOENT) }
        let inode = Inode()
        try change(.link(name, inode), name)
        return inode
    }

    package func rename(_ name: String, to newName: String) throws(DiskError) {
        try check(epoch, name)
        guard names[name] != nil else { throw failure("rename", name, ENOENT) }
        try change(.rename(name, to: newName), name)
    }

    package func remove(_ name: String) throws(DiskError) {
        try check(epoch, name)
        guard names[name] != nil else { throw failure("unlink", name, ENOENT) }
        try change(.unlink(name), name)
    }

    package func syncDirectory() throws(DiskError) {
        try check(epoch, "the directory")
        try syncNames()
    }

    package func freeBytes() throws(DiskError) -> Int { max(0, capacity - usedBytes) }

    package func databaseLocation(_ name: String) -> (path: String, vfs: String?) {
        ("/\(number)/\(name)", SimulatedVFS.name)
    }
}

private final class SimulatedFile: DiskFile, @unchecked Sendable {
    private let disk: SimulatedDisk
    private let name: String
    private let inode: SimulatedDisk.Inode
    private let epoch: Int
    let syncsEachWrite: Bool

    init(_ disk: SimulatedDisk, _ name: String, _ inode: SimulatedDisk.Inode, syncsEachWrite: Bool = false) {
        self.syncsEachWrite = syncsEachWrite
        self.disk = disk
        self.name = name
        self.inode = inode
        epoch = disk.epoch
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        try disk.check(epoch, name)
        try disk.write([UInt8](bytes), to: inode, at: offset, name, syncs: syncsEachWrite)
    }

    func sync() throws(DiskError) {
        try disk.check(epoch, name)
        try disk.sync(inode, name)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
        try disk.check(epoch, name)
        return inode.read(into: buffer, at: offset)
    }

    func size() throws(DiskError) -> Int {
        try disk.check(epoch, name)
        return inode.data.count
    }
}

extension SimulatedDisk.Inode {
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let count = max(0, min(buffer.count, data.count - offset))
        guard count > 0 else { return 0 }
        data.withUnsafeBytes { bytes in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
        }
        return count
    }
}
