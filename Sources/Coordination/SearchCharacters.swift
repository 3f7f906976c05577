// What a character means to the tokenizer, and how it is written in a term: in lower case, without accent.
//
// The standard library knows every scalar's category and lower case, but takes some 50 ns to say so, and
// doesn't give a letter's parts; so ASCII is decided by comparison, and the accented Latin letters by a
// table that is made once, of their own Unicode names.

enum CharacterClass {
    /// Leaves no trace: accents that stand alone, marks of layout.
    case ignored
    case separator
    /// Stands within words: a hyphen, an underscore, an apostrophe.
    case joiner
    /// Belongs to the word before it, as in C++ and C#.
    case suffix(Unicode.Scalar)
    case digit(Unicode.Scalar)
    /// With the letter in lower case.
    case upper(Unicode.Scalar)
    /// A letter in lower case, or of a script without cases.
    case lower(Unicode.Scalar)
    /// Of a script that puts no spaces between words.
    case unspaced(Unicode.Scalar)
    /// Says something all by itself.
    case symbol(Unicode.Scalar)

    init(_ scalar: Unicode.Scalar) {
        switch scalar {
        case "a"..."z": self = .lower(scalar)
        case "A"..."Z": self = .upper(Unicode.Scalar(UInt8(scalar.value) | 0x20))
        case "0"..."9": self = .digit(scalar)
        case "_", "-", ".", "'", "&", "\u{2010}", "\u{2011}", "\u{2019}": self = .joiner
        case "+", "#": self = .suffix(scalar)
        case "\0"..."\u{7F}": self = .separator
        // Combining accents, and what chooses between pictures of one character.
        case "\u{300}"..."\u{36F}", "\u{FE00}"..."\u{FE0F}": self = .ignored
        // ASCII as wide as a Chinese character.
        case "\u{FF01}"..."\u{FF5E}": self.init(Unicode.Scalar(UInt8(scalar.value - 0xFEE0)))
        default: self.init(notASCII: scalar)
        }
    }

    private init(notASCII scalar: Unicode.Scalar) {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .titlecaseLetter:
            let lower = scalar.properties.lowercaseMapping.unicodeScalars.first ?? scalar
            self = .upper(LatinLetters.withoutAccent(lower))
        case .lowercaseLetter:
            self = .lower(LatinLetters.withoutAccent(scalar))
        case .otherLetter, .modifierLetter, .nonspacingMark, .spacingMark, .letterNumber:
            self = CharacterClass.isUnspaced(scalar) ? .unspaced(scalar) : .lower(scalar)
        case .decimalNumber, .otherNumber: self = .digit(scalar)
        case .otherSymbol: self = .symbol(scalar)
        case .format: self = .ignored
        default: self = .separator
        }
    }

    /// By block: Thai and Lao, Burmese, Khmer, Hangul (which has spaces, but glues particles to its words),
    /// kana and bopomofo, the Chinese characters.
    private static func isUnspaced(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0xE00..<0xF00, 0x1000..<0x10A0, 0x1780..<0x1800, 0x3005..<0x3008, 0x3021..<0x3030, 0x3040..<0x3130,
            0x31A0..<0x3200, 0x3400..<0xA000, 0xAC00..<0xD7B0, 0xF900..<0xFB00, 0xFF66..<0xFF9E, 0x20000..<0x34000:
            true
        default: false
        }
    }
}

private enum LatinLetters {
    /// The blocks with accented letters: from Latin-1 to Extended-B, and Extended Additional.
    private static let low = 0xC0..<0x250 as Range<UInt32>
    private static let high = 0x1E00..<0x1F00 as Range<UInt32>
    private static let lowBases = bases(of: low)
    private static let highBases = bases(of: high)

    static func withoutAccent(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        if low.contains(scalar.value) { return lowBases[Int(scalar.value - low.lowerBound)] }
        if high.contains(scalar.value) { return highBases[Int(scalar.value - high.lowerBound)] }
        return scalar
    }

    /// LATIN SMALL LETTER E WITH ACUTE is e; what has no such name is itself.
    private static func bases(of block: Range<UInt32>) -> [Unicode.Scalar] {
        block.map { value in
            guard let scalar = Unicode.Scalar(value) else { preconditionFailure("a block of surrogates") }
            let name = scalar.properties.name ?? ""
            let prefix = "LATIN SMALL LETTER "
            guard name.hasPrefix(prefix) else { return scalar }
            let rest = name.utf8.dropFirst(prefix.utf8.count)
            guard let letter = rest.first, rest.dropFirst().starts(with: " WITH ".utf8) else { return scalar }
            return Unicode.Scalar(letter | 0x20)
        }
    }
}
