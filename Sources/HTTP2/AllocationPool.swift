// Memory for nghttp2: free lists by size, one pool for a thread.
//
// nghttp2 makes and frees about ten small blocks a call (stream, outbound items, header copies). From
// these lists each costs a handful of instructions, with no lock and no search. A pool belongs to the
// thread that runs its sessions; nothing here is safe to share. The lists are plain memory and the
// functions static, because nghttp2 comes here often enough for reference counting to be felt.

import CNghttp2
import Glibc

package final class AllocationPool {
    /// Blocks up to this size are pooled, in steps of 64 bytes; larger ones come from malloc.
    private static let largestPooled = 2_048
    private static let stepShift = 6
    private static let classes = largestPooled >> stepShift
    /// What a block's size class and size are kept in, ahead of it: 16 bytes, so that alignment holds.
    private static let headerBytes = 16
    private static let unpooled = classes
    /// Free blocks kept in each class; what is freed above goes back to malloc, so that one burst does
    /// not hold its memory for ever. 256 streams of about 5 blocks each fit.
    private static let maxFree = 2_048

    private struct FreeList {
        var head: UnsafeMutableRawPointer?
        var count = 0
    }

    private typealias Lists = UnsafeMutablePointer<FreeList>

    private let lists: Lists
    private let memory: UnsafeMutablePointer<nghttp2_mem>

    package init() {
        lists = .allocate(capacity: Self.classes)
        lists.initialize(repeating: FreeList(), count: Self.classes)
        memory = .allocate(capacity: 1)
        memory.initialize(
            to: nghttp2_mem(
                mem_user_data: UnsafeMutableRawPointer(lists),
                malloc: { size, pool in AllocationPool.allocate(size, from: AllocationPool.lists(pool)) },
                free: { block, pool in AllocationPool.free(block, to: AllocationPool.lists(pool)) },
                calloc: { count, size, pool in
                    let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
                    guard !overflow, let block = AllocationPool.allocate(bytes, from: AllocationPool.lists(pool))
                    else { return nil }
                    memset(block, 0, bytes)
                    return block
                },
                realloc: { block, size, pool in
                    AllocationPool.reallocate(block, size, AllocationPool.lists(pool))
                }))
    }

    deinit {
        for list in UnsafeBufferPointer(start: lists, count: Self.classes) {
            var next = list.head
            while let block = next {
                next = block.load(as: UnsafeMutableRawPointer?.self)
                Glibc.free(block - Self.headerBytes)
            }
        }
        lists.deallocate()
        memory.deallocate()
    }

    /// What nghttp2 takes; valid as long as the pool.
    var nghttp2Memory: UnsafeMutablePointer<nghttp2_mem> { memory }

    @inline(__always)
    private static func lists(_ context: UnsafeMutableRawPointer?) -> Lists {
        context.unsafelyUnwrapped.assumingMemoryBound(to: FreeList.self)
    }

    private static func allocate(_ size: Int, from lists: Lists) -> UnsafeMutableRawPointer? {
        guard size <= largestPooled else { return fresh(size, class: unpooled) }
        let index = size == 0 ? 0 : (size &- 1) &>> stepShift
        guard let block = lists[index].head else { return fresh((index &+ 1) &<< stepShift, class: index) }
        lists[index].head = block.load(as: UnsafeMutableRawPointer?.self)
        lists[index].count &-= 1
        return block
    }

    private static func fresh(_ size: Int, class index: Int) -> UnsafeMutableRawPointer? {
        guard let base = Glibc.malloc(size &+ headerBytes) else { return nil }
        base.storeBytes(of: index, as: Int.self)
        base.storeBytes(of: size, toByteOffset: 8, as: Int.self)
        return base + headerBytes
    }

    private static func free(_ block: UnsafeMutableRawPointer?, to lists: Lists) {
        guard let block else { return }
        let index = (block - headerBytes).load(as: Int.self)
        guard index != unpooled, lists[index].count < maxFree else { return Glibc.free(block - headerBytes) }
        block.storeBytes(of: lists[index].head, as: UnsafeMutableRawPointer?.self)
        lists[index].head = block
        lists[index].count &+= 1
    }

    private static func reallocate(
        _ block: UnsafeMutableRawPointer?, _ size: Int, _ lists: Lists
    ) -> UnsafeMutableRawPointer? {
        guard let block else { return allocate(size, from: lists) }
        let old = (block - headerBytes).load(fromByteOffset: 8, as: Int.self)
        guard size > old else { return block }
        guard let new = allocate(size, from: lists) else { return nil }
        memcpy(new, block, old)
        free(block, to: lists)
        return new
    }
}
