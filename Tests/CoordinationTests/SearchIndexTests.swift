import Testing

@testable import Coordination

@Suite("Finding agents")
struct SearchIndexTests {
    private var index = SearchIndex()

    private func find(
        _ query: String, tools: [String] = [], limit: Int = 1_000, accepting: (UInt32) -> Bool = { _ in true }
    ) -> [UInt32] {
        index.checkInvariants()
        return index.rank(query: query, tools: tools, limit: limit, accepting: accepting)
    }

    private mutating func insert(descriptions: String...) {
        for text in descriptions { _ = index.insert(AgentCard(name: "agent", description: text)) }
    }

    @Test("What an agent says it does decides, in whatever form of the words")
    mutating func browserBeforeDatabase() {
        _ = index.insert(
            AgentCard(name: "db", description: "Runs SQL queries reads database", tools: ["sql"]))
        _ = index.insert(
            AgentCard(
                name: "web", description: "Browses web pages fetches URLs", tools: ["browser", "http_client"]))
        #expect(find("browse web pages fetch URLs") == [1, 0])
        #expect(find("browsing a webpage, fetching one url") == [1, 0])
        #expect(find("query databases") == [0, 1])
        #expect(find("HTTP client") == [1, 0])
        #expect(find("httpClient") == [1, 0])
    }

    @Test("A query never filters, and what it doesn't match follows by age")
    mutating func neverFilters() {
        insert(descriptions: "one", "two", "three", "two")
        #expect(find("three") == [2, 0, 1, 3])
        #expect(find("two") == [1, 3, 0, 2])
        #expect(find("four") == [0, 1, 2, 3])
        #expect(find("") == [0, 1, 2, 3])
        #expect(find(" - \u{301}") == [0, 1, 2, 3])
    }

    @Test("A name or a tool says more than a capability, that more than prose, and metadata the least")
    mutating func fields() {
        // As many words in each, so that only the field differs.
        _ = index.insert(AgentCard(name: "a", description: "b c", metadata: [.init(key: "team", value: "translate")]))
        _ = index.insert(AgentCard(name: "a", description: "translate c", metadata: [.init(key: "team", value: "d")]))
        _ = index.insert(AgentCard(name: "a", capabilities: [.init(name: "translate", description: "")]))
        _ = index.insert(AgentCard(name: "a", capabilities: [.init(name: "", description: "translate")]))
        _ = index.insert(AgentCard(name: "a", tools: ["translate"]))
        _ = index.insert(AgentCard(name: "translate", tools: ["a"]))
        #expect(find("translates") == [4, 5, 2, 3, 1, 0])
        #expect(find("team") == [0, 1, 2, 3, 4, 5])
    }

    @Test("A rare word says more than a common one")
    mutating func rareWords() {
        insert(descriptions: "common x", "common y", "common z", "rare v", "common w")
        #expect(find("common rare").first == 3)
    }

    @Test("Both words are better than one of them twice")
    mutating func moreWords() {
        insert(descriptions: "invoices invoices invoices x", "contracts contracts y z", "invoices and contracts x")
        #expect(find("invoice contract").first == 2)
    }

    @Test("A short card is more about its words than a long one")
    mutating func shortCards() {
        insert(descriptions: "weather and " + String(repeating: "something else ", count: 20), "weather reports")
        #expect(find("weather") == [1, 0])
    }

    @Test("The words of the question itself count only when there are no others")
    mutating func fillers() {
        insert(descriptions: "an assistant which can do the things that you need", "browser", "IT helpdesk")
        #expect(find("which of these can do the browsing for me").first == 0)
        #expect(find("the agent which can do browsing").last != 1)
        #expect(find("the browser which I need") == [1, 0, 2])
        #expect(find("it") == [2, 0, 1])
    }

    @Test("Equal scores are in the order of registration")
    mutating func ties() {
        for _ in 0..<3_000 { _ = index.insert(AgentCard(name: "replica", description: "does work")) }
        #expect(find("work", limit: 1_000) == Array(0..<1_000))
        for document in stride(from: UInt32(0), to: 3_000, by: 2) { index.remove(document) }
        _ = index.insert(AgentCard(name: "replica", description: "does work"))
        #expect(find("work", limit: 2_000) == Array(stride(from: 1, to: 3_000, by: 2)) + [3_000])
    }

    @Test("An agent must have all of the tools, each named byte by byte")
    mutating func tools() {
        for tools in [["a", "b"], ["a"], ["b", "a", "a"], [], ["A", "b"], ["é"], ["e\u{301}"], [""], ["ab"]] {
            _ = index.insert(AgentCard(name: "x", tools: tools))
        }
        #expect(find("", tools: ["a"]) == [0, 1, 2])
        #expect(find("", tools: ["b", "a"]) == [0, 2])
        #expect(find("", tools: ["a", "a"]) == [0, 1, 2])
        #expect(find("", tools: ["b", "c"]) == [])
        #expect(find("", tools: ["é"]) == [5])
        #expect(find("", tools: ["e\u{301}"]) == [6])
        #expect(find("", tools: [""]) == [7])
        #expect(find("x b", tools: ["a"]).last == 1)
        index.remove(0)
        index.remove(2)
        #expect(find("", tools: ["b", "a"]) == [])
        #expect(find("", tools: ["b"]) == [4])
    }

    @Test("The limit is kept, and who isn't accepted takes no place in it")
    mutating func limits() {
        insert(descriptions: "work", "work", "play", "work", "play")
        #expect(find("work", limit: 2) == [0, 1])
        #expect(find("work", limit: 2) { $0 != 0 } == [1, 3])
        #expect(find("work", limit: 4) { $0 != 1 } == [0, 3, 2, 4])
        #expect(find("work", limit: 0) == [])
        #expect(find("work") { _ in false } == [])
    }

    @Test("A removed card is found no more, and its words weigh no more")
    mutating func removal() {
        insert(descriptions: "one two", "two three", "three one")
        index.remove(1)
        #expect(find("three") == [2, 0])
        #expect(index.documents(having: Array("two".utf8))?.count == 1)
        index.remove(0)
        index.remove(2)
        #expect(find("three") == [])
        #expect(index.documents(having: Array("three".utf8)) == nil)
        #expect(index.averageLength == 0)
        #expect(index.insert(AgentCard(name: "three")) == 3)
        #expect(find("three") == [3])
    }

    enum Removal: CaseIterable {
        case fromTheFront
        case fromTheBack
        /// Over all: 8 and 19 999 have no common divisor.
        case jumping
    }

    @Test("A long list that becomes a short one gives its blocks back", arguments: Removal.allCases)
    func shrinkingList(removal: Removal) {
        var list = PostingList()
        for document: UInt32 in 0..<20_000 { _ = list.add(document, weight: 1) }
        #expect(list.blockCount == 79)
        for turn: UInt32 in 0..<19_999 {
            let document =
                switch removal {
                case .fromTheFront: turn
                case .fromTheBack: 19_998 - turn
                case .jumping: turn * 8 % 19_999
                }
            guard document % 100 != 0 else { continue }
            #expect(list.remove(document)?.document == document)
            #expect(turn % 100 != 0 || list.remove(document) == nil)
            if turn % 500 == 1 { list.checkInvariants() }
        }
        list.checkInvariants()
        // 200 are left, and the newest, which nobody removed.
        #expect(list.count == 201)
        #expect(list.blockCount <= 5)
        var cursor = PostingList.Cursor(list)
        cursor.seek(10_001)
        #expect(cursor.document == 10_100)
        cursor.seek(19_901)
        #expect(cursor.document == 19_999)
        cursor.advance()
        #expect(cursor.document == nil)
    }

    @Test("Agents that come and go, with new words each time, leave nothing behind")
    mutating func churn() {
        for round in 0..<3_000 {
            _ = index.insert(AgentCard(name: "worker-\(round)", description: "does work", tools: ["tool-\(round)"]))
            if round >= 100 { index.remove(UInt32(round - 100)) }
        }
        index.checkInvariants()
        #expect(index.everything.count == 100)
        // Of each card: number, worker and number, tool and number, tool as a whole. Shared: five words.
        #expect(index.termCapacity <= 101 * 4 + 5)
        #expect(find("worker-2950", limit: 1) == [2_950])
    }

    @Test("A card or a query as large as they may be, of one word or of ten thousand, is taken")
    mutating func extremes() {
        let words = (0..<10_000).map { "w\($0)" }.joined(separator: " ")
        for text in [words, String(repeating: "same ", count: 13_000), String(repeating: "天地", count: 10_000)] {
            _ = index.insert(AgentCard(name: "big", description: text))
        }
        #expect(find(String(words.prefix(4_096))) == [0, 1, 2])
        #expect(find("same").first == 1)
        #expect(find("天地").first == 2)
        for document: UInt32 in 0..<3 { index.remove(document) }
        #expect(find("same") == [])
    }
}
