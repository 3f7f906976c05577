// What is served: the answer to each route, and the fields that every answer carries.

import Glibc
import JSON
import NIOCore
import NIOHTTP1
import Synchronization

/// An answer, but for what depends on the connection.
struct Answer: Sendable {
    var status = HTTPResponseStatus.ok
    /// Nil where there is nothing that could be of any.
    var contentType: String? = "text/plain; charset=utf-8"
    var body: ByteBuffer
    var tag: String?
    /// Of a refused method: those that are served there (RFC 9110, section 15.5.6).
    var allow: String?

    static func json(_ text: String, status: HTTPResponseStatus = .ok) -> Answer {
        Answer(status: status, contentType: "application/json", body: ByteBuffer(string: text + "\n"))
    }
}

/// What becomes of a request.
enum Response: Sendable {
    case answer(Answer)
    /// An answer that goes on until the client goes away.
    case stream(any PieceSource)
}

struct Site: Sendable {
    private let sources: AdminSources
    private let renderer: MetricsRenderer
    private let reader: StateReader
    private let streams: StreamCount

    init(sources: AdminSources, recent: Recent, limits: AdminLimits) {
        self.sources = sources
        renderer = MetricsRenderer(sources: sources.metrics)
        reader = StateReader(sources: sources, recent: recent, limits: limits)
        streams = StreamCount(most: limits.maxStreams)
    }

    func respond(to request: Request, on loop: any EventLoop) -> EventLoopFuture<Response> {
        switch request.route {
        case .metrics:
            return loop.makeFutureWithTask { [renderer] in
                let text = await renderer.render()
                return .answer(Answer(contentType: "text/plain; version=0.0.4; charset=utf-8", body: text))
            }
        case .resource(let resource):
            return loop.makeFutureWithTask { [reader] in
                let reading = await reader.read(resource)
                return .answer(.json(reading.text, status: reading.status))
            }
        case .action(let action, let credentials):
            return loop.makeFutureWithTask { [sources, reader] in
                do throws(Problem) {
                    try credentials.check(token: sources.actionToken)
                    return .answer(.json(try await reader.perform(action, request.body, credentials).text))
                } catch {
                    return .answer(.json(error.json.line, status: error.status))
                }
            }
        default:
            return loop.makeSucceededFuture(respond(to: request))
        }
    }

    /// What needs no look at the core.
    private func respond(to request: Request) -> Response {
        switch request.route {
        case .asset(let name):
            guard let asset = Asset.all[name] else { return problem(.notFound, request) }
            if request.knownTags.contains(where: { $0 == asset.tag || $0 == "*" }) {
                return .answer(Answer(status: .notModified, contentType: nil, body: ByteBuffer(), tag: asset.tag))
            }
            return .answer(Answer(contentType: asset.type, body: asset.body, tag: asset.tag))
        case .health: return .answer(Answer(body: ByteBuffer(string: "ok")))
        case .readiness:
            return .answer(
                sources.isReady()
                    ? Answer(body: ByteBuffer(string: "ready"))
                    : Answer(status: .serviceUnavailable, body: ByteBuffer(string: "not ready")))
        case .session:
            let session = JSON.object([
                ("actions", .bool(sources.actionToken != nil)), ("token", .optional(sources.actionToken)),
            ])
            return .answer(.json(session.line))
        case .live(let questions):
            return stream(request) { LiveStream(reader: reader, questions: questions) }
        case .events(let start):
            return stream(request) { EventStream(feed: reader.feed, start: start, peer: request.peer ?? "") }
        case .problem(let found): return problem(found, request)
        case .metrics, .resource, .action: preconditionFailure("answered elsewhere")
        }
    }

    private func problem(_ problem: Problem, _ request: Request) -> Response {
        if request.isForPrograms {
            var answer = Answer.json(problem.json.line, status: problem.status)
            answer.allow = problem.allow
            return .answer(answer)
        }
        if problem == .notFound, request.wantsPage, let page = Asset.all["index.html"] {
            return .answer(Answer(status: .notFound, contentType: page.type, body: page.body))
        }
        let line = ByteBuffer(string: problem.text + "\n")
        return .answer(Answer(status: problem.status, body: line, allow: problem.allow))
    }

    private func stream(_ request: Request, _ source: () -> any PieceSource) -> Response {
        guard request.wantsBody else { return .answer(Answer(contentType: "text/event-stream", body: ByteBuffer())) }
        guard let place = streams.enter() else {
            return problem(
                Problem(
                    status: .serviceUnavailable,
                    text: "\(streams.most) streams are open at this port, the most that may be."),
                request)
        }
        return .stream(CountedSource(source: source(), place: place))
    }
}

/// Streams that are open, so that no more than so many are.
private final class StreamCount: Sendable {
    let most: Int
    private let open = Atomic(0)

    init(most: Int) {
        self.most = most
    }

    /// A place is given back when it is let go of.
    final class Place: Sendable {
        private let count: StreamCount

        init(_ count: StreamCount) {
            self.count = count
        }

        deinit { count.open.subtract(1, ordering: .relaxed) }
    }

    func enter() -> Place? {
        let place = Place(self)
        return open.add(1, ordering: .relaxed).newValue <= most ? place : nil
    }
}

/// A source that keeps its place.
private struct CountedSource: PieceSource {
    var source: any PieceSource
    let place: StreamCount.Place

    mutating func next() async -> ByteBuffer? { await source.next() }
    func end() { source.end() }
}

/// Writes the metrics away from the event loops. An actor, so that many scrapes at once take one thread
/// after another and not all the cores.
actor MetricsRenderer {
    private let sources: [MetricsSource]

    init(sources: [MetricsSource]) {
        self.sources = sources
    }

    func render() -> ByteBuffer {
        var writer = MetricsWriter()
        for source in sources { source(&writer) }
        return writer.text
    }
}

extension HTTPResponseHead {
    init(_ answer: Answer, isLast: Bool) {
        var fields = HTTPHeaders.common(contentType: answer.contentType, isLast: isLast)
        // It would be the length of what isn't sent again (RFC 9110, section 8.6).
        if answer.status != .notModified {
            fields.add(name: "content-length", value: String(answer.body.readableBytes))
        }
        if let tag = answer.tag {
            fields.add(name: "etag", value: tag)
            // To be asked for at each use: the tag says whether it is still so.
            fields.add(name: "cache-control", value: "no-cache")
        } else {
            // Every other answer is about now.
            fields.add(name: "cache-control", value: "no-store")
        }
        if let allow = answer.allow { fields.add(name: "allow", value: allow) }
        self.init(version: .http1_1, status: answer.status, headers: fields)
    }

    /// Of an answer that goes on: the connection ends with it. In chunks, unless the client speaks HTTP/1.0.
    static func stream(_ version: HTTPVersion) -> HTTPResponseHead {
        var fields = HTTPHeaders.common(contentType: "text/event-stream", isLast: true)
        fields.add(name: "cache-control", value: "no-store")
        return HTTPResponseHead(version: version == .http1_0 ? .http1_0 : .http1_1, status: .ok, headers: fields)
    }
}

extension HTTPHeaders {
    fileprivate static func common(contentType: String?, isLast: Bool) -> HTTPHeaders {
        var fields: HTTPHeaders = [
            "date": httpDate(),
            "connection": isLast ? "close" : "keep-alive",
            // A text stays a text, and the page loads nothing but what is here.
            "x-content-type-options": "nosniff",
            "content-security-policy":
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "cross-origin-resource-policy": "same-origin",
            "referrer-policy": "no-referrer",
        ]
        if let contentType { fields.add(name: "content-type", value: contentType) }
        return fields
    }
}

/// Now, as RFC 9110, section 5.6.7 writes it. The names are English, whatever the system's language:
/// the program never leaves the C locale.
private func httpDate() -> String {
    var now = time(nil)
    var parts = tm()
    gmtime_r(&now, &parts)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { text in
        let count = strftime(text.baseAddress!, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        return String(decoding: text.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
