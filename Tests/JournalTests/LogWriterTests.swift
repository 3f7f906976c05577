import Coordination
import Glibc
import Testing

@testable import Journal

@Suite struct LogWriterTests {
    private let directory = TemporaryDirectory()
    private let disk: FaultyDisk

    init() { disk = FaultyDisk(directory) }

    private func segment(_ number: UInt32, bytes: Int = 4_096) throws -> Segment {
        Segment(number: number, file: try disk.create(LogFormat.name(ofSegment: number)), bytes: bytes)
    }

    private func frame(_ revisions: ClosedRange<UInt64>) -> [UInt8] {
        [UInt8](repeating: 0, count: LogFormat.headerBytes) + transactions(revisions)
    }

    private func header(_ name: String, at offset: Int, segment: UInt32) throws -> FrameHeader? {
        try directory.bytes(of: name).withUnsafeBytes { FrameHeader($0, at: offset, identity: 7, segment: segment) }
    }

    private func commit(_ writer: inout LogWriter, _ revisions: ClosedRange<UInt64>) throws {
        var frame = frame(revisions)
        try writer.commit(&frame, upTo: Revision(revisions.upperBound))
    }

    @Test func `Each commit is one write and one sync behind the last, at a multiple of eight`() throws {
        var writer = LogWriter(identity: 7, syncs: true, first: try segment(1), durable: Revision(4))
        try commit(&writer, 5...5)
        let first = writer.usedBytes
        try commit(&writer, 6...8)
        #expect(first % 8 == 0 && writer.usedBytes % 8 == 0)
        #expect(
            disk.takeOperations() == [
                "write log.0000000001 at 0", "sync log.0000000001",
                "write log.0000000001 at \(first)", "sync log.0000000001",
            ])
        #expect(writer.durable == Revision(8))
        let headers = [
            try header("log.0000000001", at: 0, segment: 1), try header("log.0000000001", at: first, segment: 1),
        ]
        #expect(headers.map { $0?.first } == [Revision(5), Revision(6)])
        #expect(headers.map { $0?.last } == [Revision(5), Revision(8)])
        #expect(headers.map { $0?.durable } == [Revision(4), Revision(5)])
    }

    @Test func `Without syncs nothing is synced, and no frame says that anything was durable`() throws {
        var writer = LogWriter(identity: 7, syncs: false, first: try segment(1), durable: Revision(4))
        try commit(&writer, 5...5)
        let first = writer.usedBytes
        try commit(&writer, 6...6)
        #expect(
            disk.takeOperations() == ["write log.0000000001 at 0", "write log.0000000001 at \(first)"])
        #expect(try header("log.0000000001", at: first, segment: 1)?.durable == .zero)
        #expect(try header("log.0000000001", at: first, segment: 1)?.first == Revision(6))
    }

    @Test func `What could not be written is written again at the same place, and is the same`() throws {
        var writer = LogWriter(identity: 7, syncs: true, first: try segment(1), durable: .zero)
        try commit(&writer, 1...1)
        let place = writer.usedBytes
        _ = disk.takeOperations()
        var frame = frame(2...2)
        let before = frame.count
        disk.change { $0.writeError = ENOSPC }
        for _ in 0..<2 {
            do throws(LogWriter.CommitFailure) {
                try writer.commit(&frame, upTo: Revision(2))
                Issue.record("it was written")
            } catch {
                #expect(error.mayRetry && error.error.code == ENOSPC)
            }
            #expect(frame.count == before && writer.usedBytes == place && writer.durable == Revision(1))
        }
        disk.change { $0.writeError = 0 }
        try writer.commit(&frame, upTo: Revision(2))
        let write = "write log.0000000001 at \(place)"
        #expect(disk.takeOperations() == [write, write, write, "sync log.0000000001"])
        #expect(try header("log.0000000001", at: place, segment: 1)?.last == Revision(2))
    }

    @Test func `What could not be synced may not be tried again, whatever the reason`() throws {
        for code in [EIO, ENOSPC, EDQUOT] {
            disk.change { $0.syncError = 0 }
            var writer = LogWriter(identity: 7, syncs: true, first: try segment(1), durable: .zero)
            disk.change { $0.syncError = code }
            var frame = frame(1...1)
            do throws(LogWriter.CommitFailure) {
                try writer.commit(&frame, upTo: Revision(1))
                Issue.record("it was synced")
            } catch {
                #expect(!error.mayRetry && error.error.code == code)
            }
            #expect(writer.durable == .zero)
        }
    }

    @Test func `A full segment grows until the next one is ready, and is left with the first commit after`() throws {
        var writer = LogWriter(identity: 7, syncs: true, first: try segment(1, bytes: 64), durable: .zero)
        try commit(&writer, 1...1)
        #expect(writer.isFull && writer.needsNext && writer.preparedBytes == 0)
        let first = writer.usedBytes
        try commit(&writer, 2...2)
        #expect(writer.currentNumber == 1 && writer.usedBytes > first)
        #expect(writer.takeClosed().isEmpty)

        writer.setNext(try segment(2))
        #expect(!writer.needsNext && writer.preparedBytes == 4_096)
        #expect(writer.currentNumber == 1)
        try commit(&writer, 3...3)
        #expect(writer.currentNumber == 2 && writer.needsNext && !writer.isFull)
        #expect(writer.preparedBytes == 4_096 - writer.usedBytes)
        #expect(writer.takeClosed().map(\.number) == [1])
        #expect(writer.takeClosed().isEmpty)
        #expect(try header("log.0000000002", at: 0, segment: 2)?.first == Revision(3))
    }

    @Test func `An empty segment is not closed, and none without a next one`() throws {
        var writer = LogWriter(identity: 7, syncs: true, first: try segment(1), durable: .zero)
        writer.close()
        try commit(&writer, 1...1)
        writer.close()
        #expect(writer.currentNumber == 1 && writer.takeClosed().isEmpty)
        writer.setNext(try segment(2))
        writer.close()
        #expect(writer.currentNumber == 2 && writer.takeClosed().map(\.number) == [1])
        writer.setNext(try segment(3))
        writer.close()
        #expect(writer.currentNumber == 2 && writer.takeClosed().isEmpty)
    }

    @Test func `The clock is noted without a sync, and changes go on behind it`() throws {
        var writer = LogWriter(identity: 7, syncs: true, first: try segment(1), durable: Revision(3))
        try writer.note(moment(9))
        #expect(disk.takeOperations() == ["write log.0000000001 at 0"])
        let noted = try #require(try header("log.0000000001", at: 0, segment: 1))
        #expect(noted.isClock && noted.last == Revision(3))
        #expect(writer.durable == Revision(3))
        let place = writer.usedBytes
        try commit(&writer, 4...4)
        #expect(try header("log.0000000001", at: place, segment: 1)?.first == Revision(4))
    }
}
