// The best of many scored documents, without sorting all: a heap with the worst of the kept on top, which a
// better one replaces.
//
// A score and a document are one number: the score's bits above, and below them the document counted
// backwards. A score is never negative, and the bits of such floating-point numbers are in the order of
// their values; so one comparison decides by score and, where scores are equal, for the older document.

struct SearchBest {
    private let limit: Int
    /// Every node is smaller than its two children.
    private var heap: ContiguousArray<UInt64> = []

    init(limit: Int) {
        precondition(limit > 0)
        self.limit = limit
    }

    /// Keeps the document if it is among the best so far and, which is asked only then, it is wanted.
    @inline(__always)
    mutating func offer(_ document: UInt32, score: Float, if isWanted: (UInt32) -> Bool) {
        let entry = UInt64(score.bitPattern) << 32 | UInt64(~document)
        if heap.count < limit {
            guard isWanted(document) else { return }
            heap.append(entry)
            rise(entry)
        } else if entry > heap[0], isWanted(document) {
            sink(entry)
        }
    }

    /// Best first.
    var documents: [UInt32] {
        heap.sorted(by: >).map { ~UInt32(truncatingIfNeeded: $0) }
    }

    private mutating func rise(_ entry: UInt64) {
        var position = heap.count - 1
        while position > 0, entry < heap[(position - 1) / 2] {
            heap[position] = heap[(position - 1) / 2]
            position = (position - 1) / 2
        }
        heap[position] = entry
    }

    /// Puts the entry in the place of the worst.
    private mutating func sink(_ entry: UInt64) {
        var position = 0
        while case var child = 2 * position + 1, child < heap.count {
            if child + 1 < heap.count && heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < entry else { break }
            heap[position] = heap[child]
            position = child
        }
        heap[position] = entry
    }
}
