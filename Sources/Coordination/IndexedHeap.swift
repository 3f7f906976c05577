// A smallest-first queue whose entries can be found again: by a handle, an entry leaves from the middle
// or changes its key in O(log n). Without that, what is cancelled would stay behind until its turn came,
// and a million leases taken and released within a minute would be a million dead entries.
//
// Four children to a node instead of two: half the levels, and the four keys compared at each level
// share a cache line. Equal keys come out in an order that the same calls always produce again.

struct IndexedHeap<Payload: Sendable>: Sendable {
    struct Handle: Hashable, Sendable {
        fileprivate let index: Int32
    }

    private struct Node: Sendable {
        var key: Int64
        var handle: Handle
    }

    private struct Place: Sendable {
        /// Where in `nodes`; -1 while the handle is not in use.
        var position: Int32
        var payload: Payload?
    }

    private var nodes: ContiguousArray<Node> = []
    private var places: ContiguousArray<Place> = []
    private var vacant: ContiguousArray<Handle> = []

    var count: Int { nodes.count }
    var isEmpty: Bool { nodes.isEmpty }

    var first: (key: Int64, handle: Handle)? {
        guard let node = nodes.first else { return nil }
        return (node.key, node.handle)
    }

    /// What the entry with the smallest key carries.
    var firstPayload: Payload? {
        nodes.isEmpty ? nil : self[nodes[0].handle]
    }

    subscript(handle: Handle) -> Payload {
        @inline(__always) _read { yield places[Int(handle.index)].payload! }
        @inline(__always) _modify { yield &places[Int(handle.index)].payload! }
    }

    func key(of handle: Handle) -> Int64 {
        nodes[Int(places[Int(handle.index)].position)].key
    }

    mutating func insert(_ payload: Payload, key: Int64) -> Handle {
        let handle: Handle
        if let reused = vacant.popLast() {
            handle = reused
            places[Int(handle.index)].payload = payload
        } else {
            handle = Handle(index: Int32(places.count))
            places.append(Place(position: -1, payload: payload))
        }
        let node = Node(key: key, handle: handle)
        nodes.append(node)
        rise(node, from: nodes.count - 1)
        return handle
    }

    mutating func remove(_ handle: Handle) {
        let position = Int(places[Int(handle.index)].position)
        precondition(position >= 0 && nodes[position].handle == handle, "removed twice")
        places[Int(handle.index)] = Place(position: -1, payload: nil)
        vacant.append(handle)
        let last = nodes.removeLast()
        if position < nodes.count {
            move(last, to: position)
        }
    }

    mutating func change(_ handle: Handle, key: Int64) {
        let position = Int(places[Int(handle.index)].position)
        precondition(position >= 0 && nodes[position].handle == handle)
        move(Node(key: key, handle: handle), to: position)
    }

    /// Puts the node where its key belongs, beginning the search at a position that is free.
    private mutating func move(_ node: Node, to position: Int) {
        if position > 0 && node.key < nodes[(position - 1) / 4].key {
            rise(node, from: position)
        } else {
            sink(node, from: position)
        }
    }

    private mutating func rise(_ node: Node, from start: Int) {
        var position = start
        while position > 0 {
            let parent = (position - 1) / 4
            guard node.key < nodes[parent].key else { break }
            place(nodes[parent], at: position)
            position = parent
        }
        place(node, at: position)
    }

    private mutating func sink(_ node: Node, from start: Int) {
        var position = start
        while true {
            let firstChild = position * 4 + 1
            guard firstChild < nodes.count else { break }
            var smallest = firstChild
            for child in (firstChild + 1)..<max(firstChild + 1, min(firstChild + 4, nodes.count))
            where nodes[child].key < nodes[smallest].key {
                smallest = child
            }
            guard nodes[smallest].key < node.key else { break }
            place(nodes[smallest], at: position)
            position = smallest
        }
        place(node, at: position)
    }

    @inline(__always) private mutating func place(_ node: Node, at position: Int) {
        nodes[position] = node
        places[Int(node.handle.index)].position = Int32(position)
    }

    func checkInvariants() {
        precondition(places.count == nodes.count + vacant.count)
        for (position, node) in nodes.enumerated() {
            precondition(position == 0 || nodes[(position - 1) / 4].key <= node.key, "out of order")
            precondition(Int(places[Int(node.handle.index)].position) == position)
        }
    }
}
