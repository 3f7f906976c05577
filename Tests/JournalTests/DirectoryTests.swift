// What a data directory has besides its state: a lock, a ballast, files past the page cache.

import Coordination
import Glibc
import Testing

@testable import Journal

@Suite struct DirectoryTests {
    private let directory = TemporaryDirectory()

    @Test func `A directory is one daemon's, until that ends`() throws {
        let path = directory.path
        do {
            let lock = try DirectoryLock(path: path)
            #expect(
                complaint { () throws(JournalError) in _ = try DirectoryLock(path: path) }
                    == "the data directory \(path) is in use by another daemon")
            withExtendedLifetime(lock) {}
        }
        _ = try DirectoryLock(path: path)
        #expect(try directory.names == ["lock"])
    }

    @Test func `A directory that is not there is made, for its owner alone`() throws {
        let path = directory.path + "/data"
        do { _ = try DirectoryLock(path: path) }
        var info = stat()
        #expect(stat(path, &info) == 0 && info.st_mode & 0o777 == 0o700)
        #expect(unlink(path + "/lock") == 0 && rmdir(path) == 0)
    }

    @Test func `What can't be a data directory says why`() throws {
        try directory.put([1], into: "file")
        let path = directory.path
        for (place, sentence) in [
            (path + "/file", "\(path)/file is no directory"),
            (path + "/file/x", "can't make the data directory \(path)/file/x: Not a directory"),
            (path + "/no/x", "can't make the data directory \(path)/no/x: No such file or directory"),
        ] {
            #expect(complaint { () throws(JournalError) in _ = try DirectoryLock(path: place) } == sentence)
        }
        #expect(try directory.names == ["file"])
    }

    @Test func `The ballast takes room, gives it up, and takes it again`() throws {
        var ballast = Ballast(disk: directory.disk)
        try ballast.dump()
        for _ in 0..<2 {
            try ballast.takeOn()
            try ballast.takeOn()
            #expect(try directory.bytes(of: Ballast.fileName).count == 4 << 20)
            try ballast.dump()
            try ballast.dump()
            #expect(try directory.names == [])
        }
    }

    @Test func `A ballast that there was no room for takes none`() throws {
        let disk = FaultyDisk(directory)
        var ballast = Ballast(disk: disk)
        disk.change { $0.writeError = ENOSPC }
        #expect(throws: DiskError.self) { try ballast.takeOn() }
        #expect(try directory.names == [])
        disk.change { $0.writeError = 0 }
        try ballast.takeOn()
        #expect(try directory.bytes(of: Ballast.fileName).count == 4 << 20)
    }

    @Test func `A log that goes past the page cache has in it what was written, in order and one after the other`()
        throws
    {
        for (number, sizes) in [
            [1, 1, 1], [4_096], [4_095, 1, 1], [4_097, 8_192, 3], [100_000], [8, 4_080, 8, 4_096, 16],
        ].enumerated() {
            let file = try directory.disk.createLog("log \(number)", syncs: true)
            var expected: [UInt8] = []
            for (index, size) in sizes.enumerated() {
                let bytes = [UInt8](repeating: UInt8(index + 1), count: size)
                try bytes.withUnsafeBytes { try file.write($0, at: expected.count) }
                expected += bytes
                let written = try directory.bytes(of: "log \(number)")
                #expect(Array(written.prefix(expected.count)) == expected, "\(sizes)")
                #expect(written.dropFirst(expected.count).allSatisfy { $0 == 0 })
            }
        }
    }
}
