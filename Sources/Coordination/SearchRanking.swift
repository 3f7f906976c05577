// How a query is answered: terms in, the best documents out.
//
// Document numbers are gone through in windows of a thousand or so. In each, every term adds its part to
// the scores of its documents, in a row of sums that stays in the processor's nearest cache; then the
// sums are offered to the best so far. A dictionary of sums would be ten times as slow, and a row for all
// documents would have to be as long as the numbers are far apart.
//
// A query never filters: when it matches too few, the oldest of the rest follow.

extension SearchIndex {
    /// Documents in a window: 4 KiB of sums.
    private static let windowSize: UInt32 = 1_024

    /// All accepted documents whose card names all of `tools`, byte by byte; best score first, equal and no
    /// score in the order of age; at most `limit`. What `accepting` says is asked only of documents
    /// that would be in the answer, possibly twice.
    func rank(query: String, tools: [String], limit: Int, accepting: (UInt32) -> Bool) -> [UInt32] {
        guard limit > 0, let candidates = documents(namingAll: tools) else { return [] }
        let terms = terms(of: query)
        var ranked: [UInt32] = []
        if !terms.isEmpty {
            var best = SearchBest(limit: limit)
            score(terms, among: candidates, into: &best, accepting: accepting)
            ranked = best.documents
        }
        guard ranked.count < limit else { return ranked }
        // There was room for everything that matched, so what is missing here did not match.
        let matched = Set(ranked)
        var rest = PostingList.Cursor(candidates)
        while ranked.count < limit, let document = rest.document {
            if !matched.contains(document) && accepting(document) { ranked.append(document) }
            rest.advance()
        }
        return ranked
    }

    /// Nil when there are none.
    private func documents(namingAll tools: [String]) -> PostingList? {
        guard !tools.isEmpty else { return everything }
        var lists: [PostingList] = []
        for tool in tools {
            guard let list = documents(naming: tool) else { return nil }
            lists.append(list)
        }
        lists.sort { $0.count < $1.count }
        // The shortest is gone through, in the others its documents are looked up.
        guard lists.count > 1 else { return lists[0] }
        var shortest = PostingList.Cursor(lists[0])
        var others = lists.dropFirst().map { PostingList.Cursor($0) }
        var common = PostingList()
        search: while let document = shortest.document {
            for index in others.indices {
                others[index].seek(document)
                guard let found = others[index].document else { break search }
                guard found == document else {
                    shortest.seek(found)
                    continue search
                }
            }
            _ = common.add(document, weight: 0)
            shortest.advance()
        }
        return common
    }

    private struct QueryTerm {
        var cursor: PostingList.Cursor
        let worth: Float
    }

    /// Those that count, the rarest first. A term that the query names twice counts once: it is one wish.
    private func terms(of query: String) -> [QueryTerm] {
        var tokenizer = Tokenizer()
        var said: [[UInt8]] = []
        var seen: Set<[UInt8]> = []
        tokenizer.forEachTerm(in: query) { term in
            if seen.insert(term).inserted { said.append(term) }
        }
        let telling = said.filter { !SearchRelevance.fillers.contains($0) }
        let lists = (telling.isEmpty ? said : telling).compactMap { documents(having: $0) }
        let byRarity = lists.indices.sorted { (lists[$0].count, $0) < (lists[$1].count, $1) }
        var terms: [QueryTerm] = []
        var postings = 0
        for index in byRarity.prefix(SearchRelevance.maxQueryTerms) {
            postings += lists[index].count
            if postings > SearchRelevance.maxPostings && !terms.isEmpty { break }
            terms.append(
                QueryTerm(
                    cursor: PostingList.Cursor(lists[index]),
                    worth: SearchRelevance.worth(of: lists[index].count, in: everything.count)))
        }
        return terms
    }

    private func score(
        _ terms: consuming [QueryTerm], among candidates: PostingList, into best: inout SearchBest,
        accepting: (UInt32) -> Bool
    ) {
        let saturation = SearchRelevance.Saturation(averageLength: averageLength)
        var candidate = PostingList.Cursor(candidates)
        var sums = ContiguousArray<Float>(repeating: 0, count: Int(SearchIndex.windowSize))
        while let start = SearchIndex.nextMatch(of: &terms, among: &candidate) {
            let end = start.addingReportingOverflow(SearchIndex.windowSize - 1)
            let last = end.overflow ? .max : end.partialValue
            sums.withUnsafeMutableBufferPointer { sums in
                sums.update(repeating: 0)
                for index in terms.indices {
                    let worth = terms[index].worth
                    terms[index].cursor.drain(through: last) { posting in
                        sums[Int(posting.document - start)] += worth * saturation(posting)
                    }
                }
                candidate.drain(through: last) { posting in
                    let score = sums[Int(posting.document - start)]
                    if score > 0 { best.offer(posting.document, score: score, if: accepting) }
                }
            }
        }
    }

    /// The first candidate from here on that could have one of the terms; all cursors skip to it.
    private static func nextMatch(of terms: inout [QueryTerm], among candidate: inout PostingList.Cursor) -> UInt32? {
        while let document = candidate.document {
            var nearest: UInt32?
            for index in terms.indices {
                terms[index].cursor.seek(document)
                if let next = terms[index].cursor.document { nearest = min(nearest ?? next, next) }
            }
            guard let nearest else { return nil }
            if nearest == document { return document }
            candidate.seek(nearest)
        }
        return nil
    }
}
