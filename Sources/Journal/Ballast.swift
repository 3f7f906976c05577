// Room on the disk that nobody else can take: a file that means nothing. When a disk is full it is given up, so that
// what is in the log can still be put into the database and the log goes on in the same files. It is there again when
// there is room.

struct Ballast {
    static let fileName = "ballast"
    private static let bytes = 4 << 20

    private let disk: any Disk
    private var isThere = false

    init(disk: any Disk) { self.disk = disk }

    /// All of it or, when there is no room for all, nothing.
    mutating func takeOn() throws(DiskError) {
        guard !isThere else { return }
        let file = try disk.create(Self.fileName)
        do throws(DiskError) {
            try fill(file)
        } catch {
            try disk.remove(Self.fileName)
            throw error
        }
        isThere = true
    }

    private func fill(_ file: any DiskFile) throws(DiskError) {
        let zeros = [UInt8](repeating: 0, count: 65_536)
        for offset in stride(from: 0, to: Self.bytes, by: zeros.count) {
            try zeros.withUnsafeBufferPointer { zeros throws(DiskError) in
                try file.write(UnsafeRawBufferPointer(zeros), at: offset)
            }
        }
    }

    mutating func dump() throws(DiskError) {
        guard isThere else { return }
        try disk.remove(Self.fileName)
        isThere = false
    }
}
