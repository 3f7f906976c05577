// The walk over a message before protobuf-c sees it, and the check of its text.

import CMessages
import Testing

@testable import RPC

struct UTF8CheckTests {
    private func check(_ bytes: [UInt8]) -> UTF8Check.Result { bytes.withUnsafeBytes { UTF8Check.check($0) } }

    /// What the standard library has to say.
    private func agrees(_ bytes: [UInt8]) -> Bool {
        let isText = String(validating: bytes, as: UTF8.self) != nil
        return switch check(bytes) {
        case .valid: isText && !bytes.contains(0)
        case .zero: bytes.contains(0)
        case .invalid(let index): !isText && String(validating: bytes[..<index], as: UTF8.self) != nil
        }
    }

    @Test("It agrees with the standard library on every sequence of two bytes, at every place in a word")
    func twoBytes() {
        for first in UInt8.min...UInt8.max {
            for second in UInt8.min...UInt8.max where !agrees([first, second]) {
                Issue.record("\(first) \(second)")
            }
        }
        for place in 0..<20 {
            for byte in UInt8.min...UInt8.max {
                var bytes = [UInt8](repeating: 65, count: 20)
                bytes[place] = byte
                if !agrees(bytes) { Issue.record("\(byte) at \(place)") }
            }
        }
    }

    @Test("It agrees with the standard library on random bytes, and on text with one bit flipped")
    func randomBytes() {
        var random = SeededRandom()
        let leads: [UInt8] = [
            0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0x80, 0xbf, 0x9f, 0xa0, 0x8f, 0x90, 65,
        ]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<24, using: &random)).map { _ in leads.randomElement(using: &random)! }
            if !agrees(bytes) { Issue.record("\(bytes), \(random)") }
        }
        let text = Array("Grüße, 世界, \u{1F980}\u{10FFFF}\u{D7FF}\u{E000} and plain words".utf8)
        for _ in 0..<20_000 {
            var bytes = text
            bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            if !agrees(bytes) { Issue.record("\(bytes), \(random)") }
        }
    }
}

struct WireValidatorTests {
    private let request = MessageType(grpc__health__v1__health_check_request__init)
    private let list = MessageType(grpc__health__v1__health_list_response__init)

    private func problem<Message>(_ bytes: [UInt8], _ type: MessageType<Message>, maxFields: Int = 100) -> Status? {
        var validator = WireValidator(maxFields: maxFields)
        do throws(Status) {
            let result = bytes.withUnsafeBytes { bytes in
                Result { () throws(Status) in try validator.check(bytes, as: type.descriptor) }
            }
            try result.get()
            return nil
        } catch {
            return error
        }
    }

    @Test("Fields that nobody knows are passed over, of every wire type")
    func unknownFields() {
        #expect(problem([], request) == nil)
        #expect(
            problem([0x78, 0xff, 1, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3, 4, 0x7a, 1, 0xff], request) == nil)
    }

    @Test(
        "What is cut off, or no field at all, is INVALID_ARGUMENT",
        arguments: [
            [0x0a], [0x0a, 2, 65], [0x78], [0x78, 0x80], [0x79, 1], [0x7d, 1, 2, 3], [0x80], [0x00], [0x0b], [0x0c],
            [0x0e],
            [0x0f], [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            [0x78, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] as [[UInt8]])
    func broken(bytes: [UInt8]) {
        #expect(problem(bytes, request)?.code == .invalidArgument)
    }

    @Test("Text is checked wherever it is, and the message names the field")
    func text() {
        #expect(problem([0x0a, 1, 0xff], request)?.message.contains("HealthCheckRequest.service") == true)
        #expect(problem([0x0a, 2, 65, 0], request)?.message.contains("U+0000") == true)
        // In a message of a message: statuses { key: "\xff" }.
        #expect(problem([0x0a, 3, 0x0a, 1, 0xff], list)?.message.contains("key") == true)
        #expect(problem([0x0a, 3, 0x0a, 1, 65], list) == nil)
    }

    @Test("Fields are counted, those of messages within too")
    func fields() {
        let ten = [UInt8](repeating: 0x78, count: 20).enumerated().map { $0.offset % 2 == 0 ? $0.element : 1 }
        #expect(problem(ten, request, maxFields: 10) == nil)
        #expect(problem(ten, request, maxFields: 9)?.code == .resourceExhausted)
        #expect(problem([0x0a, 3, 0x0a, 1, 65], list, maxFields: 1)?.code == .resourceExhausted)
    }

    @Test("Random bytes are refused or decoded, and never more than that")
    func randomBytes() {
        var random = SeededRandom()
        let arena = Arena()
        var decoded = 0
        for _ in 0..<20_000 {
            var bytes = random.bytes(Int.random(in: 0..<20, using: &random))
            if Bool.random(using: &random) { bytes = [0x0a, UInt8(bytes.count)] + bytes }
            do throws(Status) {
                let result = bytes.withUnsafeBytes { bytes in
                    Result { () throws(Status) in try list.decode(bytes, in: arena) }
                }
                _ = try result.get()
                decoded += 1
            } catch {
                #expect(error.code == .invalidArgument, "\(random)")
            }
            arena.reset()
        }
        #expect(decoded > 0)
    }
}
