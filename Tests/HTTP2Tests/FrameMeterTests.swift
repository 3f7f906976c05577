// The meter counts frames by their headers, whatever pieces the bytes arrive in.

import Testing

@testable import HTTP2

struct FrameMeterTests {
    /// A frame with a payload of so many bytes.
    private func frame(_ payload: Int) -> [UInt8] {
        [UInt8(payload >> 16), UInt8(payload >> 8 & 255), UInt8(payload & 255), 0, 0, 0, 0, 0, 1]
            + [UInt8](repeating: 0xff, count: payload)
    }

    private func count(_ meter: inout FrameMeter, _ bytes: some Collection<UInt8>) -> Int {
        Array(bytes).withUnsafeBytes { meter.count($0) }
    }

    @Test("The preface of a client is no frame")
    func preface() {
        var meter = FrameMeter(expectsPreface: true)
        #expect(count(&meter, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) == 0)
        #expect(count(&meter, frame(0)) == 1)
    }

    @Test("A server sends no preface")
    func noPreface() {
        var meter = FrameMeter(expectsPreface: false)
        #expect(count(&meter, frame(0) + frame(300)) == 2)
    }

    @Test("Frames are counted alike whatever pieces their bytes arrive in", arguments: [1, 2, 7, 9, 10, 4_096])
    func pieces(size: Int) {
        let bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8 + [0, 1, 9, 70_000, 0, 16_384].flatMap(frame)
        var meter = FrameMeter(expectsPreface: true)
        var frames = 0
        for start in stride(from: 0, to: bytes.count, by: size) {
            frames += count(&meter, bytes[start..<min(start + size, bytes.count)])
        }
        #expect(frames == 6)
    }
}
