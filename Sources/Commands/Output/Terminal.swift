// What standard output is: a terminal so many columns wide that shows colours, or something that a program reads.

import Glibc

struct Terminal: Sendable {
    /// Nil when lines are not to be cut: a program reads them, or the width is not known.
    let width: Int?
    let hasColour: Bool

    /// Standard output as it is now.
    static func current() -> Terminal {
        let isTerminal = isatty(STDOUT_FILENO) == 1
        // NO_COLOR: https://no-color.org. CLICOLOR_FORCE: https://bixense.com/clicolors.
        let wantsNone = environment("NO_COLOR") != nil || environment("TERM") == "dumb"
        let wantsAnyway = environment("CLICOLOR_FORCE").map { $0 != "0" } ?? false
        return Terminal(width: isTerminal ? width() : nil, hasColour: !wantsNone && (isTerminal || wantsAnyway))
    }

    private static func width() -> Int? {
        if let columns = environment("COLUMNS").flatMap({ Int($0) }), columns > 0 { return columns }
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }

    enum Colour: String {
        case green = "32"
        case yellow = "33"
        case red = "31"
        case cyan = "36"
        case faint = "2"
        case bold = "1"
    }

    func paint(_ text: String, _ colour: Colour?) -> String {
        guard hasColour, let colour, !text.isEmpty else { return text }
        return "\u{1b}[\(colour.rawValue)m\(text)\u{1b}[0m"
    }
}

/// A variable of the environment; an empty one counts as none.
func environment(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}
