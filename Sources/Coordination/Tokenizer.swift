// Cuts a text into the terms that are indexed and searched: words in lower case, brought to their stems.
//
// Cards are full of identifiers, so a word is not what stands between two spaces: http_client, HTTPClient,
// http-client and http.client are "http" and "client", and gpt4 is "gpt" and "4". But GitHub is also
// "github" to those who write it so, e-mail is "email", and C++ is not C; so a word of several parts gives
// its parts and then itself, joined. Cards and queries are cut alike, which makes every spelling meet.
//
// Nothing is left out because of its script. Latin letters lose their accents; Chinese, Japanese, Korean,
// Thai and their neighbours, who put no spaces between words, give each character and each pair of
// neighbours; what has no case has none; and an emoji is a term.
//
// The work is done on Unicode scalars and UTF-8 bytes. Swift's Character would see that é in one scalar
// and in two are the same, as we do, but finding the borders of characters costs more than all the rest.

struct Tokenizer {
    /// Nobody searches for a longer word, in UTF-8 bytes. A longer part is cut, a longer whole left out, so
    /// that what is indexed of a card is at most a few times its text.
    static let maxTermBytes = 64

    private enum Kind {
        case none
        case lower
        case upper
        case digit
    }

    private var part: [UInt8] = []
    private var whole: [UInt8] = []
    private var parts = 0
    /// Of the character before, within the part.
    private var kind = Kind.none
    /// How many capitals stand at the end of the part, and where in it the last of them begins.
    private var capitals = 0
    private var lastCapital = 0
    /// Whether the whole ends in a suffix, so that no letter belongs to it any more.
    private var isClosed = false
    /// The character before, if it is of a script without spaces.
    private var neighbour: Unicode.Scalar?
    /// The term that is handed out; kept for its storage.
    private var term: [UInt8] = []

    /// Hands out the terms in the order of the text, as UTF-8.
    mutating func forEachTerm(in text: String, _ body: ([UInt8]) -> Void) {
        var scalars = text.unicodeScalars.makeIterator()
        var next = scalars.next()
        while let scalar = next {
            next = scalars.next()
            take(CharacterClass(scalar), before: next, body)
        }
        endWord(body)
        neighbour = nil
    }

    private mutating func take(_ character: CharacterClass, before next: Unicode.Scalar?, _ body: ([UInt8]) -> Void) {
        if case .ignored = character { return }
        let before = neighbour
        neighbour = nil
        if isClosed {
            if case .suffix = character {} else { endWord(body) }
        }
        switch character {
        case .ignored: break
        case .separator: endWord(body)
        case .joiner: endPart(body)
        case .suffix(let scalar):
            endPart(body)
            if parts > 0 && whole.count <= Tokenizer.maxTermBytes {
                whole += UTF8.encode(scalar)!
                isClosed = true
            }
        case .digit(let scalar):
            if kind == .lower || kind == .upper { endPart(body) }
            append(scalar, .digit)
        case .upper(let scalar):
            if kind == .lower || kind == .digit { endPart(body) }
            capitals += 1
            lastCapital = part.count
            append(scalar, .upper)
        case .lower(let scalar):
            if kind == .digit { endPart(body) }
            if capitals > 1 && !Tokenizer.isPluralOfCapitals(scalar, before: next) { endPartBeforeLastCapital(body) }
            capitals = 0
            append(scalar, .lower)
        case .unspaced(let scalar):
            endWord(body)
            emitLast(scalar, body)
            if let before {
                append(before, .none)
                emitLast(scalar, body)
            }
            neighbour = scalar
        case .symbol(let scalar):
            endWord(body)
            emitLast(scalar, body)
        }
    }

    /// URLs, APIs: the s is no part of its own with the capital before it.
    private static func isPluralOfCapitals(_ letter: Unicode.Scalar, before next: Unicode.Scalar?) -> Bool {
        guard letter == "s" else { return false }
        if let next, case .lower = CharacterClass(next) { return false }
        return true
    }

    /// HTTPClient: only now it shows that the C was the beginning of a part.
    private mutating func endPartBeforeLastCapital(_ body: ([UInt8]) -> Void) {
        let rest = [UInt8](part[lastCapital...])
        part.removeLast(rest.count)
        endPart(body)
        part = rest
    }

    private mutating func endPart(_ body: ([UInt8]) -> Void) {
        kind = .none
        capitals = 0
        guard !part.isEmpty else { return }
        parts += 1
        // One byte too many is enough to know that the whole is too long.
        whole += part.prefix(Tokenizer.maxTermBytes + 1 - min(whole.count, Tokenizer.maxTermBytes + 1))
        swap(&part, &term)
        part.removeAll(keepingCapacity: true)
        emit(body)
    }

    private mutating func endWord(_ body: ([UInt8]) -> Void) {
        endPart(body)
        if (parts > 1 || isClosed) && whole.count <= Tokenizer.maxTermBytes {
            swap(&whole, &term)
            emit(body)
        }
        whole.removeAll(keepingCapacity: true)
        parts = 0
        isClosed = false
    }

    private mutating func emitLast(_ scalar: Unicode.Scalar, _ body: ([UInt8]) -> Void) {
        append(scalar, .none)
        endWord(body)
    }

    /// The stemmer knows English, and what is written in a to z is taken for that: most cards are.
    private mutating func emit(_ body: ([UInt8]) -> Void) {
        if term.allSatisfy({ $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") }) { Stemmer.stem(&term) }
        body(term)
    }

    private mutating func append(_ scalar: Unicode.Scalar, _ kind: Kind) {
        self.kind = kind
        if scalar.isASCII {
            if part.count < Tokenizer.maxTermBytes { part.append(UInt8(scalar.value)) }
        } else if part.count + UTF8.width(scalar) <= Tokenizer.maxTermBytes {
            part += UTF8.encode(scalar)!
        }
    }
}
