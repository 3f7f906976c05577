// Memory for the messages of one call: handed out in a row, taken back all at once.
//
// protobuf-c allocates every string and submessage on its own. From here that is an addition to a
// pointer, and nothing is freed until `reset`, at the end of the call. Belongs to one event loop.

import CProtobufC
import Glibc

package final class Arena {
    private static let chunkBytes = 16_384

    private var chunks: [UnsafeMutableRawPointer] = []
    private var next: UnsafeMutableRawPointer
    private var end: UnsafeMutableRawPointer
    private let first: UnsafeMutableRawPointer
    private let allocatorMemory: UnsafeMutablePointer<ProtobufCAllocator>

    package init() {
        first = .allocate(byteCount: Self.chunkBytes, alignment: 16)
        next = first
        end = first + Self.chunkBytes
        allocatorMemory = .allocate(capacity: 1)
        allocatorMemory.initialize(
            to: ProtobufCAllocator(
                alloc: { context, size in
                    Unmanaged<Arena>.fromOpaque(context.unsafelyUnwrapped)._withUnsafeGuaranteedRef {
                        $0.allocate(size)
                    }
                },
                free: { _, _ in },
                allocator_data: nil))
        allocatorMemory.pointee.allocator_data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit {
        reset()
        first.deallocate()
        allocatorMemory.deallocate()
    }

    /// What protobuf-c takes.
    package var allocator: UnsafeMutablePointer<ProtobufCAllocator> { allocatorMemory }

    /// Memory for `size` bytes, aligned to 16, not initialized, until `reset`.
    package func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        let rounded = (size &+ 15) & ~15
        if end - next < rounded { addChunk(rounded) }
        let block = next
        next += rounded
        return block
    }

    /// A copy of the text that ends in a zero, as C wants it.
    package func string(_ text: String) -> UnsafeMutablePointer<CChar> {
        var text = text
        return text.withUTF8 { bytes in
            let copy = allocate(bytes.count &+ 1)
            if let source = bytes.baseAddress { memcpy(copy, source, bytes.count) }
            copy.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
            return copy.assumingMemoryBound(to: CChar.self)
        }
    }

    /// An array of `count` elements, for the caller to fill.
    package func array<Element>(of type: Element.Type, count: Int) -> UnsafeMutablePointer<Element> {
        allocate(count &* MemoryLayout<Element>.stride).bindMemory(to: type, capacity: count)
    }

    /// Takes back everything.
    package func reset() {
        if !chunks.isEmpty {
            for chunk in chunks { chunk.deallocate() }
            chunks.removeAll(keepingCapacity: false)
        }
        next = first
        end = first + Self.chunkBytes
    }

    private func addChunk(_ size: Int) {
        let bytes = max(size, Self.chunkBytes)
        let chunk = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 16)
        chunks.append(chunk)
        next = chunk
        end = chunk + bytes
    }
}
