// The pool behind nghttp2, through the functions that nghttp2 calls.

import CNghttp2
import Testing

@testable import HTTP2

struct AllocationPoolTests {
    @Test("Blocks of every size are aligned, apart from each other, and keep what is written")
    func blocks() {
        let pool = AllocationPool()
        let memory = pool.nghttp2Memory.pointee
        let sizes = [0, 1, 63, 64, 65, 127, 128, 2_047, 2_048, 2_049, 100_000]
        var blocks: [(UnsafeMutableRawPointer, Int, UInt8)] = []
        for (index, size) in (sizes + sizes).enumerated() {
            let block = memory.malloc(size, memory.mem_user_data)!
            #expect(Int(bitPattern: block) % 16 == 0)
            block.initializeMemory(as: UInt8.self, repeating: UInt8(index), count: size)
            blocks.append((block, size, UInt8(index)))
        }
        for (block, size, value) in blocks {
            let bytes = UnsafeRawBufferPointer(start: block, count: size)
            #expect(bytes.allSatisfy { $0 == value })
            memory.free(block, memory.mem_user_data)
        }
        memory.free(nil, memory.mem_user_data)
    }

    @Test("A block that was freed is used again for its size")
    func reuse() {
        let pool = AllocationPool()
        let memory = pool.nghttp2Memory.pointee
        let first = memory.malloc(100, memory.mem_user_data)!
        memory.free(first, memory.mem_user_data)
        #expect(memory.malloc(300, memory.mem_user_data) != first)
        let second = memory.malloc(70, memory.mem_user_data)!
        #expect(second == first)
        memory.free(second, memory.mem_user_data)
    }

    @Test("calloc gives zeros, of used memory too, and nothing for what overflows")
    func calloc() {
        let pool = AllocationPool()
        let memory = pool.nghttp2Memory.pointee
        let used = memory.malloc(100, memory.mem_user_data)!
        used.initializeMemory(as: UInt8.self, repeating: 255, count: 100)
        memory.free(used, memory.mem_user_data)
        let block = memory.calloc(10, 10, memory.mem_user_data)!
        #expect(UnsafeRawBufferPointer(start: block, count: 100).allSatisfy { $0 == 0 })
        memory.free(block, memory.mem_user_data)
        #expect(memory.calloc(Int.max, 3, memory.mem_user_data) == nil)
    }

    @Test(
        "realloc keeps what was there, across all sizes",
        arguments: [(10, 50), (10, 5_000), (5_000, 60_000), (100, 20)])
    func realloc(from old: Int, to new: Int) {
        let pool = AllocationPool()
        let memory = pool.nghttp2Memory.pointee
        var block = memory.realloc(nil, old, memory.mem_user_data)!
        for index in 0..<old {
            block.storeBytes(of: UInt8(truncatingIfNeeded: index), toByteOffset: index, as: UInt8.self)
        }
        block = memory.realloc(block, new, memory.mem_user_data)!
        for index in 0..<min(old, new) {
            #expect(block.load(fromByteOffset: index, as: UInt8.self) == UInt8(truncatingIfNeeded: index))
        }
        block.initializeMemory(as: UInt8.self, repeating: 1, count: new)
        memory.free(block, memory.mem_user_data)
    }
}
