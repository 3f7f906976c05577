// A table's records in the order of their creation, for lists that are read page by page.
//
// Serial numbers only grow, so appending keeps the array sorted and a page's beginning is found by
// halving. A forgotten record leaves a gap; when half of the array is gaps they are squeezed out, which
// costs O(1) a removal on the whole. A tree would cost memory and a search for every record instead.

struct CreationOrder<Record>: Sendable {
    private struct Member: Sendable {
        let serial: UInt64
        var slot: Slot<Record>?
    }

    private var members: ContiguousArray<Member> = []
    private var gaps = 0

    var count: Int { members.count - gaps }

    mutating func append(_ slot: Slot<Record>, serial: UInt64) {
        precondition(members.last.map { $0.serial < serial } ?? true)
        members.append(Member(serial: serial, slot: slot))
    }

    mutating func remove(serial: UInt64) {
        let index = place(of: serial)
        precondition(members[index].serial == serial && members[index].slot != nil, "removed twice")
        members[index].slot = nil
        gaps += 1
        // What is taken and given back at once leaves nothing behind.
        while let last = members.last, last.slot == nil {
            members.removeLast()
            gaps -= 1
        }
        if gaps * 2 > members.count {
            members.removeAll { $0.slot == nil }
            gaps = 0
        }
    }

    /// Goes on until the body says false.
    func forEach(after serial: UInt64, _ body: (Slot<Record>) -> Bool) {
        guard serial < .max else { return }
        for member in members[firstIndex(from: serial + 1)...] {
            if let slot = member.slot, !body(slot) { return }
        }
    }

    /// What `value` makes of the records after this serial number, as many as are wanted, having looked at
    /// no more than so many places, so that a rare one doesn't hold the lock over the whole table.
    func stretch<Value>(
        after serial: UInt64, limit: Int, scanning: Int, _ value: (Slot<Record>) -> Value?
    ) -> Stretch<Value> {
        var stretch = Stretch<Value>(examined: serial)
        guard serial < .max else { return stretch }
        var index = firstIndex(from: serial + 1)
        let end = index + min(scanning, members.count - index)
        while index < end && stretch.found.count < limit {
            let member = members[index]
            if let slot = member.slot, let value = value(slot) { stretch.found.append((member.serial, value)) }
            stretch.examined = member.serial
            index += 1
        }
        stretch.isLast = index == members.count
        return stretch
    }

    /// Most are numbered without gaps, and their places follow from their numbers.
    private func place(of serial: UInt64) -> Int {
        if let last = members.last, last.serial >= serial, last.serial - serial < UInt64(members.count) {
            let guess = members.count - 1 - Int(last.serial - serial)
            if members[guess].serial == serial { return guess }
        }
        return firstIndex(from: serial)
    }

    private func firstIndex(from serial: UInt64) -> Int {
        members.partitionPoint { $0.serial >= serial }
    }
}
