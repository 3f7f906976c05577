// An answer that says what was wrong: a line for people, an object for programs.

import JSON
import NIOHTTP1

struct Problem: Error, Equatable {
    var status: HTTPResponseStatus
    var text: String

    static let badRequest = Problem(status: .badRequest, text: "This is not HTTP/1.1 as RFC 9112 has it.")
    static let oneHost = Problem(status: .badRequest, text: "An HTTP/1.1 request has exactly one Host field.")
    static let notFound = Problem(
        status: .notFound, text: "Nothing is here. Try /healthz, /readyz, /metrics, /api/v1, or the page at /.")
    static let unknownAddress = Problem(
        status: .notFound, text: "There is no such address; GET /api/v1 lists those that there are.")
    static let methodNotAllowed = Problem(status: .methodNotAllowed, text: "Only GET and HEAD are served here.")
    static let onlyPost = Problem(status: .methodNotAllowed, text: "An action is a POST.")
    static let requestTimeout = Problem(status: .requestTimeout, text: "The request took too long to arrive.")
    static let bodyTooLarge = Problem(
        status: .payloadTooLarge, text: "The request's body is too large; only an action has one, and a small one.")
    static let expectationFailed = Problem(
        status: .expectationFailed, text: "Nothing is expected here but 100-continue, and that of an action.")
    static let headTooLarge = Problem(
        status: .requestHeaderFieldsTooLarge, text: "The request line and its header fields are too large.")
    static let tooManyConnections = Problem(
        status: .serviceUnavailable, text: "Too many connections are open to this port.")
    static let otherVersion = Problem(
        status: .httpVersionNotSupported, text: "This port speaks HTTP/1.1. gRPC is served at the other port.")

    static func invalid(_ text: String) -> Problem { Problem(status: .badRequest, text: text) }

    /// What the parser found.
    init(_ error: HTTPParserError) {
        switch error {
        case .headerOverflow: self = .headTooLarge
        // The parser pauses at HTTP/2's preface.
        case .invalidVersion, .paused: self = .otherVersion
        default: self = .badRequest
        }
    }

    init(status: HTTPResponseStatus, text: String) {
        self.status = status
        self.text = text
    }

    var allow: String? {
        guard status == .methodNotAllowed else { return nil }
        return self == .onlyPost ? "POST" : "GET, HEAD"
    }

    var json: JSON {
        .object([
            (
                "error",
                .object([
                    ("status", .count(status.code)), ("code", .string(code)), ("message", .string(text)),
                ])
            )
        ])
    }

    private var code: String {
        switch status {
        case .badRequest: "invalid_argument"
        case .forbidden: "permission_denied"
        case .notFound: "not_found"
        case .conflict: "failed_precondition"
        case .serviceUnavailable: "unavailable"
        default:
            // The phrase in the same style: "method_not_allowed".
            String(status.reasonPhrase.lowercased().map { $0 == " " ? "_" : $0 })
        }
    }
}
