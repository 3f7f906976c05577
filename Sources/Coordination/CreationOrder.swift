// The tasks in the order of their creation, for lists that are read page by page.
//
// Serial numbers only grow, so appending keeps the array sorted and a page's beginning is found by
// halving. A forgotten task leaves a gap; when half of the array is gaps they are squeezed out, which
// costs O(1) a removal on the whole. A tree would cost memory and a search for every task instead.

struct CreationOrder: Sendable {
    private struct Member: Sendable {
        let serial: UInt64
        var slot: TaskSlot?
    }

    private var members: ContiguousArray<Member> = []
    private var gaps = 0

    var count: Int { members.count - gaps }

    mutating func append(_ slot: TaskSlot, serial: UInt64) {
        precondition(members.last.map { $0.serial < serial } ?? true)
        members.append(Member(serial: serial, slot: slot))
    }

    mutating func remove(serial: UInt64) {
        let index = firstIndex(from: serial)
        precondition(members[index].serial == serial && members[index].slot != nil, "removed twice")
        members[index].slot = nil
        gaps += 1
        if gaps * 2 > members.count {
            members.removeAll { $0.slot == nil }
            gaps = 0
        }
    }

    /// Goes on until the body says false.
    func forEach(after serial: UInt64, _ body: (TaskSlot) -> Bool) {
        guard serial < .max else { return }
        for member in members[firstIndex(from: serial + 1)...] {
            if let slot = member.slot, !body(slot) { return }
        }
    }

    private func firstIndex(from serial: UInt64) -> Int {
        members.partitionPoint { $0.serial >= serial }
    }
}
