// Bytes on their way through: put in at the end, taken out at the front, memory kept for the next use.

import Glibc

struct ByteQueue: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private var capacity = 0
    private var head = 0
    private var tail = 0

    init() {}

    deinit {
        base?.deallocate()
    }

    var count: Int { tail &- head }
    var isEmpty: Bool { tail == head }

    /// What is in the queue; valid until the next change.
    var bytes: UnsafeRawBufferPointer {
        guard let base else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: base + head, count: tail &- head)
    }

    /// Makes room for `count` more bytes at the end and returns it, for the caller to fill at once.
    mutating func extend(by count: Int) -> UnsafeMutableRawPointer {
        if capacity &- tail < count { makeRoom(count) }
        let start = base! + tail
        tail &+= count
        return start
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        memcpy(extend(by: bytes.count), source, bytes.count)
    }

    /// Takes back the last `count` bytes.
    mutating func truncate(by count: Int) {
        precondition(count <= tail &- head)
        tail &-= count
    }

    mutating func removeFirst(_ count: Int) {
        precondition(count <= tail &- head)
        head &+= count
        if head == tail {
            head = 0
            tail = 0
        }
    }

    /// Empties the queue; memory above `keeping` bytes is given back.
    mutating func reset(keeping: Int) {
        head = 0
        tail = 0
        if capacity > keeping {
            base?.deallocate()
            base = nil
            capacity = 0
        }
    }

    private mutating func makeRoom(_ count: Int) {
        let used = tail &- head
        if let base, capacity &- used >= count, head >= used {
            // The front half is free: move down instead of growing.
            memcpy(base, base + head, used)
        } else {
            let grown = max(256, max(capacity * 2, used + count))
            let larger = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: 16)
            if let base {
                memcpy(larger, base + head, used)
                base.deallocate()
            }
            base = larger
            capacity = grown
        }
        head = 0
        tail = used
    }
}
