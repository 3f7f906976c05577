// Lists of records that live in a slab: an agent's leases, a lease's waiting calls, an election's
// candidates. Joining at the end and leaving from anywhere are O(1) and allocate nothing, which an
// array for each owner could not do.
//
// The owner keeps the `Chain`, its two ends; the records' table keeps the `Links` between, beside the
// slab and by the same numbers. A record is in at most one chain of a `Links`.

struct Chain<Record>: Sendable {
    fileprivate(set) var first: Slot<Record>?
    fileprivate(set) var last: Slot<Record>?
    fileprivate(set) var count: Int32 = 0

    var isEmpty: Bool { first == nil }
}

struct Links<Record>: Sendable {
    private struct Link: Sendable {
        var previous: Slot<Record>?
        var next: Slot<Record>?
    }

    private var links: ContiguousArray<Link> = []

    mutating func append(_ slot: Slot<Record>, to chain: inout Chain<Record>) {
        let index = Int(slot.index)
        // A slab gives out numbers one by one: at most one link is ever missing.
        if index >= links.count {
            links.append(contentsOf: repeatElement(Link(), count: index + 1 - links.count))
        }
        links[index] = Link(previous: chain.last, next: nil)
        if let last = chain.last {
            links[Int(last.index)].next = slot
        } else {
            chain.first = slot
        }
        chain.last = slot
        chain.count += 1
    }

    mutating func remove(_ slot: Slot<Record>, from chain: inout Chain<Record>) {
        precondition(chain.count > 0)
        let link = links[Int(slot.index)]
        if let previous = link.previous {
            links[Int(previous.index)].next = link.next
        } else {
            assert(chain.first == slot)
            chain.first = link.next
        }
        if let next = link.next {
            links[Int(next.index)].previous = link.previous
        } else {
            assert(chain.last == slot)
            chain.last = link.previous
        }
        links[Int(slot.index)] = Link()
        chain.count -= 1
    }

    func next(after slot: Slot<Record>) -> Slot<Record>? {
        links[Int(slot.index)].next
    }

    /// A chain's first members, at most so many.
    func members(of chain: Chain<Record>, limit: Int) -> [Slot<Record>] {
        Array(
            sequence(state: chain.first) { cursor in
                defer { cursor = cursor.flatMap(next(after:)) }
                return cursor
            }.prefix(limit))
    }

    /// All of a chain's members from the first to the last, for callers that change it as they go.
    func members(of chain: Chain<Record>) -> [Slot<Record>] {
        var members: [Slot<Record>] = []
        members.reserveCapacity(Int(chain.count))
        var cursor = chain.first
        while let slot = cursor {
            members.append(slot)
            cursor = next(after: slot)
        }
        assert(members.count == Int(chain.count))
        return members
    }
}
