// The documents in which a term occurs, oldest first: what an inverted index is made of.
//
// Document numbers only grow, so a new posting always goes to the end. One that leaves is taken out at
// once, and so that this costs the same in a list of a hundred thousand as in one of ten, the list is a
// row of blocks and only one block is moved together. The obvious way, to mark the dead and sweep when
// half are, would make one unlucky removal sweep every long list while everybody waits for the lock.
//
// Invariant: no sealed block is empty, and two neighbours are never so small that they would fit in half a
// block; so the memory stays in proportion to what is in the list.

struct PostingList: Sendable {
    struct Posting: Sendable {
        let document: UInt32
        /// How often the term occurs in the document, each occurrence counted with the weight of its field.
        fileprivate(set) var frequency: UInt16
        /// How long the document is, counted likewise. It is the same in all postings of a document, but
        /// here it costs a query no second look-up.
        fileprivate(set) var length: UInt16
    }

    typealias Block = ContiguousArray<Posting>

    /// Postings in a block: 2 KiB, moved in some 50 ns.
    static let blockSize = 256

    private(set) var count = 0
    private var sealed: ContiguousArray<Block> = []
    /// The last block. Most terms are rare, and then it is all there is.
    private var open: Block = []

    var isEmpty: Bool { count == 0 }
    var blockCount: Int { open.isEmpty ? sealed.count : sealed.count + 1 }

    /// No block is empty.
    @inline(__always) func block(_ index: Int) -> Block { index < sealed.count ? sealed[index] : open }

    /// One occurrence more in the newest document. Whether it is the first.
    mutating func add(_ document: UInt32, weight: UInt16) -> Bool {
        if let last = open.last, last.document == document {
            let (sum, overflow) = last.frequency.addingReportingOverflow(weight)
            open[open.count - 1].frequency = overflow ? .max : sum
            return false
        }
        if open.count == PostingList.blockSize {
            sealed.append(open)
            open = []
        }
        open.append(Posting(document: document, frequency: weight, length: 0))
        count += 1
        return true
    }

    /// The newest document turned out to be so long.
    mutating func setLength(_ length: UInt16) { open[open.count - 1].length = length }

    /// Takes the document out, if it is there.
    mutating func remove(_ document: UInt32) -> Posting? {
        let index = sealed.firstIndex(from: 0) { ($0.last?.document ?? 0) >= document }
        let position = block(index).firstIndex(from: 0) { $0.document >= document }
        guard position < block(index).count, block(index)[position].document == document else { return nil }
        count -= 1
        guard index < sealed.count else { return open.remove(at: position) }
        let posting = sealed[index].remove(at: position)
        if sealed[index].isEmpty {
            sealed.remove(at: index)
        } else if !merge(index, index + 1) {
            _ = merge(index - 1, index)
        }
        return posting
    }

    private mutating func merge(_ index: Int, _ next: Int) -> Bool {
        guard index >= 0 && next < sealed.count,
            sealed[index].count + sealed[next].count <= PostingList.blockSize / 2
        else { return false }
        sealed[index] += sealed[next]
        sealed.remove(at: next)
        return true
    }

    func checkInvariants() {
        precondition(sealed.reduce(open.count) { $0 + $1.count } == count)
        precondition(sealed.allSatisfy { !$0.isEmpty && $0.count <= PostingList.blockSize })
        for (block, next) in zip(sealed, sealed.dropFirst()) {
            precondition(block.count + next.count > PostingList.blockSize / 2, "small blocks were not merged")
        }
        var last: UInt32?
        for index in 0..<blockCount {
            for posting in block(index) {
                if let last { precondition(last < posting.document, "out of order") }
                last = posting.document
            }
        }
    }
}

extension PostingList {
    /// Walks through a list in the order of documents, forward only. It shares the list's blocks.
    struct Cursor {
        private let list: PostingList
        private var index = 0
        private var position = 0
        private var block: Block

        init(_ list: PostingList) {
            self.list = list
            block = list.blockCount > 0 ? list.block(0) : []
        }

        /// The document that comes next; nil at the end.
        var document: UInt32? { position < block.count ? block[position].document : nil }

        mutating func advance() {
            position += 1
            if position == block.count { enter(index + 1) }
        }

        /// Skips to the first document not before this one.
        mutating func seek(_ document: UInt32) {
            while let last = block.last, last.document < document { enter(index + 1) }
            guard position < block.count, block[position].document < document else { return }
            position = block.firstIndex(from: position) { $0.document >= document }
        }

        /// Hands out everything up to this document, which is included.
        @inline(__always) mutating func drain(through end: UInt32, _ body: (Posting) -> Void) {
            while position < block.count {
                let stop =
                    (block.last?.document ?? 0) <= end
                    ? block.count : block.firstIndex(from: position) { $0.document > end }
                block.withUnsafeBufferPointer { postings in
                    for posting in postings[position..<stop] { body(posting) }
                }
                position = stop
                guard position == block.count else { return }
                enter(index + 1)
            }
        }

        private mutating func enter(_ index: Int) {
            self.index = index
            position = 0
            block = index < list.blockCount ? list.block(index) : []
        }
    }
}

extension ContiguousArray {
    /// The first of a row that first doesn't fulfil the condition and then does; the end if none does.
    @inline(__always) fileprivate func firstIndex(from start: Int, where condition: (Element) -> Bool) -> Int {
        var range = start..<count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            range = condition(self[middle]) ? range.lowerBound..<middle : (middle + 1)..<range.upperBound
        }
        return range.lowerBound
    }
}
