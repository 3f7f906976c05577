// What `Find` looks into: for every term the documents that have it, a document being the card of one
// living agent. A query reads the lists of its terms and never a card.
//
// Documents are numbered in the order of registration and numbers only grow, so lists are in the order of
// age without ever being sorted. The index keeps each card: what has to leave with it is found by cutting
// it into terms once more, which costs as much as its coming did and no memory. (The core keeps the cards
// of dead agents for a day anyway, so this keeps none alive.)
//
// A term whose last document leaves goes too, and its place is used again. So however many agents come and
// go, with whatever words, the index is as large as the cards that are in it.

struct SearchIndex: Sendable {
    /// A term as the tokenizer cuts it, or a tool's whole name with a byte before it that occurs in no UTF-8.
    private struct Key: Hashable, Sendable {
        private let bytes: [UInt8]

        init(term: [UInt8]) { bytes = term }

        init(tool: String) { bytes = [0xFF] + tool.utf8 }

        /// All bytes at once. The hash is seeded anew in every process, so nobody can choose names that
        /// collide; nothing depends on its order.
        func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }

        /// The same in storage of its own, which is as large as it has to be.
        var copy: Key { Key(term: bytes.withUnsafeBufferPointer { [UInt8]($0) }) }
    }

    /// The number that the next document gets. Whoever owns the index begins a new one in time.
    private(set) var next: UInt32 = 0
    private var cards: [UInt32: AgentCard] = [:]
    /// Every document, with its length.
    private(set) var everything = PostingList()
    /// Of all documents together.
    private var totalLength = 0
    private var keys: [Key: Int32] = [:]
    private var lists: ContiguousArray<PostingList> = []
    /// Places in `lists` that no key has.
    private var vacant: ContiguousArray<Int32> = []

    init() {}

    var averageLength: Float { Float(totalLength) / Float(max(everything.count, 1)) }

    /// How many terms and tools there is room for: as many as there ever were at one time.
    var termCapacity: Int { lists.count }

    /// The documents that have the term; nil for none.
    func documents(having term: [UInt8]) -> PostingList? { keys[Key(term: term)].map { lists[Int($0)] } }

    func documents(naming tool: String) -> PostingList? { keys[Key(tool: tool)].map { lists[Int($0)] } }

    /// The card gets the next document number.
    mutating func insert(_ card: AgentCard) -> UInt32 {
        let document = next
        precondition(document < .max, "all document numbers are used")
        next += 1
        cards[document] = card
        var touched: [Int32] = []
        touched.reserveCapacity(64)
        var length = 0
        SearchRelevance.forEachTerm(of: card) { term, weight in
            length += Int(weight)
            add(document, to: Key(term: term), weight: weight, touched: &touched)
        }
        for tool in card.tools { add(document, to: Key(tool: tool), weight: 0, touched: &touched) }
        // Longer ones, of which there may be few, count as this long.
        let counted = UInt16(min(length, Int(UInt16.max)))
        for list in touched { lists[Int(list)].setLength(counted) }
        _ = everything.add(document, weight: 0)
        everything.setLength(counted)
        totalLength += Int(counted)
        return document
    }

    private mutating func add(_ document: UInt32, to key: Key, weight: UInt16, touched: inout [Int32]) {
        let list: Int32
        if let known = keys[key] {
            list = known
        } else {
            if let reused = vacant.popLast() {
                list = reused
            } else {
                list = Int32(lists.count)
                lists.append(PostingList())
            }
            keys[key.copy] = list
        }
        if lists[Int(list)].add(document, weight: weight) { touched.append(list) }
    }

    mutating func remove(_ document: UInt32) {
        guard let card = cards.removeValue(forKey: document), let entry = everything.remove(document) else {
            preconditionFailure("a document was removed twice")
        }
        totalLength -= Int(entry.length)
        SearchRelevance.forEachTerm(of: card) { term, _ in remove(document, from: Key(term: term)) }
        for tool in card.tools { remove(document, from: Key(tool: tool)) }
    }

    /// A term that the card has twice is gone the second time, and perhaps its list is.
    private mutating func remove(_ document: UInt32, from key: Key) {
        guard let list = keys[key], lists[Int(list)].remove(document) != nil else { return }
        if lists[Int(list)].isEmpty {
            keys[key] = nil
            lists[Int(list)] = PostingList()
            vacant.append(list)
        }
    }

    func checkInvariants() {
        everything.checkInvariants()
        precondition(cards.count == everything.count && keys.count + vacant.count == lists.count)
        precondition(keys.values.allSatisfy { !lists[Int($0)].isEmpty }, "a term without documents was kept")
        precondition(vacant.allSatisfy { lists[Int($0)].isEmpty })
        for list in lists { list.checkInvariants() }
    }
}
