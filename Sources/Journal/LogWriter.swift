// Appends frames to the log, one commit each, and moves from segment to segment.
//
// The writer never waits for a new segment: the next one is made ready beforehand, by whoever puts closed
// segments into the database, and while there is none the present one grows. What failed to be written is
// written again at the same place; what failed to be synced can never be trusted again, and ends the process.

import Coordination

/// A segment that is ready to be written: its blocks are there.
struct Segment: Sendable {
    let number: UInt32
    let file: any DiskFile
    let bytes: Int
    /// How much of it was written, once it is closed.
    var usedBytes = 0
}

struct LogWriter: ~Copyable {
    private let identity: UInt32
    private let syncs: Bool
    private var current: Segment
    private var next: Segment?
    private var closed: [Segment] = []
    private var offset = 0
    private(set) var durable: Revision

    /// - Parameter syncs: whether each commit waits for the disk.
    init(identity: UInt32, syncs: Bool, first: Segment, durable: Revision) {
        self.identity = identity
        self.syncs = syncs
        current = first
        self.durable = durable
    }

    /// How much of the present segment is used.
    var usedBytes: Int { offset }
    var isFull: Bool { offset >= current.bytes }
    /// What can be written without the disk having to find room for it.
    var preparedBytes: Int { max(0, current.bytes - offset) + (next?.bytes ?? 0) }
    var needsNext: Bool { next == nil }
    var currentNumber: UInt32 { current.number }
    var segmentBytes: Int { current.bytes }

    mutating func setNext(_ segment: Segment) {
        precondition(next == nil && segment.number == current.number + 1)
        next = segment
    }

    /// Writes one frame, and returns when it is durable. If it can't be written nothing has changed.
    ///
    /// - Parameter frame: room for the header, and behind it the changes.
    mutating func commit(_ frame: inout [UInt8], upTo last: Revision) throws(CommitFailure) {
        if isFull { close() }
        let bytes = frame.count
        do throws(DiskError) {
            try write(&frame, upTo: last)
        } catch {
            frame.removeLast(frame.count - bytes)
            throw CommitFailure(error: error, mayRetry: true)
        }
        if syncs, !current.file.syncsEachWrite {
            do throws(DiskError) {
                try current.file.sync()
            } catch {
                throw CommitFailure(error: error, mayRetry: false)
            }
        }
        offset += frame.count
        durable = last
    }

    /// Writes a frame that says what time it is, and does not wait for it.
    mutating func note(_ moment: Moment) throws(DiskError) {
        var writer = ByteWriter()
        for _ in 0..<LogFormat.headerBytes { writer.byte(0) }
        writer.fixed(moment.instant.nanoseconds)
        writer.fixed(moment.wall.nanoseconds)
        var frame = writer.bytes
        try write(&frame, upTo: durable)
        offset += frame.count
    }

    private func write(_ frame: inout [UInt8], upTo last: Revision) throws(DiskError) {
        let header = FrameHeader(
            identity: identity, segment: current.number, first: Revision(durable.value + 1), last: last,
            durable: syncs ? durable : .zero, payloadBytes: frame.count - LogFormat.headerBytes)
        frame.append(contentsOf: repeatElement(0, count: LogFormat.padded(frame.count) - frame.count))
        frame.withUnsafeMutableBytes { header.seal($0) }
        try frame.withUnsafeBufferPointer { bytes throws(DiskError) in
            try current.file.write(UnsafeRawBufferPointer(bytes), at: offset)
        }
    }

    struct CommitFailure: Error {
        let error: DiskError
        /// Whether the frame may be written again; not when it was written and could not be synced.
        let mayRetry: Bool
    }

    /// Goes on in the next segment, if that is ready and there is anything in the present one.
    mutating func close() {
        guard offset > 0, let next else { return }
        current.usedBytes = offset
        closed.append(current)
        current = next
        self.next = nil
        offset = 0
    }

    /// The segments that nothing is written to any more.
    mutating func takeClosed() -> [Segment] {
        let taken = closed
        closed = []
        return taken
    }
}
