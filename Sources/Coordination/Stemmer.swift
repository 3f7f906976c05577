// Brings the forms of an English word together: browse, browses, browsed and browsing all become "brows".
// A stem need not be a word; it only has to be the same for the forms of one word and another for others.
//
// The algorithm is Porter2, as Martin Porter defines it at snowballstem.org/algorithms/english/stemmer.html
// with the amendments of Snowball 3.0. Why not a dictionary of word forms: it would know nothing of the
// names and the jargon that agents' cards are made of. Why not Porter's first algorithm: it takes more
// words for one, general and generate among them.
//
// R1 and R2 are Porter's regions: what follows the first non-vowel after a vowel, and the same again
// within R1. An ending that lies within them is an ending; nearer to the front it is part of the word.
// Step 0, about apostrophes, is left out: the tokenizer lets none through.

struct Stemmer {
    private var word: [UInt8] = []
    private var r1 = 0
    private var r2 = 0

    /// The word in lower-case letters a to z becomes its stem.
    static func stem(_ word: inout [UInt8]) {
        // The definition leaves words of one or two letters as they are.
        guard word.count > 2 else { return }
        if word.count < 8 {
            let whole = Letters(headOf: word)
            if let (_, stem) = StemmerRules.exceptions.first(where: { $0.0 == whole }) {
                stem.replace(word.count, of: &word)
                return
            }
        }
        // The word moves in and out again, so that its storage is used throughout.
        var stemmer = Stemmer()
        swap(&word, &stemmer.word)
        stemmer.stem()
        swap(&word, &stemmer.word)
    }

    private mutating func stem() {
        markConsonantY()
        markRegions()
        removePlural()
        removePastAndParticiple()
        turnFinalY()
        // Steps 2 to 4: the first ending that fits decides, whether or not its rule then applies.
        apply(StemmerRules.step2)
        apply(StemmerRules.step3)
        apply(StemmerRules.step4)
        removeFinalE()
        for index in word.indices where word[index] == .consonantY { word[index] = UInt8(ascii: "y") }
    }

    // MARK: The steps

    /// A y at the beginning or after a vowel is a consonant; while the steps run it is written Y.
    private mutating func markConsonantY() {
        var isAfterVowel = true
        for index in word.indices {
            if isAfterVowel && word[index] == UInt8(ascii: "y") { word[index] = .consonantY }
            isAfterVowel = word[index].isVowel
        }
    }

    private mutating func markRegions() {
        let head = Letters(headOf: word)
        r1 = StemmerRules.wholeStems.first { $0.begins(head) }?.count ?? endOfSyllable(from: 0)
        r2 = endOfSyllable(from: r1)
    }

    /// Where the first non-vowel after a vowel ends.
    private func endOfSyllable(from start: Int) -> Int {
        var index = start
        while index < word.count && !word[index].isVowel { index += 1 }
        while index < word.count && word[index].isVowel { index += 1 }
        return min(index + 1, word.count)
    }

    /// Step 1a.
    private mutating func removePlural() {
        if StemmerRules.sses.ends(tail) {
            word.removeLast(2)
        } else if ending(of: StemmerRules.iedAndIes) != nil {
            word.removeLast(word.count > 4 ? 2 : 1)
        } else if word.last == UInt8(ascii: "s") && ending(of: StemmerRules.endingsInSThatStay) == nil {
            // Gas and this keep their s, gaps and kiwis lose it.
            if containsVowel(before: word.count - 2) { word.removeLast() }
        }
    }

    /// Step 1b.
    private mutating func removePastAndParticiple() {
        if let eed = ending(of: StemmerRules.eeds) {
            let end = word.count - eed.count
            if end >= r1 && !StemmerRules.stemsBeforeEed.contains(tail(before: end)) {
                word.removeLast(eed.count - 2)
            }
            return
        }
        guard let ending = ending(of: StemmerRules.pastAndParticiples) else { return }
        let end = word.count - ending.count
        if ending == StemmerRules.ing {
            // Dying, lying and tying come of die, lie and tie; a herring of no verb.
            if end == 2 && word[1] == UInt8(ascii: "y") && !word[0].isVowel {
                StemmerRules.ie.replace(4, of: &word)
                return
            }
            if StemmerRules.stemsBeforeIng.contains(tail(before: end)) { return }
        }
        guard containsVowel(before: end) else { return }
        word.removeLast(ending.count)
        restoreVerb()
    }

    /// The verb as it was before "ed" or "ing" came: luxuriate, hop, hope.
    private mutating func restoreVerb() {
        if ending(of: StemmerRules.stemsThatLostE) != nil {
            word.append(UInt8(ascii: "e"))
        } else if ending(of: StemmerRules.doubles) != nil {
            // Add, egg and off are words with their double.
            if word.count == 3 && StemmerRules.beforeOwnDouble.contains(word[0]) { return }
            word.removeLast()
        } else if r1 >= word.count && endsInShortSyllable(word.count) {
            word.append(UInt8(ascii: "e"))
        }
    }

    /// Step 1c.
    private mutating func turnFinalY() {
        guard word.count > 2, let last = word.last, last == UInt8(ascii: "y") || last == .consonantY else { return }
        if !word[word.count - 2].isVowel { word[word.count - 1] = UInt8(ascii: "i") }
    }

    /// Step 5.
    private mutating func removeFinalE() {
        let stem = word.count - 1
        if word.last == UInt8(ascii: "e") {
            if stem >= r2 || (stem >= r1 && !endsInShortSyllable(stem)) { word.removeLast() }
        } else if StemmerRules.ll.ends(tail) && stem >= r2 {
            word.removeLast()
        }
    }

    private mutating func apply(_ rules: [StemmerRules.Rule]) {
        let tail = tail
        guard let rule = rules.first(where: { $0.ending.ends(tail) }) else { return }
        let stem = word.count - rule.ending.count
        guard stem >= (rule.isInR2 ? r2 : r1) else { return }
        guard rule.after.isEmpty || (stem > 0 && rule.after.contains(word[stem - 1])) else { return }
        rule.replacement.replace(rule.ending.count, of: &word)
    }

    // MARK: What the steps ask

    private var tail: Letters { tail(before: word.count) }

    private func tail(before end: Int) -> Letters { Letters(tailOf: word, before: end) }

    private func ending(of endings: [Letters]) -> Letters? {
        let tail = tail
        return endings.first { $0.ends(tail) }
    }

    private func containsVowel(before end: Int) -> Bool {
        end > 0 && word[..<end].contains { $0.isVowel }
    }

    /// A vowel between two non-vowels of which the last is not w, x or Y, or a vowel and a non-vowel that
    /// are the whole; or "past", which is no form of "paste".
    private func endsInShortSyllable(_ end: Int) -> Bool {
        if StemmerRules.past == tail(before: end) { return true }
        guard end >= 2, !word[end - 1].isVowel, word[end - 2].isVowel else { return false }
        if end == 2 { return true }
        return !word[end - 3].isVowel && !StemmerRules.neverShort.contains(word[end - 1])
    }
}

extension UInt8 {
    fileprivate static var consonantY: UInt8 { UInt8(ascii: "Y") }

    fileprivate var isVowel: Bool {
        switch Unicode.Scalar(self) {
        case "a", "e", "i", "o", "u", "y": true
        default: false
        }
    }
}
