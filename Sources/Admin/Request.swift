// What a request asks for, told from its head alone: the way from a target to a route, and everything
// that can be wrong with it.

import NIOCore
import NIOHTTP1

struct Request: Equatable {
    var route: Route
    /// False for HEAD.
    var wantsBody: Bool
    var keepsAlive: Bool
}

enum Route: Equatable {
    case page
    case style
    case health
    case readiness
    case metrics
    case problem(Problem)

    private static let paths: [String: Route] = [
        "/": .page, "/style.css": .style, "/healthz": .health, "/readyz": .readiness, "/metrics": .metrics,
    ]

    /// - Parameter target: of the request line, in origin or absolute form (RFC 9112, section 3.2).
    init(method: HTTPMethod, target: String) {
        var path = target.prefix { $0 != "?" && $0 != "#" }
        if path.lowercased().hasPrefix("http://") {
            let authority = path.dropFirst("http://".count)
            path = authority.firstIndex(of: "/").map { authority[$0...] } ?? "/"
        }
        guard let route = Self.paths[String(path)] else {
            self = .problem(.notFound)
            return
        }
        self = method == .GET || method == .HEAD ? route : .problem(.methodNotAllowed)
    }
}

/// An answer that says what was wrong.
struct Problem: Equatable {
    var status: HTTPResponseStatus
    var text: String

    static let badRequest = Problem(status: .badRequest, text: "This is not HTTP/1.1 as RFC 9112 has it.")
    static let oneHost = Problem(status: .badRequest, text: "An HTTP/1.1 request has exactly one Host field.")
    static let notFound = Problem(
        status: .notFound, text: "Nothing is here. Try /healthz, /readyz, /metrics, or the page at /.")
    static let methodNotAllowed = Problem(status: .methodNotAllowed, text: "Only GET and HEAD are served here.")
    static let requestTimeout = Problem(status: .requestTimeout, text: "The request took too long to arrive.")
    static let bodyTooLarge = Problem(status: .payloadTooLarge, text: "No request body is wanted here.")
    static let expectationFailed = Problem(status: .expectationFailed, text: "No request body is wanted here.")
    static let headTooLarge = Problem(
        status: .requestHeaderFieldsTooLarge, text: "The request line and its header fields are too large.")
    static let tooManyConnections = Problem(
        status: .serviceUnavailable, text: "Too many connections are open to this port.")
    static let otherVersion = Problem(
        status: .httpVersionNotSupported, text: "This port speaks HTTP/1.1. gRPC is served at the other port.")

    /// What the parser found.
    init(_ error: HTTPParserError) {
        switch error {
        case .headerOverflow: self = .headTooLarge
        // The parser pauses at HTTP/2's preface.
        case .invalidVersion, .paused: self = .otherVersion
        default: self = .badRequest
        }
    }

    private init(status: HTTPResponseStatus, text: String) {
        self.status = status
        self.text = text
    }
}

extension Request {
    init(_ head: HTTPRequestHead, limits: AdminLimits) {
        let fields = head.headers
        wantsBody = head.method != .HEAD
        // An upgrade that is not granted is ignored (RFC 9110, section 7.8), but the parser reads no
        // further after one, nor after CONNECT.
        keepsAlive = head.isKeepAlive && !fields.contains(name: "upgrade") && head.method != .CONNECT
        route = Route(method: head.method, target: head.uri)
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
}
