// The tables of the stemmer: which endings, in which order, become what. All of it is Porter's and
// Snowball's (see Stemmer.swift), none of it ours.

enum StemmerRules {
    struct Rule: Sendable {
        let ending: Letters
        let replacement: Letters
        /// Where the ending has to lie: in R2, or else in R1.
        let isInR2: Bool
        /// Unless it is empty, one of these has to stand before the ending.
        let after: LetterSet

        init(_ ending: StaticString, _ replacement: StaticString = "", inR2: Bool = false, after: StaticString = "") {
            self.ending = Letters(ending)
            self.replacement = Letters(replacement)
            isInR2 = inR2
            self.after = LetterSet(after)
        }
    }

    /// Words that don't go through the steps.
    static let exceptions: [(Letters, Letters)] = [
        ("skies", "sky"), ("idly", "idl"), ("gently", "gentl"), ("ugly", "ugli"), ("early", "earli"),
        ("only", "onli"), ("singly", "singl"), ("sky", "sky"), ("news", "news"), ("howe", "howe"),
        ("atlas", "atlas"), ("cosmos", "cosmos"), ("bias", "bias"), ("andes", "andes"),
    ].map { (Letters($0), Letters($1)) }

    /// Beginnings after which R1 starts: without them general would be generate, and university universe.
    static let wholeStems = letters([
        "gener", "commun", "arsen", "past", "univers", "later", "emerg", "organ",
    ])

    static let sses = Letters("sses")
    static let iedAndIes = letters(["ied", "ies"])
    static let endingsInSThatStay = letters(["us", "ss"])
    static let eeds = letters(["eedly", "eed"])
    static let ing = Letters("ing")
    static let ie = Letters("ie")
    static let ll = Letters("ll")
    static let past = Letters("past")
    static let pastAndParticiples = letters(["ingly", "edly", "ing", "ed"])
    static let stemsBeforeEed = letters(["proc", "exc", "succ"])
    static let stemsBeforeIng = letters(["inn", "out", "cann", "herr", "earr", "even"])
    static let stemsThatLostE = letters(["at", "bl", "iz"])
    static let doubles = letters(["bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt"])
    static let beforeOwnDouble = LetterSet("aeo")
    static let neverShort = LetterSet("wxY")

    // Of two endings one of which ends in the other, the longer stands first.

    static let step2: [Rule] = [
        Rule("ization", "ize"), Rule("ational", "ate"), Rule("fulness", "ful"), Rule("ousness", "ous"),
        Rule("iveness", "ive"), Rule("tional", "tion"), Rule("biliti", "ble"), Rule("lessli", "less"),
        Rule("entli", "ent"), Rule("ation", "ate"), Rule("alism", "al"), Rule("aliti", "al"), Rule("ousli", "ous"),
        Rule("iviti", "ive"), Rule("fulli", "ful"), Rule("ogist", "og"), Rule("enci", "ence"),
        Rule("anci", "ance"), Rule("abli", "able"), Rule("izer", "ize"), Rule("ator", "ate"), Rule("alli", "al"),
        Rule("bli", "ble"), Rule("ogi", "og", after: "l"), Rule("li", after: "cdeghkmnrt"),
    ]

    static let step3: [Rule] = [
        Rule("ational", "ate"), Rule("tional", "tion"), Rule("alize", "al"), Rule("icate", "ic"),
        Rule("iciti", "ic"), Rule("ative", inR2: true), Rule("ical", "ic"), Rule("ness"), Rule("ful"),
    ]

    static let step4: [Rule] = [
        Rule("ement", inR2: true), Rule("ance", inR2: true), Rule("ence", inR2: true), Rule("able", inR2: true),
        Rule("ible", inR2: true), Rule("ment", inR2: true), Rule("ant", inR2: true), Rule("ent", inR2: true),
        Rule("ism", inR2: true), Rule("ate", inR2: true), Rule("iti", inR2: true), Rule("ous", inR2: true),
        Rule("ive", inR2: true), Rule("ize", inR2: true), Rule("ion", inR2: true, after: "st"),
        Rule("al", inR2: true), Rule("er", inR2: true), Rule("ic", inR2: true),
    ]

    private static func letters(_ texts: [StaticString]) -> [Letters] { texts.map { Letters($0) } }
}

/// Up to eight letters in one number, the last in its lowest byte: a word is compared with dozens of endings
/// at one instruction or two each, instead of letter by letter.
struct Letters: Equatable, Sendable {
    private let bits: UInt64
    let count: Int

    private init(bits: UInt64, count: Int) {
        self.bits = bits
        self.count = count
    }

    init(_ text: StaticString) {
        precondition((0...8).contains(text.utf8CodeUnitCount))
        self.init(bits: text.withUTF8Buffer { $0.reduce(0) { $0 << 8 | UInt64($1) } }, count: text.utf8CodeUnitCount)
    }

    /// The first eight letters of the word, or all when it has fewer.
    init(headOf word: [UInt8]) {
        self.init(bits: word.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }, count: min(word.count, 8))
    }

    /// The last eight letters of what stands before `end`, or all when they are fewer.
    init(tailOf word: [UInt8], before end: Int) {
        var bits: UInt64 = 0
        for index in max(0, end - 8)..<end { bits = bits << 8 | UInt64(word[index]) }
        self.init(bits: bits, count: min(end, 8))
    }

    func ends(_ tail: Letters) -> Bool {
        // What a shorter tail lacks is zero there, and no letter is.
        tail.bits & ~(~0 << UInt64(8 * count)) == bits
    }

    func begins(_ head: Letters) -> Bool {
        head.count >= count && head.bits >> UInt64(8 * (head.count - count)) == bits
    }

    /// Puts these letters in the place of the word's last ones.
    func replace(_ length: Int, of word: inout [UInt8]) {
        word.removeLast(length)
        for index in (0..<count).reversed() { word.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * index))) }
    }
}

/// A bit for each of a to z, and Y.
struct LetterSet: Sendable {
    private let bits: UInt32

    init(_ letters: StaticString) {
        bits = letters.withUTF8Buffer { $0.reduce(0) { $0 | LetterSet.bit($1) } }
    }

    var isEmpty: Bool { bits == 0 }

    @inline(__always) func contains(_ letter: UInt8) -> Bool { bits & LetterSet.bit(letter) != 0 }

    /// ASCII has the letters from 0x61 on; Y goes where what follows z would.
    @inline(__always) private static func bit(_ letter: UInt8) -> UInt32 {
        letter == UInt8(ascii: "Y") ? 1 << 27 : 1 << UInt32(letter & 0x1F)
    }
}
