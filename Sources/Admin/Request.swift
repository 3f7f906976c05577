// What a request asks for, told from its head: the way from a target to a route, who may take it, and everything that
// can be wrong with it.

import NIOCore
import NIOHTTP1

struct Request: Equatable {
    var route: Route
    /// False for HEAD.
    var wantsBody = true
    var keepsAlive = true
    /// Whether an answer for programs is due: errors as JSON too.
    var isForPrograms = false
    /// The client's address.
    var peer: String?
    /// Whether it is a person's browser that asks: then the page says what was wrong.
    var wantsPage = false
    /// What the client has already (If-None-Match).
    var knownTag: String?
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
        let first = target.segments.first ?? ""
        switch (first, target.segments.count) {
        case ("healthz", 1): self = .health
        case ("readyz", 1): self = .readiness
        case ("metrics", 1): self = .metrics
        case ("events", 1):
            self = .events(try EventStart(target.parameters, lastID: head.headers.first(name: "last-event-id")))
        case ("dashboard", 2): self = .asset(target.segments[1])
        case ("api", 2...) where target.segments[1] == "v1":
            let rest = Array(target.segments.dropFirst(2))
            if rest.count == 2, rest[0] == "actions" {
                guard let action = Action(rawValue: rest[1]) else { throw .unknownAddress }
                guard head.method == .POST else { throw .onlyPost }
                self = .action(action, ActionCredentials(head.headers, peer: peer))
                return
            }
            switch rest {
            case ["live"]: self = .live(try LiveQuestion.all(target.parameters))
            case ["session"]: self = .session
            default: self = .resource(try Resource(segments: rest, parameters: target.parameters))
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
        do throws(Problem) {
            let target = try Target(head.uri)
            isForPrograms = target.segments.first == "api" || target.segments == ["events"]
            route = try Route(head, target, peer: peer)
            if route.isGuarded, isLocal { try Self.checkHost(fields["host"]) }
        } catch {
            route = .problem(error)
        }
        self.peer = peer
        wantsBody = head.method != .HEAD
        knownTag = fields.first(name: "if-none-match")
        wantsPage = !isForPrograms && fields.first(name: "accept")?.contains("text/html") == true
        // An upgrade that is not granted is ignored (RFC 9110, section 7.8), but the parser reads no
        // further after one, nor after CONNECT.
        keepsAlive = head.isKeepAlive && !fields.contains(name: "upgrade") && head.method != .CONNECT
        if let problem = Self.problem(head, limits) {
            route = .problem(problem)
            keepsAlive = false
        }
    }

    /// What makes the rest of the connection worthless.
    private static func problem(_ head: HTTPRequestHead, _ limits: AdminLimits) -> Problem? {
        // RFC 9112, section 3.2.
        if head.version.minor > 0, head.headers["host"].count != 1 { return .oneHost }
        if let length = head.headers.first(name: "content-length").map({ Int($0) ?? .max }),
            length > limits.maxBodyBytes
        {
            return .bodyTooLarge
        }
        // The client holds its body back until it is asked for it; it never is.
        if head.headers.contains(name: "expect") { return .expectationFailed }
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

    private static func isNameOfThisMachine(_ host: String) -> Bool {
        if host.hasPrefix("[") { return true }
        let name = host.prefix { $0 != ":" }.lowercased()
        if name == "localhost" || name.hasSuffix(".localhost") { return true }
        return (try? SocketAddress(ipAddress: name, port: 0)) != nil
    }
}
