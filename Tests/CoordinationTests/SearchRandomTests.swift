import Glibc
import Testing

@testable import Coordination

/// The index against a scorer that reads every card at each query, does its sums in double precision and
/// sorts everything.
@Suite("Finding agents, compared with a plain scan")
struct SearchRandomTests {
    private struct Scan {
        private(set) var cards: [(document: UInt32, card: AgentCard, counts: [String: Int], length: Int)] = []

        mutating func insert(_ document: UInt32, _ card: AgentCard) {
            var counts: [String: Int] = [:]
            var fields = [(card.name, 6), (card.description, 2)] + card.tools.map { ($0, 6) }
            for capability in card.capabilities { fields += [(capability.name, 4), (capability.description, 4)] }
            for entry in card.metadata { fields += [(entry.key, 1), (entry.value, 1)] }
            for (text, weight) in fields {
                for term in Scan.terms(text) { counts[term, default: 0] += weight }
            }
            cards.append((document, card, counts, counts.values.reduce(0, +)))
        }

        mutating func remove(at place: Int) -> UInt32 { cards.remove(at: place).document }

        /// The vocabulary is of plain words, so that cutting is not what is tested here.
        static func terms(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }

        func rank(_ query: String, _ tools: [String]) -> [(document: UInt32, score: Double)] {
            let average = Double(cards.reduce(0) { $0 + $1.length }) / Double(max(cards.count, 1))
            let worths = Set(Scan.terms(query)).map { term in
                let have = Double(cards.count { $0.counts[term] != nil })
                return (term: term, worth: log(1 + (Double(cards.count) - have + 0.5) / (have + 0.5)))
            }
            var result: [(document: UInt32, score: Double)] = []
            for card in cards where Set(tools).isSubset(of: card.card.tools) {
                var score = 0.0
                for (term, worth) in worths {
                    let frequency = Double(card.counts[term] ?? 0) / 2
                    let norm = 1.2 * (0.25 + 0.75 * Double(card.length) / average)
                    score += worth * frequency / (frequency + norm)
                }
                result.append((card.document, score))
            }
            return result.sorted { ($1.score, $0.document) < ($0.score, $1.document) }
        }
    }

    @Test("The same agents in the same order, whatever comes, goes and is asked")
    func comparison() {
        for run: UInt64 in 0..<2 {
            var random = SeededRandom(seed: testSeed &+ run)
            var index = SearchIndex()
            var scan = Scan()
            for step in 0..<6_000 {
                // Grow, shrink, grow: blocks fill, merge and go.
                let growing = step % 3_000 < 2_200
                if scan.cards.isEmpty || random.below(10) < (growing ? 9 : 1) {
                    let card = random.card()
                    scan.insert(index.insert(card), card)
                } else {
                    index.remove(scan.remove(at: random.below(scan.cards.count)))
                }
                if step % 100 == 0 {
                    compare(index, scan, &random, "AGENTKEEPER_SEED=\(testSeed), run \(run), step \(step)")
                }
            }
            index.checkInvariants()
        }
    }

    private func compare(_ index: SearchIndex, _ scan: Scan, _ random: inout SeededRandom, _ place: String) {
        let query = random.text(below: 6)
        let tools = random.tools(below: 3)
        let limit = [1, 10, 10_000][random.below(3)]
        let parity = UInt32(random.below(3))
        let accepting = { (document: UInt32) in document % 3 != parity }
        let expected = scan.rank(query, tools).filter { accepting($0.document) }
        let found = index.rank(query: query, tools: tools, limit: limit, accepting: accepting)
        #expect(found.count == min(limit, expected.count), "\(place)")
        let scores = Dictionary(uniqueKeysWithValues: expected.map { ($0.document, $0.score) })
        #expect(Set(found).count == found.count && found.allSatisfy { scores[$0] != nil }, "\(place)")
        for (document, best) in zip(found, expected) {
            // Single precision may take scores this close for equal, or for the other way round.
            #expect(abs((scores[document] ?? -1) - best.score) < 1e-5, "\(place): \(query), \(tools)")
        }
        for (document, next) in zip(found, found.dropFirst()) where scores[document] == 0 && scores[next] == 0 {
            #expect(document < next, "\(place)")
        }
    }
}

extension SeededRandom {
    fileprivate mutating func below(_ bound: Int) -> Int { bound == 0 ? 0 : Int.random(in: 0..<bound, using: &self) }

    /// Some words are in every other card, some in hardly any.
    private static let words = [
        "web", "page", "red", "green", "blue", "cat", "dog", "bird", "sun", "moon", "star", "rain", "snow", "wind",
    ]

    fileprivate mutating func word() -> String { SeededRandom.words[below(1 + below(SeededRandom.words.count))] }

    fileprivate mutating func text(below bound: Int) -> String {
        (0..<below(bound)).map { _ in word() }.joined(separator: " ")
    }

    fileprivate mutating func tools(below bound: Int) -> [String] { (0..<below(bound)).map { _ in word() } }

    fileprivate mutating func card() -> AgentCard {
        AgentCard(
            name: word(), description: text(below: 12), version: "1",
            capabilities: (0..<below(3)).map { _ in .init(name: word(), description: text(below: 4)) },
            tools: tools(below: 6), metadata: (0..<below(2)).map { _ in .init(key: word(), value: word()) })
    }
}
