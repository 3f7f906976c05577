// The files of a data directory, as the journal uses them: so little that a simulation can stand in for the
// disk and lose, tear and refuse whatever a real one may.
//
// What is written is durable after `sync` of that file; that a file is there, or is gone, after
// `syncDirectory`. Nothing else is promised: without these, any part of any write may be on disk after a
// crash or not.

/// A file operation that failed; `code` is errno.
package struct DiskError: Error, Sendable {
    package let operation: String
    package let file: String
    package let code: Int32

    package init(operation: String, file: String, code: Int32) {
        self.operation = operation
        self.file = file
        self.code = code
    }
}

package protocol Disk: AnyObject, Sendable {
    /// The names of all files there.
    func list() throws(DiskError) -> [String]
    /// Opens a file to read and write, making it if it isn't there.
    func create(_ name: String) throws(DiskError) -> any DiskFile
    /// The same, for a file that is written from its beginning to its end, each write where the last one ended, and each
    /// synced. It may take care of the syncs itself.
    func createLog(_ name: String, syncs: Bool) throws(DiskError) -> any DiskFile
    /// Opens a file that is there, to read.
    func open(_ name: String) throws(DiskError) -> any DiskFile
    /// The file of the new name, if there is one, is replaced.
    func rename(_ name: String, to newName: String) throws(DiskError)
    func remove(_ name: String) throws(DiskError)
    func syncDirectory() throws(DiskError)
    /// Bytes that may still be written.
    func freeBytes() throws(DiskError) -> Int
    /// How SQLite finds a file there: its path, and the VFS when it isn't SQLite's own.
    func databaseLocation(_ name: String) -> (path: String, vfs: String?)
}

package protocol DiskFile: AnyObject, Sendable {
    /// Writes all of the bytes; the file grows as needed.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError)
    /// What was written is on disk on return, and what is needed to find it.
    func sync() throws(DiskError)
    /// Reads up to as many bytes as there is room for; fewer only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int
    func size() throws(DiskError) -> Int
    /// Whether what was written is on disk when `write` returns.
    var syncsEachWrite: Bool { get }
}

extension DiskFile {
    package var syncsEachWrite: Bool { false }
}

extension Disk {
    package func createLog(_ name: String, syncs: Bool) throws(DiskError) -> any DiskFile { try create(name) }
}
