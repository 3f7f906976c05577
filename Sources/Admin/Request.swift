// What a request asks for, told from its head: the way from a target to a route, who may take it, and everything that
// can be wrong with it.

import NIOCore
import NIOHTTP1

struct Request: Equatable {
    var route: Route
    /// False for HEAD.
    var wantsBody = true
    var keepsAlive = true
    /// What the client speaks: HTTP/1.0 knows no chunks (RFC 9112, section 7.1).
    var version = HTTPVersion.http1_1
    /// Whether an answer for programs is due: errors as JSON too.
    var isForPrograms = false
    /// The client's address.
    var peer: String?
    /// Whether it is a person's browser that asks: then the page says what was wrong.
    var wantsPage = false
    /// What the client has already (If-None-Match).
    var knownTags: [String] = []
    /// Whether the client holds its body back until it is asked for it (RFC 9110, section 10.1.1).
    var awaitsContinue = false
    /// Of an action.
    var body = ByteBuffer()
}

enum Route: Equatable {
    /// A file of dashboard/, by name.
    case asset(String)
    case health
    case readiness
    case metrics
    case resource(Resource)
    case live([LiveQuestion])
    case events(EventStart)
    case session
    case action(Action, ActionCredentials)
    case problem(Problem)

    /// The page's views: each has an address of its own, and the page finds out which it is.
    private static let views: Set<String> = [
        "", "agents", "leases", "elections", "tasks", "policies", "watchers", "log",
    ]

    fileprivate init(_ head: HTTPRequestHead, _ target: Target, peer: String?) throws(Problem) {
        let isReading = head.method == .GET || head.method == .HEAD
        let (segments, parameters) = (try target.segments(), try target.parameters())
        let first = segments.first ?? ""
        switch (first, segments.count) {
        case ("healthz", 1): self = .health
        case ("readyz", 1): self = .readiness
        case ("metrics", 1): self = .metrics
        case ("events", 1):
            self = .events(try EventStart(parameters, lastID: head.headers.first(name: "last-event-id")))
        case ("dashboard", 2): self = .asset(segments[1])
        case ("api", 2...) where segments[1] == "v1":
            let rest = Array(segments.dropFirst(2))
            if rest.count == 2, rest[0] == "actions" {
                guard let action = Action(rawValue: rest[1]) else { throw .unknownAddress }
                guard head.method == .POST else { throw .onlyPost }
                self = .action(action, ActionCredentials(head.headers, peer: peer))
                return
            }
            switch rest {
            case ["live"]: self = .live(try LiveQuestion.all(parameters))
            case ["session"]: self = .session
            default: self = .resource(try Resource(segments: rest, parameters: parameters))
            }
        case (_, ...2) where Self.views.contains(first): self = .asset("index.html")
        default: throw .notFound
        }
        guard isReading else { throw .methodNotAllowed }
    }

    /// Whether it tells what only this machine's users should know.
    fileprivate var isGuarded: Bool {
        switch self {
        case .health, .readiness, .metrics, .problem: false
        default: true
        }
    }
}

extension Request {
    /// - Parameters:
    ///   - peer: the client's address.
    ///   - isLocal: whether the connection came to an address of this machine alone.
    init(_ head: HTTPRequestHead, peer: String?, isLocal: Bool, limits: AdminLimits) {
        let fields = head.headers
        let target = Target(head.uri)
        isForPrograms = target.isForPrograms
        do throws(Problem) {
            route = try Route(head, target, peer: peer)
            if route.isGuarded, isLocal { try Self.checkHost(fields["host"]) }
        } catch {
            route = .problem(error)
        }
        self.peer = peer
        wantsBody = head.method != .HEAD
        version = head.version
        // Compared weakly (RFC 9110, section 13.1.2), as a proxy that packs what it hands on makes it necessary.
        knownTags = fields[canonicalForm: "if-none-match"].map { tag in
            tag.hasPrefix("W/") ? String(tag.dropFirst(2)) : String(tag)
        }
        wantsPage = !isForPrograms && fields.first(name: "accept")?.contains("text/html") == true
        // An upgrade that is not granted is ignored (RFC 9110, section 7.8), but the parser reads no
        // further after one, nor after CONNECT.
        keepsAlive = head.isKeepAlive && !fields.contains(name: "upgrade") && head.method != .CONNECT
        if let problem = problem(head, limits) {
            route = .problem(problem)
            keepsAlive = false
        }
    }

    private var isAction: Bool {
        if case .action = route { true } else { false }
    }

    /// What makes the rest of the connection worthless.
    private mutating func problem(_ head: HTTPRequestHead, _ limits: AdminLimits) -> Problem? {
        // RFC 9112, section 3.2.
        if head.version.minor > 0, head.headers["host"].count != 1 { return .oneHost }
        if let length = head.headers.first(name: "content-length").map({ Int($0) ?? .max }),
            length > (isAction ? limits.maxActionBytes : limits.maxBodyBytes)
        {
            return .bodyTooLarge
        }
        // HTTP/1.0 has no expectations; one that is there came from behind a proxy (RFC 9110, section 10.1.1).
        guard let expectation = head.headers.first(name: "expect"), head.version != .http1_0 else { return nil }
        guard isAction, expectation.lowercased() == "100-continue" else { return .expectationFailed }
        awaitsContinue = true
        return nil
    }

    /// A page of another site can point its own host name at this machine, and its scripts then read whatever answers
    /// to that name (DNS rebinding). So what listens for this machine answers to this machine's names alone.
    private static func checkHost(_ values: [String]) throws(Problem) {
        guard let host = values.first else { return }
        guard isNameOfThisMachine(host) else {
            throw Problem(
                status: .misdirectedRequest,
                text: "This port answers to localhost and to addresses, and not to the host name \(quoted(host)). "
                    + "A proxy before it should send Host: localhost.")
        }
    }

    /// - Parameter host: `uri-host [ ":" port ]` (RFC 9110, section 7.2), and nothing that merely begins like it.
    private static func isNameOfThisMachine(_ host: String) -> Bool {
        let isBracketed = host.hasPrefix("[")
        guard let end = isBracketed ? host.firstIndex(of: "]") : host.firstIndex(of: ":") ?? host.endIndex else {
            return false
        }
        let name = (isBracketed ? host[..<end].dropFirst() : host[..<end]).lowercased()
        let port = isBracketed ? host[end...].dropFirst() : host[end...]
        guard port.isEmpty || port.first == ":", port.dropFirst().utf8.allSatisfy(isDigit) else { return false }
        if let address = try? SocketAddress(ipAddress: name, port: 0) {
            return (address.protocol == .inet6) == isBracketed
        }
        return !isBracketed && (name == "localhost" || name.hasSuffix(".localhost") && name.utf8.allSatisfy(isOfName))
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isOfName(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }
}
