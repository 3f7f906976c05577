// One daemon a directory. The lock is the kernel's (flock) and goes with the process, however that ends; the
// file that it is on stays, and means nothing.

import Glibc

package final class DirectoryLock: Sendable {
    private let descriptor: Int32

    /// Makes the directory if it isn't there, and takes it for this process.
    ///
    /// - Throws: `inUse`, or `unusable` with the reason.
    package init(path: String) throws(JournalError) {
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw .unusable("can't make the data directory \(path): \(String(cString: strerror(errno)))")
        }
        var info = stat()
        guard stat(path, &info) == 0 else {
            throw .unusable("can't use the data directory \(path): \(String(cString: strerror(errno)))")
        }
        guard info.st_mode & S_IFMT == S_IFDIR else { throw .unusable("\(path) is no directory") }
        try Self.refuseForeignDatabase(in: path)
        descriptor = Glibc.open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw .unusable("can't write to the data directory \(path): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let error: JournalError =
                errno == EWOULDBLOCK
                ? .inUse(directory: path) : .unusable("can't lock \(path)/lock: \(String(cString: strerror(errno)))")
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    /// Before anything is made there.
    private static func refuseForeignDatabase(in path: String) throws(JournalError) {
        let disk = PosixDisk(path: path)
        guard access(path + "/" + Schema.fileName, F_OK) == 0 else { return }
        let file = try onDisk { () throws(DiskError) in try disk.open(Schema.fileName) }
        try Schema.checkHeader(of: file, named: path + "/" + Schema.fileName)
    }
}
