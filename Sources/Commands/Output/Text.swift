// Text on a terminal: what may be sent there, and how many columns it takes.

/// The text with everything that a terminal would obey written out, as in `\n` and `\u{1b}`.
///
/// Names come from other programs, and a name with an escape sequence in it could rewrite the screen, or what is
/// pasted from it. Marks that turn the direction of writing make a line look like another; they count too.
func printable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isCommand) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case _ where !isCommand(scalar): result.unicodeScalars.append(scalar)
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        default: result += "\\u{\(String(scalar.value, radix: 16))}"
        }
    }
    return result
}

private func isCommand(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0: true  // C0, DEL, C1
    case 0x061c, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069: true  // direction of writing
    case 0x2028, 0x2029: true  // line and paragraph separators
    default: false
    }
}

extension StringProtocol {
    /// How many columns a terminal uses for it.
    var columns: Int { reduce(0) { $0 + $1.columns } }

    /// The text in at most so many columns, cut with an ellipsis where it is longer.
    func cut(to most: Int) -> String {
        guard columns > most else { return String(self) }
        guard most > 0 else { return "" }
        var (result, used) = ("", 0)
        for character in self {
            guard used + character.columns <= most - 1 else { break }
            result.append(character)
            used += character.columns
        }
        return result + "…"
    }
}

extension Character {
    /// 2 for what East Asian writing and emoji take, 0 for a mark that stands alone, else 1.
    fileprivate var columns: Int {
        guard let scalar = unicodeScalars.first else { return 0 }
        switch scalar.value {
        case ..<0x300: return 1
        case 0x200b...0x200d, 0x2060, 0xfe00...0xfe0f, 0xfeff: return 0
        // Unicode's EastAsianWidth.txt, classes W and F, in large pieces.
        case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0xa4cf, 0xa960...0xa97f, 0xac00...0xd7a3, 0xf900...0xfaff,
            0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1f64f, 0x1f680...0x1f6ff,
            0x1f900...0x1faff, 0x20000...0x3fffd:
            return 2
        default:
            return scalar.properties.generalCategory == .nonspacingMark ? 0 : 1
        }
    }
}
