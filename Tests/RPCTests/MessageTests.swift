// Messages on the wire: framing, gzip, and the queue of bytes beneath.

import Testing

@testable import RPC

struct MessageReaderTests {
    private enum Said: Equatable {
        case message([UInt8])
        case incomplete
        case failed(Status.Code)
    }

    private func next(_ reader: inout MessageReader, encoding: MessageEncoding = .identity, limit: Int = 100) -> Said {
        switch reader.next(encoding: encoding, limit: limit) {
        case .message(let bytes): .message(Array(bytes))
        case .incomplete: .incomplete
        case .failed(let status): .failed(status.code)
        }
    }

    private func append(_ reader: inout MessageReader, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { reader.append($0) }
    }

    @Test("Messages are read whatever pieces they come in", arguments: 1...12)
    func pieces(size: Int) {
        let stream: [UInt8] = [0, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]
        var reader = MessageReader()
        var messages: [[UInt8]] = []
        for start in stride(from: 0, to: stream.count, by: size) {
            append(&reader, Array(stream[start..<min(start + size, stream.count)]))
            while case .message(let message) = next(&reader) { messages.append(message) }
        }
        #expect(messages == [[1, 2, 3], [], [9]])
        #expect(reader.hasRest == false)
        #expect(reader.bufferedBytes == 0)
    }

    @Test("A length above the limit is refused from the prefix")
    func tooLong() {
        var reader = MessageReader()
        append(&reader, [0, 0, 0, 0, 101])
        #expect(reader.firstMessageProblem(limit: 100)?.code == .resourceExhausted)
        #expect(next(&reader) == .failed(.resourceExhausted))
    }

    @Test("A second message is told where one is allowed")
    func second() {
        var reader = MessageReader()
        append(&reader, [0, 0, 0, 0, 1, 1])
        #expect(reader.firstMessageProblem(limit: 100) == nil)
        append(&reader, [0])
        #expect(reader.firstMessageProblem(limit: 100)?.code == .unimplemented)
    }

    @Test("A flag that is neither 0 nor 1, and compression without a name, are INTERNAL")
    func flags() {
        var reader = MessageReader()
        append(&reader, [2, 0, 0, 0, 0])
        #expect(next(&reader) == .failed(.internal))
        var compressed = MessageReader()
        append(&compressed, [1, 0, 0, 0, 1, 1])
        #expect(next(&compressed) == .failed(.internal))
    }

    @Test("gzip may expand to the limit, and no further", arguments: [100_000, 99_999])
    func gzip(limit: Int) {
        var framed = ByteQueue()
        [UInt8](repeating: 65, count: 100_000).withUnsafeBytes { framed.appendMessage($0, gzip: true) }
        #expect(framed.count < 1_000)
        var reader = MessageReader()
        reader.append(framed.bytes)
        let said = next(&reader, encoding: .gzip, limit: limit)
        #expect(
            said == (limit == 100_000 ? .message([UInt8](repeating: 65, count: 100_000)) : .failed(.resourceExhausted)))
    }

    @Test("Short messages are not compressed")
    func shortMessages() {
        var framed = ByteQueue()
        ([1, 2] as [UInt8]).withUnsafeBytes { framed.appendMessage($0, gzip: true) }
        #expect(Array(framed.bytes) == [0, 0, 0, 0, 2, 1, 2])
    }
}

struct GzipTests {
    private func decompress(_ bytes: [UInt8], limit: Int = 1 << 20) throws -> [UInt8] {
        var output = ByteQueue()
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(Gzip.Failure) in try Gzip.decompress(bytes, into: &output, limit: limit) }
        }
        try result.get()
        return Array(output.bytes)
    }

    private func compress(_ bytes: [UInt8]) -> [UInt8] {
        var output = ByteQueue()
        bytes.withUnsafeBytes { Gzip.compress($0, into: &output) }
        return Array(output.bytes)
    }

    @Test("What was compressed comes out as it went in", arguments: [0, 1, 16_383, 16_384, 16_385, 500_000])
    func roundTrip(count: Int) throws {
        let noise = [UInt8].noise(count)
        #expect(try decompress(compress(noise)) == noise)
        let text = [UInt8](repeating: 65, count: count)
        #expect(try decompress(compress(text)) == text)
    }

    @Test("Broken gzip is refused wherever it breaks")
    func broken() throws {
        let whole = compress(.noise(1_000))
        for count in 0..<whole.count {
            #expect(throws: Gzip.Failure.broken) { try decompress(Array(whole.prefix(count))) }
        }
        #expect(throws: Gzip.Failure.broken) { try decompress(whole + [0]) }
        #expect(throws: Gzip.Failure.broken) { try decompress([UInt8]("no gzip at all")) }
        // A bit anywhere in the sum and the length at the end, which cover all that went in.
        for index in whole.count - 8..<whole.count {
            for bit in 0..<8 {
                var flipped = whole
                flipped[index] ^= 1 << UInt8(bit)
                #expect(throws: Gzip.Failure.broken) { try decompress(flipped) }
            }
        }
    }

    @Test("A bomb is stopped at the limit")
    func bomb() {
        let bomb = compress([UInt8](repeating: 0, count: 10_000_000))
        #expect(bomb.count < 20_000)
        #expect(throws: Gzip.Failure.tooLarge) { try decompress(bomb, limit: 1_000_000) }
    }
}

struct ByteQueueTests {
    @Test("A queue gives back what was put in, whatever the order of puts and takes")
    func model() {
        var random = SeededRandom()
        var queue = ByteQueue()
        var model: [UInt8] = []
        for _ in 0..<5_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let bytes = random.bytes(Int.random(in: 0..<300, using: &random))
                bytes.withUnsafeBytes { queue.append($0) }
                model += bytes
            case 5..<8:
                let count = Int.random(in: 0...min(400, model.count), using: &random)
                queue.removeFirst(count)
                model.removeFirst(count)
            case 8:
                let count = Int.random(in: 0...min(50, model.count), using: &random)
                queue.truncate(by: count)
                model.removeLast(count)
            default:
                if Int.random(in: 0..<50, using: &random) == 0 {
                    queue.reset(keeping: 1_000)
                    model = []
                }
            }
            #expect(queue.count == model.count, "\(random)")
            #expect(Array(queue.bytes) == model, "\(random)")
        }
    }
}
