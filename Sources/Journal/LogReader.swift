// Reads segments back: at the start what a crash left, and while the daemon runs what is to be put into the
// database. One rule tells the end of the log from damage: a frame that doesn't follow on what was read
// before it is ignored if it was written before that was durable, and proof of a loss if it was written after.

import Coordination

struct LogReader {
    private let disk: any Disk
    private let identity: UInt32

    init(disk: any Disk, identity: UInt32) {
        self.disk = disk
        self.identity = identity
    }

    /// The numbers of the segments that are there, in order.
    static func segments(on disk: any Disk) throws(JournalError) -> [UInt32] {
        try onDisk { () throws(DiskError) in try disk.list() }.compactMap(LogFormat.number(ofSegment:)).sorted()
    }

    enum Record {
        case transaction(Transaction)
        /// The clock went on to here, and nothing was changed.
        case clock(Moment)
    }

    /// Hands over the transactions of these segments in their order, from the first one after `revision` on.
    ///
    /// - Parameter lengths: how much of a segment was written, for those of which it is known. The rest of others is searched.
    /// - Returns: the last revision, which is `revision` when there was nothing new.
    /// - Throws: `damaged` when something is missing or unreadable that was durable once, and what `body` throws.
    func replay(
        _ segments: [UInt32], lengths: [UInt32: Int] = [:], after revision: Revision,
        _ body: (Record) throws(JournalError) -> Void
    ) throws(JournalError) -> Revision {
        var reached = revision
        /// Where reading first failed since something was read.
        var doubt: String?
        for number in segments {
            let name = LogFormat.name(ofSegment: number)
            let contents = try contents(of: name, upTo: lengths[number])
            try contents.withUnsafeBufferPointer { buffer throws(JournalError) in
                let bytes = UnsafeRawBufferPointer(buffer)
                var offset = 0
                while offset < bytes.count {
                    guard let frame = FrameHeader(bytes, at: offset, identity: identity, segment: number) else {
                        doubt = doubt ?? "\(name) at byte \(offset)"
                        offset += LogFormat.alignment
                        continue
                    }
                    let start = offset + LogFormat.headerBytes
                    offset += LogFormat.padded(LogFormat.headerBytes + frame.payloadBytes)
                    if frame.first.value > reached.value + 1 {
                        guard frame.durable > reached else { continue }
                        throw .damaged(
                            "\(doubt ?? name) is damaged: the changes after revision \(reached.value) "
                                + "were on disk, and can't be read")
                    }
                    if frame.isClock {
                        if frame.last == reached { try body(.clock(frame.moment(bytes, at: start))) }
                        continue
                    }
                    if frame.last <= reached { continue }
                    let payload = UnsafeRawBufferPointer(rebasing: bytes[start..<start + frame.payloadBytes])
                    try deliver(payload, after: reached, upTo: frame.last, name, body)
                    reached = frame.last
                    doubt = nil
                }
            }
        }
        return reached
    }

    private func deliver(
        _ payload: UnsafeRawBufferPointer, after revision: Revision, upTo last: Revision, _ name: String,
        _ body: (Record) throws(JournalError) -> Void
    ) throws(JournalError) {
        var reader = ByteReader(payload)
        var reached = revision
        while !reader.isAtEnd {
            let transaction: Transaction
            do throws(ByteReader.Malformed) {
                transaction = try Transaction(from: &reader)
            } catch {
                throw .damaged("\(name) is damaged: a change after revision \(reached.value) makes no sense")
            }
            guard transaction.revision > reached else { continue }
            try body(.transaction(transaction))
            reached = transaction.revision
        }
        guard reached == last else {
            throw .damaged("\(name) is damaged: it should go to revision \(last.value), not \(reached.value)")
        }
    }

    private func contents(of name: String, upTo length: Int?) throws(JournalError) -> [UInt8] {
        try onDisk { () throws(DiskError) in
            let file = try disk.open(name)
            let size = if let length { length } else { try file.size() }
            var contents = [UInt8](repeating: 0, count: size)
            let count = try contents.withUnsafeMutableBufferPointer { bytes throws(DiskError) in
                try file.read(into: UnsafeMutableRawBufferPointer(bytes), at: 0)
            }
            contents.removeLast(contents.count - count)
            return contents
        }
    }
}
