// SQLite on the simulated disk: a VFS (https://sqlite.org/vfs.html) whose files are a `SimulatedDisk`'s. So what a
// power cut does to the database is what SQLite's own syncs, and nothing else, allow.
//
// As on Unix a new journal's or log's first sync also syncs the directory. The memory that connections share in WAL
// mode is just memory: it goes with the process. Locks are not kept, since a simulation is one process and
// one thread; only the write lock can be denied, as if another program held it.

import CSQLite
import Glibc
import Journal
import Synchronization

/// Which disk a path is on.
enum DiskRegistry {
    private final class Reference: @unchecked Sendable {
        weak var disk: SimulatedDisk?
        init(_ disk: SimulatedDisk) { self.disk = disk }
    }

    private struct State: Sendable {
        var last = 0
        var disks: [Int: Reference] = [:]
    }

    private static let state = Mutex(State())

    static func reserve() -> Int {
        SimulatedVFS.register()
        return state.withLock { state in
            state.last += 1
            return state.last
        }
    }

    static func add(_ disk: SimulatedDisk) {
        let (number, reference) = (disk.number, Reference(disk))
        state.withLock { $0.disks[number] = reference }
    }

    static func remove(_ number: Int) { state.withLock { $0.disks[number] = nil } }

    /// Takes apart a path `/NUMBER/NAME`.
    static func find(_ path: UnsafePointer<CChar>) -> (disk: SimulatedDisk, name: String)? {
        let parts = String(cString: path).split(separator: "/", maxSplits: 1)
        guard parts.count == 2, let number = Int(parts[0]),
            let disk = state.withLock({ $0.disks[number] })?.disk
        else { return nil }
        return (disk, String(parts[1]))
    }
}

/// The regions of one database's shared memory; the last connection takes it along.
final class SharedMemory {
    struct Reference {
        weak var memory: SharedMemory?
    }

    var regions: [UnsafeMutableRawPointer] = []
    deinit { regions.forEach { $0.deallocate() } }
}

/// What SQLite has open.
private final class OpenFile {
    let disk: SimulatedDisk
    let name: String
    let inode: SimulatedDisk.Inode
    let epoch: Int
    let goesWhenClosed: Bool
    var syncsDirectory: Bool
    var memory: SharedMemory?

    init(
        _ disk: SimulatedDisk, _ name: String, _ inode: SimulatedDisk.Inode, goesWhenClosed: Bool,
        syncsDirectory: Bool
    ) {
        self.disk = disk
        self.name = name
        self.inode = inode
        epoch = disk.epoch
        self.goesWhenClosed = goesWhenClosed
        self.syncsDirectory = syncsDirectory
    }
}

/// As SQLite allocates it: its own part first.
private struct FileRecord {
    var methods: UnsafePointer<sqlite3_io_methods>?
    var object: UnsafeMutableRawPointer?
}

private func record(_ file: UnsafeMutablePointer<sqlite3_file>?) -> UnsafeMutablePointer<FileRecord> {
    UnsafeMutableRawPointer(file!).assumingMemoryBound(to: FileRecord.self)
}

private func openFile(_ file: UnsafeMutablePointer<sqlite3_file>?) -> OpenFile {
    Unmanaged<OpenFile>.fromOpaque(record(file).pointee.object!).takeUnretainedValue()
}

/// SQLite's code for what a disk operation came to.
private func code(_ otherwise: Int32, _ body: () throws(DiskError) -> Void) -> Int32 {
    do throws(DiskError) {
        try body()
        return SQLITE_OK
    } catch {
        return error.code == ENOSPC ? SQLITE_FULL : otherwise
    }
}

private enum ErrorCode {
    static let read = SQLITE_IOERR | 1 << 8
    static let shortRead = SQLITE_IOERR | 2 << 8
    static let write = SQLITE_IOERR | 3 << 8
    static let sync = SQLITE_IOERR | 4 << 8
    static let truncate = SQLITE_IOERR | 6 << 8
    static let delete = SQLITE_IOERR | 10 << 8
    static let deleteOfNothing = SQLITE_IOERR | 23 << 8
}

enum SimulatedVFS {
    static let name = "agentkeeper-simulation"

    static func register() { _ = registered }

    private static let registered: Bool = {
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        vfs.initialize(to: sqlite3_vfs())
        vfs.pointee.iVersion = 2
        vfs.pointee.szOsFile = Int32(MemoryLayout<FileRecord>.size)
        vfs.pointee.mxPathname = 512
        vfs.pointee.zName = UnsafePointer(strdup(name))
        vfs.pointee.xOpen = open
        vfs.pointee.xDelete = delete
        vfs.pointee.xAccess = access
        vfs.pointee.xFullPathname = { _, path, size, destination in
            guard let path, strlen(path) < Int(size) else { return SQLITE_CANTOPEN }
            strcpy(destination!, path)
            return SQLITE_OK
        }
        vfs.pointee.xRandomness = { _, count, bytes in
            // For the salts of SQLite's log, on which nothing that happens here may depend.
            var random = SystemRandomNumberGenerator()
            for index in 0..<Int(count) { bytes![index] = CChar(truncatingIfNeeded: random.next()) }
            return count
        }
        vfs.pointee.xSleep = { _, microseconds in microseconds }
        vfs.pointee.xCurrentTime = { _, time in
            time!.pointee = 2_460_000
            return SQLITE_OK
        }
        vfs.pointee.xCurrentTimeInt64 = { _, time in
            time!.pointee = 2_460_000 * 86_400_000
            return SQLITE_OK
        }
        vfs.pointee.xGetLastError = { _, _, _ in 0 }
        return sqlite3_vfs_register(vfs, 0) == SQLITE_OK
    }()

    private static let open:
        @convention(c) (
            UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, UnsafeMutablePointer<sqlite3_file>?, Int32,
            UnsafeMutablePointer<Int32>?
        ) -> Int32 = { _, path, file, flags, flagsFound in
            record(file).pointee = FileRecord(methods: nil, object: nil)
            // A file without a name is SQLite's own, for a while.
            guard let path else { return SQLITE_CANTOPEN }
            guard let (disk, name) = DiskRegistry.find(path) else { return SQLITE_CANTOPEN }
            let isNew = disk.names[name] == nil
            let inode: SimulatedDisk.Inode
            do throws(DiskError) {
                try disk.check(disk.epoch, name)
                inode = try disk.inode(name, creating: flags & SQLITE_OPEN_CREATE != 0)
            } catch {
                return error.code == ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN
            }
            let isLog = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL | SQLITE_OPEN_SUPER_JOURNAL) != 0
            let object = OpenFile(
                disk, name, inode, goesWhenClosed: flags & SQLITE_OPEN_DELETEONCLOSE != 0,
                syncsDirectory: isNew && isLog)
            record(file).pointee = FileRecord(
                methods: methods, object: Unmanaged.passRetained(object).toOpaque())
            flagsFound?.pointee = flags
            return SQLITE_OK
        }

    private static let delete:
        @convention(c) (UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, Int32) -> Int32 = {
            _, path, syncsDirectory in
            guard let path, let (disk, name) = DiskRegistry.find(path) else { return ErrorCode.delete }
            guard disk.names[name] != nil else { return ErrorCode.deleteOfNothing }
            return code(ErrorCode.delete) { () throws(DiskError) in
                try disk.remove(name)
                if syncsDirectory != 0 { try disk.syncDirectory() }
            }
        }

    private static let access:
        @convention(c) (
            UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, Int32, UnsafeMutablePointer<Int32>?
        ) -> Int32 = { _, path, flags, found in
            guard let path, let (disk, name) = DiskRegistry.find(path) else { return SQLITE_CANTOPEN }
            let inode = disk.names[name]
            // As on Unix an empty file counts as none, when SQLite asks whether there is one.
            let isThere = flags == SQLITE_ACCESS_EXISTS ? inode?.data.isEmpty == false : inode != nil
            found!.pointee = isThere ? 1 : 0
            return SQLITE_OK
        }

    nonisolated(unsafe) private static let methods: UnsafePointer<sqlite3_io_methods> = {
        let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        methods.initialize(to: sqlite3_io_methods())
        methods.pointee.iVersion = 2
        methods.pointee.xClose = { file in
            let object = Unmanaged<OpenFile>.fromOpaque(record(file).pointee.object!).takeRetainedValue()
            record(file).pointee = FileRecord(methods: nil, object: nil)
            guard object.goesWhenClosed, object.epoch == object.disk.epoch else { return SQLITE_OK }
            return code(ErrorCode.delete) { () throws(DiskError) in try object.disk.remove(object.name) }
        }
        methods.pointee.xRead = { file, destination, count, offset in
            let file = openFile(file)
            let buffer = UnsafeMutableRawBufferPointer(start: destination, count: Int(count))
            var found = 0
            let result = code(ErrorCode.read) { () throws(DiskError) in
                try file.disk.check(file.epoch, file.name)
                found = file.inode.read(into: buffer, at: Int(offset))
            }
            guard result == SQLITE_OK, found < buffer.count else { return result }
            memset(buffer.baseAddress! + found, 0, buffer.count - found)
            return ErrorCode.shortRead
        }
        methods.pointee.xWrite = { file, bytes, count, offset in
            let file = openFile(file)
            return code(ErrorCode.write) { () throws(DiskError) in
                try file.disk.check(file.epoch, file.name)
                let bytes = [UInt8](UnsafeRawBufferPointer(start: bytes, count: Int(count)))
                try file.disk.write(bytes, to: file.inode, at: Int(offset), file.name)
            }
        }
        methods.pointee.xTruncate = { file, size in
            let file = openFile(file)
            return code(ErrorCode.truncate) { () throws(DiskError) in
                try file.disk.check(file.epoch, file.name)
                try file.disk.truncate(file.inode, to: Int(size), file.name)
            }
        }
        methods.pointee.xSync = { file, _ in
            let file = openFile(file)
            return code(ErrorCode.sync) { () throws(DiskError) in
                try file.disk.check(file.epoch, file.name)
                try file.disk.sync(file.inode, file.name)
                if file.syncsDirectory {
                    try file.disk.syncDirectory()
                    file.syncsDirectory = false
                }
            }
        }
        methods.pointee.xFileSize = { file, size in
            size!.pointee = sqlite3_int64(openFile(file).inode.data.count)
            return SQLITE_OK
        }
        methods.pointee.xLock = { _, _ in SQLITE_OK }
        methods.pointee.xUnlock = { _, _ in SQLITE_OK }
        methods.pointee.xCheckReservedLock = { _, found in
            found!.pointee = 0
            return SQLITE_OK
        }
        methods.pointee.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        // What SQLite takes Linux's disks for.
        methods.pointee.xSectorSize = { _ in 4_096 }
        methods.pointee.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
        methods.pointee.xShmMap = { file, region, size, extends, found in
            let file = openFile(file)
            found!.pointee = nil
            guard file.epoch == file.disk.epoch else { return SQLITE_IOERR }
            let memory = file.memory ?? file.disk.sharedMemory[file.name]?.memory ?? SharedMemory()
            file.memory = memory
            file.disk.sharedMemory[file.name] = SharedMemory.Reference(memory: memory)
            while memory.regions.count <= Int(region) {
                guard extends != 0 else { return SQLITE_OK }
                let new = UnsafeMutableRawPointer.allocate(byteCount: Int(size), alignment: 16)
                memset(new, 0, Int(size))
                memory.regions.append(new)
            }
            found!.pointee = memory.regions[Int(region)]
            return SQLITE_OK
        }
        methods.pointee.xShmLock = { file, offset, _, flags in
            let isWriteLock = offset == 0 && flags == SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE
            return isWriteLock && openFile(file).disk.isHeldByAnother ? SQLITE_BUSY : SQLITE_OK
        }
        methods.pointee.xShmBarrier = { _ in }
        methods.pointee.xShmUnmap = { file, _ in
            openFile(file).memory = nil
            return SQLITE_OK
        }
        return UnsafePointer(methods)
    }()
}
