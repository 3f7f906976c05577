// How well a card answers a query: BM25F, in its simple form. Each field has a weight, an occurrence in a
// field counts as that many, and what comes of it is ranked as one text by BM25 (S. Robertson, H. Zaragoza,
// M. Taylor, "Simple BM25 extension to multiple weighted fields", CIKM 2004). Scoring each field by itself
// and adding up is what the paper warns of: a word in five fields would count as five words.
//
// Its three ideas: a rare term says more than a common one; the first occurrence says more than the
// fifth; and an occurrence in a short card says more than one in a long card.

enum SearchRelevance {
    /// What an occurrence counts, in halves, so that plain prose is 2.
    ///
    /// A name and a tool are chosen words that say what an agent is and has. A capability is what its author
    /// thought worth a heading. A description is prose. Metadata is for machines (region, owner, build) and
    /// meets a query by accident more often than not.
    enum Weight {
        static let name: UInt16 = 6
        static let tool: UInt16 = 6
        static let capability: UInt16 = 4
        static let description: UInt16 = 2
        static let metadata: UInt16 = 1
        fileprivate static let one: Float = 2
    }

    /// How soon further occurrences stop counting, and how much the length counts. Both are the values that
    /// S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), find
    /// reasonable in many circumstances (k1 between 1.2 and 2, b between 0.5 and 0.8), and Lucene's defaults.
    static let k1: Float = 1.2
    static let b: Float = 0.75

    /// The most terms of a query that count, the rarest first. The caller bounds a query's bytes; of 4 KiB,
    /// all that goes beyond 64 terms is a pasted text, whose rare words tell what it is about.
    static let maxQueryTerms = 64
    /// The most postings that a query reads, the rarest term's first: some milliseconds under the lock.
    /// What is cut are the terms that are in nearly every card and tell none from another.
    static let maxPostings = 2_000_000

    /// Words that make a question and are not what it asks for. They count only when there are no others: in
    /// a registry of three agents "the" can be as rare as "browser". As the tokenizer gives them.
    static let fillers: Set<[UInt8]> = Set(
        [
            "a", "an", "and", "any", "are", "as", "at", "be", "by", "can", "do", "doe", "does", "for", "from", "has",
            "have", "how", "i", "if", "in", "into", "is", "it", "me", "my", "need", "of", "on", "or", "our", "some",
            "that", "the", "their", "them", "these", "they", "this", "those", "to", "want", "we", "what", "when",
            "where", "which", "who", "with", "you", "your",
        ].map { [UInt8]($0.utf8) })

    /// What a term is worth that `count` of `total` documents have: BM25's inverse document frequency, with
    /// Lucene's 1 added inside, so that a term which most have is worth little but never less than nothing.
    /// The logarithm is not in the standard library.
    static func worth(of count: Int, in total: Int) -> Float {
        naturalLogarithm(1 + (Double(total - count) + 0.5) / (Double(count) + 0.5))
    }

    /// BM25's saturation of one posting, between 0 and 1, for documents of this average length.
    struct Saturation {
        private let base: Float
        private let perLength: Float

        init(averageLength: Float) {
            let k = k1 * Weight.one
            base = k * (1 - b)
            perLength = k * b / max(averageLength, 1)
        }

        @inline(__always) func callAsFunction(_ posting: PostingList.Posting) -> Float {
            let frequency = Float(posting.frequency)
            return frequency / (frequency + base + perLength * Float(posting.length))
        }
    }

    /// Hands out every term of a card with the weight of its field. The version is left out: nobody looks
    /// for an agent by it.
    static func forEachTerm(of card: AgentCard, _ body: ([UInt8], UInt16) -> Void) {
        var tokenizer = Tokenizer()
        tokenizer.forEachTerm(in: card.name) { body($0, Weight.name) }
        for tool in card.tools { tokenizer.forEachTerm(in: tool) { body($0, Weight.tool) } }
        for capability in card.capabilities {
            tokenizer.forEachTerm(in: capability.name) { body($0, Weight.capability) }
            tokenizer.forEachTerm(in: capability.description) { body($0, Weight.capability) }
        }
        tokenizer.forEachTerm(in: card.description) { body($0, Weight.description) }
        for entry in card.metadata {
            tokenizer.forEachTerm(in: entry.key) { body($0, Weight.metadata) }
            tokenizer.forEachTerm(in: entry.value) { body($0, Weight.metadata) }
        }
    }

    /// Of a number from 1 to 2^40 or so: the exponent is exact, the rest is the series of the inverse
    /// hyperbolic tangent, which after eight terms is exact to a Float for a significand from 1 to 2.
    private static func naturalLogarithm(_ x: Double) -> Float {
        let z = (x.significand - 1) / (x.significand + 1)
        var power = z
        var sum = 0.0
        for odd in stride(from: 1.0, through: 15, by: 2) {
            sum += power / odd
            power *= z * z
        }
        return Float(2 * sum + Double(x.exponent) * 0.693_147_180_559_945_3)
    }
}
