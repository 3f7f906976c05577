import Coordination
import Testing

@testable import Journal

@Suite struct LogFormatTests {
    @Test func `A segment's name is its number in ten digits, and no other name is a segment`() {
        for (number, name): (UInt32, String) in [
            (0, "log.0000000000"), (1, "log.0000000001"), (4_294_967_294, "log.4294967294"),
        ] {
            #expect(LogFormat.name(ofSegment: number) == name)
            #expect(LogFormat.number(ofSegment: name) == number)
        }
        for other in [
            "", "log", "log.", "log.1", "log.00000000001", "log.4294967295", "log.4294967296", "log.+000000001", "log.000000000a",
            "log.-000000001", "Log.0000000001", "log.0000000001~", "agentkeeper.db", "ballast", "lock",
        ] {
            #expect(LogFormat.number(ofSegment: other) == nil, "\(other)")
        }
    }

    @Test func `Names sort as numbers do`() {
        let numbers: [UInt32] = [0, 9, 10, 99, 100_000, 4_294_967_295]
        let names = numbers.map(LogFormat.name(ofSegment:))
        #expect(names == names.sorted())
    }

    @Test func `A frame that was sealed is found again`() {
        let header = FrameHeader(
            identity: 0xfedc_ba98, segment: 3, first: Revision(5), last: Revision(.max), durable: Revision(4),
            payloadBytes: 5)
        let frame = sealed(header, [1, 2, 3, 4, 5])
        #expect(find(frame, identity: 0xfedc_ba98, segment: 3) == header)
        // Wherever it stands, and whatever stands around it.
        let among = [UInt8](repeating: 0xaa, count: 24) + frame + [UInt8](repeating: 0xbb, count: 24)
        #expect(find(among, at: 24, identity: 0xfedc_ba98, segment: 3) == header)
        #expect(find(among, at: 16, identity: 0xfedc_ba98, segment: 3) == nil)
    }

    @Test func `A frame of another segment or another directory is none`() {
        let frame = sealed(header(segment: 3), [1, 2, 3])
        #expect(find(frame, identity: 7, segment: 3) != nil)
        #expect(find(frame, identity: 7, segment: 2) == nil)
        #expect(find(frame, identity: 7, segment: 4) == nil)
        #expect(find(frame, identity: 8, segment: 3) == nil)
    }

    @Test func `A frame with any bit flipped is none`() {
        let frame = sealed(header(segment: 3), [1, 2, 3])
        for bit in 0..<frame.count * 8 {
            var damaged = frame
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(find(damaged, identity: 7, segment: 3) == nil, "bit \(bit)")
        }
    }

    @Test func `A frame that is cut short is none`() {
        let frame = sealed(header(segment: 3), [1, 2, 3])
        for count in 0..<frame.count {
            #expect(find(Array(frame[..<count]), identity: 7, segment: 3) == nil, "\(count) bytes")
        }
    }

    @Test func `Zeros are no frame, not even of segment 0 of directory 0`() {
        #expect(find([UInt8](repeating: 0, count: 4_096), identity: 0, segment: 0) == nil)
    }

    @Test func `A frame that ends before it begins is a clock, and has the bytes of one`() {
        var clock = header(segment: 3)
        (clock.first, clock.last) = (Revision(9), Revision(8))
        clock.payloadBytes = FrameHeader.clockBytes
        let now = moment(77)
        var writer = ByteWriter()
        writer.fixed(now.instant.nanoseconds)
        writer.fixed(now.wall.nanoseconds)
        let frame = sealed(clock, writer.bytes)
        let found = find(frame, identity: 7, segment: 3)
        #expect(found?.isClock == true)
        let read = frame.withUnsafeBytes { found?.moment($0, at: LogFormat.headerBytes) }
        #expect(read?.instant == now.instant && read?.wall == now.wall)
        clock.payloadBytes = 8
        #expect(find(sealed(clock, Array(writer.bytes[..<8])), identity: 7, segment: 3) == nil)
    }

    private func header(segment: UInt32) -> FrameHeader {
        FrameHeader(
            identity: 7, segment: segment, first: Revision(1), last: Revision(2), durable: Revision(0),
            payloadBytes: 3)
    }

    private func find(_ bytes: [UInt8], at offset: Int = 0, identity: UInt32, segment: UInt32) -> FrameHeader? {
        bytes.withUnsafeBytes { FrameHeader($0, at: offset, identity: identity, segment: segment) }
    }
}

/// A frame as it stands in a segment, without what fills it up.
func sealed(_ header: FrameHeader, _ payload: [UInt8]) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: LogFormat.headerBytes) + payload
    frame.withUnsafeMutableBytes { header.seal($0) }
    return frame
}
