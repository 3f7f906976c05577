// The small parts of a server: its table of methods, its counters, its memory.

import CProtobufC
import Testing

@testable import RPC

struct MethodTableTests {
    private func find(_ table: MethodTable, _ path: String) -> Int? {
        Array(path.utf8).withUnsafeBufferPointer { table.find($0) }
    }

    @Test("Every method is found by its path, and by nothing else")
    func find() {
        let paths = (0..<500).map { "/package.Service\($0 % 7)/Method\($0)" }
        let table = MethodTable(paths.map { path in .unary(path) { _, _ in } })
        for (index, path) in paths.enumerated() { #expect(find(table, path) == index) }
        for path in [
            "", "/", "/package.Service0/Method", "/package.Service1/Method0", "/package.Service0/Method00", "x",
        ] {
            #expect(find(table, path) == nil)
        }
    }

    @Test("A service is known by any of its methods")
    func services() {
        let table = MethodTable([.unary("/a.B/C") { _, _ in }])
        #expect(table.hasService(of: "/a.B/D"))
        #expect(!table.hasService(of: "/a.BB/C"))
        #expect(!table.hasService(of: "/a/C"))
        #expect(!table.hasService(of: "nonsense"))
    }
}

struct CallStatisticsTests {
    @Test("Calls are counted by method, code and latency; a bound belongs to the bucket below it")
    func counting() {
        let statistics = CallStatistics(methodCount: 2)
        statistics.callBegan(0)
        statistics.callBegan(0)
        statistics.callBegan(nil)
        statistics.callEnded(0, .ok, nanoseconds: 5_000)
        statistics.callEnded(nil, .unimplemented, nanoseconds: Int64.max / 2)
        var first = MethodSnapshot(path: "a", kind: .unary)
        statistics.add(0, to: &first)
        #expect(first.byCode[0] == 1 && first.finished == 1 && first.open == 1)
        #expect(first.latencyBuckets[0] == 1 && first.latencySumNanoseconds == 5_000)
        var unknown = MethodSnapshot(path: "unknown", kind: nil)
        statistics.add(nil, to: &unknown)
        #expect(unknown.byCode[12] == 1 && unknown.open == 0)
        #expect(unknown.latencyBuckets.last == 1)
        // Those of other loops are added.
        statistics.callEnded(0, .ok, nanoseconds: 5_001)
        statistics.add(0, to: &first)
        #expect(first.byCode[0] == 3)
        #expect(first.latencyBuckets[0] == 2 && first.latencyBuckets[1] == 1)
    }

    @Test("Totals go up and down")
    func totals() {
        let statistics = CallStatistics(methodCount: 0)
        statistics.add(.openStreams)
        statistics.add(.openStreams, 4)
        statistics.add(.openStreams, -2)
        #expect(statistics.total(.openStreams) == 3)
        #expect(statistics.total(.openConnections) == 0)
    }
}

struct ArenaTests {
    @Test("Blocks of every size are aligned, apart from each other, and there until the reset")
    func blocks() {
        let arena = Arena()
        for _ in 0..<3 {
            var blocks: [(UnsafeMutableRawPointer, Int)] = []
            for size in [0, 1, 15, 16, 17, 1_000, 16_384, 16_385, 100_000, 5] {
                let block = arena.allocate(size)
                #expect(Int(bitPattern: block) % 16 == 0)
                block.initializeMemory(as: UInt8.self, repeating: UInt8(size % 251), count: size)
                blocks.append((block, size))
            }
            for (block, size) in blocks {
                #expect(UnsafeRawBufferPointer(start: block, count: size).allSatisfy { $0 == UInt8(size % 251) })
            }
            arena.reset()
        }
    }

    @Test("Text is copied with the zero that C wants")
    func strings() {
        let arena = Arena()
        for text in ["", "a", "Grüße \u{1F980}", String(repeating: "x", count: 50_000)] {
            #expect(String(cString: arena.string(text)) == text)
        }
    }

    @Test("protobuf-c gets its memory from the arena, and gives none back before the reset")
    func allocator() {
        let arena = Arena()
        let allocator = arena.allocator.pointee
        let first = allocator.alloc(allocator.allocator_data, 10)!
        allocator.free(allocator.allocator_data, first)
        let second = allocator.alloc(allocator.allocator_data, 10)!
        #expect(second == first + 16)
        arena.reset()
        #expect(allocator.alloc(allocator.allocator_data, 10) == first)
    }
}

struct StatusTests {
    @Test("Codes have the numbers and names of gRPC")
    func codes() {
        #expect(Status.Code.allCases.map { Int($0.rawValue) } == Array(0...16))
        #expect(Status.Code.deadlineExceeded.name == "DEADLINE_EXCEEDED")
        #expect(Status(.notFound, "gone").description == "NOT_FOUND: gone")
        #expect(Status.ok.description == "OK")
    }

    @Test("A peer's text in a message is cut at 200 characters")
    func quotes() {
        #expect(quoted("a") == "\"a\"")
        #expect(quoted(String(repeating: "é", count: 200)).count == 202)
        #expect(quoted(String(repeating: "é", count: 201)) == "\"" + String(repeating: "é", count: 200) + "…\"")
    }
}
