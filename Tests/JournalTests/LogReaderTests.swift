import Testing

@testable import Coordination
@testable import Journal

/// What stands in a segment, from its beginning.
private enum Piece {
    /// The changes of these revisions, and what was durable when they were written.
    case frame(ClosedRange<UInt64>, durable: UInt64)
    case clock(after: UInt64, second: Int64)
    /// The frame with a bit of its payload flipped, and without its second half.
    indirect case flipped(Piece)
    indirect case torn(Piece)
    /// As it stood in this segment, or in this directory, before.
    indirect case ofSegment(UInt32, Piece)
    indirect case ofDirectory(UInt32, Piece)
    case zeros(Int)
    /// A frame that is sealed and whose payload is this.
    case payload([UInt8], ClosedRange<UInt64>)
}

@Suite struct LogReaderTests {
    @Test func `The end of the log is where it can't be read on, and damage is what was durable`() throws {
        for (name, segments, known, expected): (String, [[Piece]], UInt64, String) in [
            ("no segment", [], 0, "to 0"),
            ("an empty segment", [[]], 0, "to 0"),
            ("a segment of zeros", [[.zeros(4_096)]], 5, "to 5"),
            (
                "frames one after the other", [[.frame(1...1, durable: 0), .frame(2...4, durable: 1)]], 0,
                "1 2 3 4 to 4"
            ),
            (
                "segments in their order", [[.frame(1...2, durable: 0)], [.frame(3...3, durable: 2)]], 0,
                "1 2 3 to 3"
            ),
            (
                "what the database has is skipped", [[.frame(1...1, durable: 0), .frame(2...3, durable: 1)]], 1,
                "2 3 to 3"
            ),
            ("a frame that the database has a part of", [[.frame(1...4, durable: 0)]], 2, "3 4 to 4"),
            ("the database has all", [[.frame(1...4, durable: 0)]], 9, "to 9"),
            (
                "a torn tail is the end", [[.frame(1...1, durable: 0), .torn(.frame(2...2, durable: 1))]], 0,
                "1 to 1"
            ),
            (
                "a tail of another life of the file",
                [[.frame(1...1, durable: 0), .ofSegment(0, .frame(2...2, durable: 1))]], 0, "1 to 1"
            ),
            (
                "another directory's log",
                [[.ofDirectory(8, .frame(1...1, durable: 0)), .ofDirectory(8, .frame(2...2, durable: 1))]], 0,
                "to 0"
            ),
            (
                "a later frame whose writer did not know that the torn one was durable",
                [[.frame(1...1, durable: 0), .torn(.frame(2...2, durable: 1)), .frame(3...3, durable: 1)]], 0,
                "1 to 1"
            ),
            (
                "a later frame whose writer did",
                [[.frame(1...1, durable: 0), .flipped(.frame(2...2, durable: 1)), .frame(3...3, durable: 2)]], 0,
                "log.0000000001 at byte 96 is damaged: the changes after revision 1 were on disk, and can't be read"
            ),
            (
                "the first frame is unreadable",
                [[.flipped(.frame(1...1, durable: 0)), .frame(2...2, durable: 1)]], 0,
                "log.0000000001 at byte 0 is damaged: the changes after revision 0 were on disk, and can't be read"
            ),
            (
                "what is unreadable is in the database",
                [[.flipped(.frame(1...1, durable: 0)), .frame(2...2, durable: 1)]], 1, "2 to 2"
            ),
            (
                "a segment is missing", [[], [.frame(4...4, durable: 3)]], 2,
                "log.0000000002 is damaged: the changes after revision 2 were on disk, and can't be read"
            ),
            (
                "a segment is missing, and only the clock tells", [[.clock(after: 3, second: 1)]], 2,
                "log.0000000001 is damaged: the changes after revision 2 were on disk, and can't be read"
            ),
            (
                "the clock goes on", [[.frame(1...1, durable: 0), .clock(after: 1, second: 9)]], 0,
                "1 clock 9 to 1"
            ),
            ("the clock alone", [[.clock(after: 5, second: 9)]], 5, "clock 9 to 5"),
            (
                "a clock that changes have overtaken", [[.frame(1...1, durable: 0), .clock(after: 1, second: 9)]],
                2, "to 2"
            ),
            (
                "without syncs nothing claims to be durable",
                [[.frame(1...1, durable: 0), .flipped(.frame(2...2, durable: 0)), .frame(3...3, durable: 0)]], 0,
                "1 to 1"
            ),
            (
                "a frame that is sealed and makes no sense", [[.payload([9, 9, 9, 9, 9], 1...1)]], 0,
                "log.0000000001 is damaged: a change after revision 0 makes no sense"
            ),
            (
                "a frame that holds less than it says", [[.payload(transactions(1...3), 1...5)]], 0,
                "log.0000000001 is damaged: it should go to revision 5, not 3"
            ),
            (
                "a frame that holds more than it says", [[.payload(transactions(1...3), 1...2)]], 0,
                "log.0000000001 is damaged: it should go to revision 2, not 3"
            ),
        ] {
            #expect(try read(segments, after: known) == expected, "\(name)")
        }
    }

    @Test func `Segments are found by name, in order, among whatever else is there`() throws {
        let directory = TemporaryDirectory()
        for name in ["log.0000000010", "log.0000000002", "log.x", "agentkeeper.db", "log.3"] {
            try directory.put([], into: name)
        }
        #expect(try LogReader.segments(on: directory.disk) == [2, 10])
    }

    @Test func `A segment that is not there is an error of the disk that names it`() throws {
        let directory = TemporaryDirectory()
        let reader = LogReader(disk: directory.disk, identity: 7)
        let complaint = complaint { () throws(JournalError) in
            _ = try reader.replay([4], after: .zero) { _ throws(JournalError) in }
        }
        #expect(complaint == "\(directory.path)/log.0000000004: open failed: No such file or directory")
    }

    /// What is handed over, and the end; or what is wrong, as far as the sentence is about the log.
    private func read(_ segments: [[Piece]], after known: UInt64) throws -> String {
        let directory = TemporaryDirectory()
        for (index, pieces) in segments.enumerated() {
            let number = UInt32(index + 1)
            let bytes = pieces.flatMap { self.bytes($0, segment: number, identity: 7) }
            try directory.put(bytes, into: LogFormat.name(ofSegment: number))
        }
        let reader = LogReader(disk: directory.disk, identity: 7)
        var words: [String] = []
        let numbers = try LogReader.segments(on: directory.disk)
        do throws(JournalError) {
            let end = try reader.replay(numbers, after: Revision(known)) { record throws(JournalError) in
                switch record {
                case .transaction(let transaction): words.append("\(transaction.revision.value)")
                case .clock(let moment): words.append("clock \(moment.instant.nanoseconds / 1_000_000_000)")
                }
            }
            return (words + ["to \(end.value)"]).joined(separator: " ")
        } catch {
            guard case .damaged(let reason) = error else { throw error }
            return reason
        }
    }

    private func bytes(_ piece: Piece, segment: UInt32, identity: UInt32) -> [UInt8] {
        func frame(_ payload: [UInt8], _ first: UInt64, _ last: UInt64, _ durable: UInt64) -> [UInt8] {
            let header = FrameHeader(
                identity: identity, segment: segment, first: Revision(first), last: Revision(last),
                durable: Revision(durable), payloadBytes: payload.count)
            let bytes = sealed(header, payload)
            return bytes + [UInt8](repeating: 0, count: LogFormat.padded(bytes.count) - bytes.count)
        }
        switch piece {
        case .frame(let revisions, let durable):
            return frame(transactions(revisions), revisions.lowerBound, revisions.upperBound, durable)
        case .payload(let payload, let revisions):
            return frame(payload, revisions.lowerBound, revisions.upperBound, 0)
        case .clock(let revision, let second):
            var writer = ByteWriter()
            writer.fixed(moment(second).instant.nanoseconds)
            writer.fixed(moment(second).wall.nanoseconds)
            return frame(writer.bytes, revision + 1, revision, revision)
        case .flipped(let piece):
            var bytes = self.bytes(piece, segment: segment, identity: identity)
            bytes[LogFormat.headerBytes + 8] ^= 0x10
            return bytes
        case .torn(let piece):
            var bytes = self.bytes(piece, segment: segment, identity: identity)
            for index in bytes.count / 2..<bytes.count { bytes[index] = 0 }
            return bytes
        case .ofSegment(let other, let piece): return bytes(piece, segment: other, identity: identity)
        case .ofDirectory(let other, let piece): return bytes(piece, segment: segment, identity: other)
        case .zeros(let count): return [UInt8](repeating: 0, count: count)
        }
    }
}

/// One small change for each of these revisions.
func transactions(_ revisions: ClosedRange<UInt64>) -> [UInt8] {
    var recorder = ChangeRecorder()
    recorder.begin(after: Revision(revisions.lowerBound - 1))
    for revision in revisions {
        recorder.record(
            .leaseEnded(TaskID("task \(revision % 10)")), at: moment(Int64(revision)), oldestEvent: Sequence(1))
        recorder.end()
    }
    var bytes: [UInt8] = []
    recorder.take(into: &bytes)
    return bytes
}
