// Where the daemon is: `HOST:PORT`, checked before anything is tried.

struct ServerAddress: Sendable, CustomStringConvertible {
    static let defaultPort = 7070

    let host: String
    let port: Int

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Takes `host`, `host:port`, `[::1]:port` and an IPv6 address without a port.
    init(_ text: String) throws(AgentKeeperError) {
        guard !text.contains("://") else {
            throw .invalidArgument("the address must be HOST:PORT without a scheme, found \(excerpt(text))")
        }
        guard !text.contains(where: \.isWhitespace), !text.isEmpty else {
            throw .invalidArgument("the address must be HOST:PORT, such as localhost:7070, found \(excerpt(text))")
        }
        var host = text[...]
        var digits: Substring?
        if text.hasPrefix("["), let end = text.lastIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else {
                throw .invalidArgument("after an address in brackets comes :PORT, found \(excerpt(text))")
            }
            digits = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
            host = text[..<colon]
            digits = text[text.index(after: colon)...]
        }
        var port = Self.defaultPort
        if let digits {
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(digits), number > 0 else {
                throw .invalidArgument("the port must be a number from 1 to 65535, found \(excerpt(text))")
            }
            port = Int(number)
        }
        // As the daemon prints it when it listens everywhere.
        if host.isEmpty { host = "127.0.0.1" }
        self.init(host: String(host), port: port)
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A text from outside in a message: quoted, and cut where it is long.
func excerpt(_ text: String) -> String {
    let most = 200
    return text.count > most ? "\"\(text.prefix(most))…\"" : "\"\(text)\""
}
