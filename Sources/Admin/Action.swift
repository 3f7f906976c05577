// The four things that can be done from the page, and who may ask for them.
//
// A browser sends requests to this port for any site that its user visits. So an action needs what another site's
// script can't have: the origin that the browser itself vouches for, a content type that a form can't send, and a token
// that only a reader of this port's own pages knows. The port is open to this machine alone, or there are no actions.

import Coordination
import NIOHTTP1

enum Action: String, CaseIterable {
    case releaseLease = "release-lease"
    case deregisterAgent = "deregister-agent"
    case requeueTask = "requeue-task"
    case deletePolicy = "delete-policy"
}

/// What a request shows to be let in.
struct ActionCredentials: Equatable {
    let host: String?
    let origin: String?
    let site: String?
    let contentType: String?
    let token: String?
    /// The address that the request came from, and the trace that it belongs to: for the event and the log.
    let peer: String?
    let trace: TraceContext?

    init(_ fields: HTTPHeaders, peer: String?) {
        self.peer = peer
        // Given twice it is nobody's (W3C Trace Context, section 3.2).
        let traces = fields["traceparent"]
        trace = traces.count == 1 ? TraceContext(traces[0]) : nil
        host = fields.first(name: "host")
        origin = fields.first(name: "origin")
        site = fields.first(name: "sec-fetch-site")
        contentType = fields.first(name: "content-type")
        token = fields.first(name: "x-agentkeeper-token")
    }

    /// - Parameter expected: nil where there are no actions.
    func check(token expected: String?) throws(Problem) {
        guard let expected else {
            throw .forbidden("This daemon may only be looked at from here: it was started without --dashboard-actions.")
        }
        guard let origin else { throw .forbidden("An action needs the origin field, which a browser sends by itself.") }
        guard let host, origin.lowercased() == "http://\(host.lowercased())", site == nil || site == "same-origin"
        else {
            throw .forbidden("Actions are taken from this port's own page alone, and not from \(quoted(origin)).")
        }
        guard let token, isSame(token, expected) else {
            throw .forbidden(
                "The field x-agentkeeper-token must be the token of GET /api/v1/session; the daemon makes a new one at each start."
            )
        }
        let type = contentType?.prefix { $0 != ";" }.lowercased()
        guard type == "application/json" else {
            throw .invalid("content-type must be application/json, found \(quoted(contentType ?? "none"))")
        }
    }

    /// In a time that doesn't depend on where they differ.
    private func isSame(_ text: String, _ other: String) -> Bool {
        let (left, right) = (Array(text.utf8), Array(other.utf8))
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

extension Problem {
    fileprivate static func forbidden(_ text: String) -> Problem { Problem(status: .forbidden, text: text) }
}
