// A policy's pattern: `*` matches any run of bytes, none included; everything else matches itself.
//
// With no other wildcard than `*`, a pattern is a beginning, an end, and pieces between that must occur
// in order without overlapping. Taking each piece where it occurs first is always right, since it leaves
// the most for the rest: nothing is ever tried twice. Each piece is searched with the failure table of
// Knuth, Morris and Pratt (SIAM J. Comput. 6, 1977), so a match looks at each byte of the text about
// twice, whatever a client thinks up. A backtracking matcher would need pattern × text for `*aaab*`.
//
// Bytes and not characters: UTF-8 never has one character's bytes inside another's.

struct Pattern: Sendable {
    private let bytes: [UInt8]
    /// Before the first `*`; all of the pattern if there is none.
    let headCount: Int
    let isLiteral: Bool
    /// Where the end after the last `*` begins.
    private let tail: Int
    private let pieces: [Range<Int>]
    /// For each byte of a piece: how long a beginning of the piece ends there, short of the whole.
    private let failure: [UInt16]

    private static let star = UInt8(ascii: "*")

    init(_ text: String) {
        bytes = Array(text.utf8)
        precondition(bytes.count <= Int(UInt16.max))
        guard let first = bytes.firstIndex(of: Pattern.star), let last = bytes.lastIndex(of: Pattern.star) else {
            (headCount, isLiteral, tail, pieces, failure) = (bytes.count, true, bytes.count, [], [])
            return
        }
        (headCount, isLiteral, tail) = (first, false, last + 1)
        let pieces = bytes[first...last].split(separator: Pattern.star).map(\.indices)
        var failure = [UInt16](repeating: 0, count: pieces.isEmpty ? 0 : bytes.count)
        for piece in pieces {
            var matched = 0
            for index in piece.dropFirst() {
                while matched > 0 && bytes[piece.lowerBound + matched] != bytes[index] {
                    matched = Int(failure[piece.lowerBound + matched - 1])
                }
                if bytes[piece.lowerBound + matched] == bytes[index] { matched += 1 }
                failure[index] = UInt16(matched)
            }
        }
        (self.pieces, self.failure) = (pieces, failure)
    }

    /// The literal beginning, which every text that matches begins with.
    var head: ArraySlice<UInt8> { bytes[..<headCount] }

    func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        let tailCount = bytes.count - tail
        guard isLiteral ? text.count == headCount : text.count >= headCount + tailCount else { return false }
        for index in 0..<headCount where text[index] != bytes[index] { return false }
        let end = text.count - tailCount
        for index in 0..<tailCount where text[end + index] != bytes[tail + index] { return false }
        return pieces.isEmpty || containsPieces(UnsafeBufferPointer(rebasing: text[headCount..<end]))
    }

    private func containsPieces(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var next = 0
        var matched = 0
        for byte in text {
            let start = pieces[next].lowerBound
            while matched > 0 && bytes[start + matched] != byte {
                matched = Int(failure[start + matched - 1])
            }
            if bytes[start + matched] == byte { matched += 1 }
            if matched == pieces[next].count {
                next += 1
                matched = 0
                if next == pieces.count { return true }
            }
        }
        return false
    }
}
