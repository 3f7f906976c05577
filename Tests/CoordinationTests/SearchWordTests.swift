import Testing

@testable import Coordination

@Suite("Words of cards and queries")
struct SearchWordTests {
    private static func stem(_ word: String) -> String {
        var bytes = [UInt8](word.utf8)
        Stemmer.stem(&bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func terms(_ text: String) -> [String] {
        var tokenizer = Tokenizer()
        var terms: [String] = []
        tokenizer.forEachTerm(in: text) { terms.append(String(decoding: $0, as: UTF8.self)) }
        return terms
    }

    @Test(
        "The forms of a word have one stem",
        arguments: [
            ["browse", "browses", "browsed", "browsing"],
            ["query", "queries", "queried", "querying"],
            ["summarize", "summarizes", "summarized", "summarizing", "summarization"],
            ["classify", "classifies", "classified", "classifying"],
            ["translate", "translates", "translating", "translation", "translations", "translator"],
            ["plan", "plans", "planned", "planning"],
            ["die", "dies", "died", "dying"],
            ["relational", "relate", "relates"],
            ["geology", "geologist", "geologists", "geological"],
            ["happy", "happiness"],
        ])
    func forms(words: [String]) {
        #expect(Set(words.map(Self.stem)).count == 1, "\(words.map(Self.stem))")
    }

    @Test(
        "Different words stay apart",
        arguments: [
            ["general", "generate", "generic"], ["university", "universe"], ["organ", "organize"],
            ["community", "communism"], ["news", "new"], ["past", "paste"], ["lateral", "later"],
            ["herring", "her"], ["skies", "skis"], ["evening", "even"], ["hop", "hope"],
        ])
    func distinct(words: [String]) {
        #expect(Set(words.map(Self.stem)).count == words.count, "\(words.map(Self.stem))")
    }

    @Test(
        "Every step of Porter2 does what its definition says",
        arguments: [
            // Short words and exceptions.
            ("is", "is"), ("sky", "sky"), ("skies", "sky"), ("idly", "idl"), ("gently", "gentl"), ("only", "onli"),
            ("howe", "howe"), ("atlas", "atlas"), ("bias", "bias"), ("andes", "andes"),
            // 1a.
            ("caresses", "caress"), ("ties", "tie"), ("cries", "cri"), ("gas", "gas"), ("this", "this"),
            ("gaps", "gap"), ("kiwis", "kiwi"), ("status", "status"), ("glass", "glass"),
            // 1b.
            ("agreed", "agre"), ("feed", "feed"), ("proceed", "proceed"), ("exceeds", "exceed"),
            ("plastered", "plaster"),
            ("bled", "bled"), ("motoring", "motor"), ("sing", "sing"), ("luxuriating", "luxuri"),
            ("troubled", "troubl"),
            ("sized", "size"), ("hopping", "hop"), ("hoping", "hope"), ("added", "add"), ("egged", "egg"),
            ("falling", "fall"), ("filing", "file"), ("vying", "vie"), ("outing", "outing"), ("earrings", "earring"),
            ("repeatedly", "repeat"), ("interestingly", "interest"),
            // 1c.
            ("cry", "cri"), ("by", "by"), ("say", "say"), ("enjoy", "enjoy"),
            // 2.
            ("conditional", "condit"), ("valency", "valenc"), ("hesitancy", "hesit"), ("digitizer", "digit"),
            ("operator", "oper"), ("formality", "formal"), ("sensitivity", "sensit"), ("sensibility", "sensibl"),
            ("apology", "apolog"), ("apologist", "apolog"), ("carefully", "care"), ("carelessly", "careless"),
            ("quickly", "quick"), ("family", "famili"),
            // 3.
            ("triplicate", "triplic"), ("formative", "format"), ("electrical", "electr"), ("goodness", "good"),
            ("hopeful", "hope"), ("negative", "negat"),
            // 4.
            ("revival", "reviv"), ("allowance", "allow"), ("airliner", "airlin"), ("adjustable", "adjust"),
            ("replacement", "replac"), ("adjustment", "adjust"), ("adoption", "adopt"), ("champion", "champion"),
            ("activate", "activ"), ("effective", "effect"),
            // 5.
            ("probate", "probat"), ("rate", "rate"), ("cease", "ceas"), ("controll", "control"), ("roll", "roll"),
            // Beginnings that are whole, and y as a consonant.
            ("generously", "generous"), ("arsenal", "arsenal"), ("communal", "communal"), ("emergency", "emergenc"),
            ("youth", "youth"), ("boyish", "boyish"), ("flying", "fli"), ("syzygy", "syzygi"),
        ])
    func steps(word: String, stem: String) {
        #expect(Self.stem(word) == stem)
    }

    @Test(
        "An identifier gives its parts and itself",
        arguments: [
            ("http_client", ["http", "client", "httpclient"]),
            ("HTTPClient", ["http", "client", "httpclient"]),
            ("http-client", ["http", "client", "httpclient"]),
            ("http.client", ["http", "client", "httpclient"]),
            ("httpClients", ["http", "client", "httpclient"]),
            ("http client", ["http", "client"]),
            ("__init__", ["init"]),
            ("GitHub", ["git", "hub", "github"]),
            ("gpt-4", ["gpt", "4", "gpt4"]),
            ("gpt4", ["gpt", "4", "gpt4"]),
            ("URLs", ["url"]),
            ("the URLs.", ["the", "url"]),
            ("APIsServer", ["api", "server", "apisserv"]),
            ("e-mail", ["e", "mail", "email"]),
            ("O'Brien’s", ["o", "brien", "s", "obrien"]),
            ("R&D", ["r", "d", "rd"]),
            ("C++ and C#", ["c", "c++", "and", "c", "c#"]),
            ("C++17", ["c", "c++", "17"]),
            ("#tag + more", ["tag", "more"]),
            ("a/b:c", ["a", "b", "c"]),
            ("", []),
            (" -_.' ", []),
        ])
    func identifiers(text: String, terms: [String]) {
        #expect(Self.terms(text) == terms)
    }

    @Test(
        "No script is lost, and accents, width and case make no difference",
        arguments: [
            ("Café", ["cafe"]), ("Cafe\u{301}", ["cafe"]), ("ÇA", ["ca"]), ("ŁÓDŹ", ["lodz"]), ("Việt", ["viet"]),
            ("İstanbul", ["istanbul"]), ("straße", ["straße"]), ("ПОГОДА погода", ["погода", "погода"]),
            ("ＡＰＩ", ["api"]), ("天気予報", ["天", "気", "天気", "予", "気予", "報", "予報"]), ("猫", ["猫"]),
            ("AI助手", ["ai", "助", "手", "助手"]), ("天 気", ["天", "気"]), ("날씨", ["날", "씨", "날씨"]),
            ("हिन्दी", ["हिन्दी"]), ("سلام", ["سلام"]), ("v٣", ["v", "٣", "v٣"]), ("🚀rocket", ["🚀", "rocket"]),
            ("❤\u{FE0F}", ["❤"]), ("co\u{AD}operate", ["cooper"]), ("\0a\0b", ["a", "b"]),
        ])
    func scripts(text: String, terms: [String]) {
        #expect(Self.terms(text).map { Array($0.utf8) } == terms.map { Array($0.utf8) })
    }

    @Test("A word longer than any that is searched is cut, and one of many parts is not joined")
    func longWords() {
        #expect(Self.terms(String(repeating: "x", count: 70_000)) == [String(repeating: "x", count: 64)])
        #expect(Self.terms(String(repeating: "ж", count: 1_000)) == [String(repeating: "ж", count: 32)])
        #expect(Self.terms(String(repeating: "ab-", count: 1_000)) == Array(repeating: "ab", count: 1_000))
        #expect(Self.terms("c" + String(repeating: "+", count: 70_000)) == ["c"])
        #expect(Self.terms(String(repeating: "X", count: 100) + "abc") == [String(repeating: "x", count: 64), "abc"])
    }

    @Test("One text leaves nothing behind for the next")
    func textsAreSeparate() {
        var tokenizer = Tokenizer()
        var terms: [String] = []
        for text in ["天", "気", "gpt-", "4", "c+", "x"] {
            tokenizer.forEachTerm(in: text) { terms.append(String(decoding: $0, as: UTF8.self)) }
        }
        #expect(terms == ["天", "気", "gpt", "4", "c", "c+", "x"])
    }
}
