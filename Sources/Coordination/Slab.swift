// Records at fixed places, so that one table can refer to another's records by a number instead of by
// a key that must be hashed, or by an object that must be counted.
//
// A slot is valid from `insert` until `remove`; whoever uses it later has a bug, and is stopped unless
// the place has been given out again. The memory is managed here because an array would copy a record
// to read one field of it (an optional one, since removed records must let go of what they hold), and
// because a slab must never be copied as a whole.

/// The place of one record. The type says of which table, so that none is used with another.
struct Slot<Record>: Hashable, Sendable {
    let index: Int32
}

struct Slab<Record: Sendable>: ~Copyable, @unchecked Sendable {
    // Unchecked, because of the pointers; they are this slab's alone, and it has one owner at a time.
    private var records: UnsafeMutablePointer<Record>
    private var isUsed: UnsafeMutablePointer<Bool>
    private var capacity = 0
    /// The places below this have been used at least once.
    private var end = 0
    private var vacant: ContiguousArray<Int32> = []

    var count: Int { end - vacant.count }

    init() {
        records = .allocate(capacity: 0)
        isUsed = .allocate(capacity: 0)
    }

    deinit {
        for index in 0..<end where isUsed[index] { (records + index).deinitialize(count: 1) }
        records.deallocate()
        isUsed.deallocate()
    }

    mutating func insert(_ record: consuming Record) -> Slot<Record> {
        let index: Int
        if let reused = vacant.popLast() {
            index = Int(reused)
        } else {
            if end == capacity { grow() }
            index = end
            end += 1
        }
        (records + index).initialize(to: record)
        isUsed[index] = true
        return Slot(index: Int32(index))
    }

    mutating func remove(_ slot: Slot<Record>) {
        precondition(contains(slot), "removed twice")
        (records + Int(slot.index)).deinitialize(count: 1)
        isUsed[Int(slot.index)] = false
        vacant.append(slot.index)
    }

    /// Read and changed in place.
    subscript(slot: Slot<Record>) -> Record {
        @inline(__always) _read {
            precondition(contains(slot), "no record there")
            yield records[Int(slot.index)]
        }
        @inline(__always) _modify {
            precondition(contains(slot), "no record there")
            yield &records[Int(slot.index)]
        }
    }

    @inline(__always)
    func contains(_ slot: Slot<Record>) -> Bool {
        slot.index >= 0 && slot.index < end && isUsed[Int(slot.index)]
    }

    /// Every slot in use, by number.
    var slots: [Slot<Record>] { slots(from: 0, count: end) }

    /// The slots in use among so many places.
    func slots(from start: Int, count: Int) -> [Slot<Record>] {
        (min(start, end)..<min(start + count, end)).compactMap { isUsed[$0] ? Slot(index: Int32($0)) : nil }
    }

    /// How many places were ever used.
    var places: Int { end }

    private mutating func grow() {
        let doubled = max(16, capacity * 2)
        precondition(doubled <= Int32.max)
        let (newRecords, newIsUsed) = (
            UnsafeMutablePointer<Record>.allocate(capacity: doubled),
            UnsafeMutablePointer<Bool>.allocate(capacity: doubled)
        )
        // Called when no place is vacant: all below `end` are in use.
        newRecords.moveInitialize(from: records, count: end)
        newIsUsed.moveInitialize(from: isUsed, count: end)
        records.deallocate()
        isUsed.deallocate()
        (records, isUsed, capacity) = (newRecords, newIsUsed, doubled)
    }
}
