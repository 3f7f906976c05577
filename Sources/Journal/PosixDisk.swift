// A real directory.

import Glibc

package final class PosixDisk: Disk {
    package let path: String

    package init(path: String) { self.path = path }

    package func list() throws(DiskError) -> [String] {
        guard let directory = opendir(path) else { throw DiskError("opendir", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                guard errno == 0 else { throw DiskError("readdir", path) }
                return names.sorted()
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                String(cString: UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
            }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    package func create(_ name: String) throws(DiskError) -> any DiskFile {
        try open(name, O_RDWR | O_CREAT)
    }

    package func open(_ name: String) throws(DiskError) -> any DiskFile {
        try open(name, O_RDONLY)
    }

    private func open(_ name: String, _ flags: Int32) throws(DiskError) -> any DiskFile {
        let file = Glibc.open(full(name), flags | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw DiskError("open", full(name)) }
        return PosixFile(descriptor: file, path: full(name))
    }

    package func rename(_ name: String, to newName: String) throws(DiskError) {
        guard Glibc.rename(full(name), full(newName)) == 0 else { throw DiskError("rename", full(name)) }
    }

    package func remove(_ name: String) throws(DiskError) {
        guard unlink(full(name)) == 0 else { throw DiskError("unlink", full(name)) }
    }

    package func syncDirectory() throws(DiskError) {
        let directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw DiskError("open", path) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw DiskError("fsync", path) }
    }

    package func freeBytes() throws(DiskError) -> Int {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else { throw DiskError("statvfs", path) }
        return Int(clamping: UInt64(info.f_bavail).multipliedReportingOverflow(by: UInt64(info.f_frsize)).partialValue)
    }

    package func databaseLocation(_ name: String) -> (path: String, vfs: String?) { (full(name), nil) }

    private func full(_ name: String) -> String { path + "/" + name }
}

private final class PosixFile: DiskFile {
    private let descriptor: Int32
    private let path: String

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw DiskError("write", path)
            }
            done += count
        }
    }

    func sync() throws(DiskError) {
        guard fdatasync(descriptor) == 0 else { throw DiskError("fdatasync", path) }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw DiskError("read", path)
            }
            done += count
        }
        return done
    }

    func size() throws(DiskError) -> Int {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw DiskError("stat", path) }
        return Int(info.st_size)
    }
}

extension DiskError {
    /// Of the call that has just failed.
    fileprivate init(_ operation: String, _ file: String) {
        self.init(operation: operation, file: file, code: errno)
    }
}
