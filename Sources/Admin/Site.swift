// What is served: the answer to each route, and the fields that every answer carries.

import Glibc
import NIOCore
import NIOHTTP1

/// An answer, but for what depends on the connection.
struct Answer: Sendable {
    var status = HTTPResponseStatus.ok
    var contentType = "text/plain; charset=utf-8"
    var body: ByteBuffer
}

struct Site: Sendable {
    let page: String
    let isReady: @Sendable () -> Bool
    let renderer: MetricsRenderer

    func answer(_ route: Route, on loop: any EventLoop) -> EventLoopFuture<Answer> {
        let answer: Answer
        switch route {
        case .page:
            answer = Answer(contentType: "text/html; charset=utf-8", body: ByteBuffer(string: page))
        case .style:
            answer = Answer(contentType: "text/css; charset=utf-8", body: ByteBuffer(string: homePageStyle))
        case .health:
            answer = Answer(body: ByteBuffer(string: "ok"))
        case .readiness where isReady():
            answer = Answer(body: ByteBuffer(string: "ready"))
        case .readiness:
            answer = Answer(status: .serviceUnavailable, body: ByteBuffer(string: "not ready"))
        case .metrics:
            return loop.makeFutureWithTask { [renderer] in
                Answer(contentType: "text/plain; version=0.0.4; charset=utf-8", body: await renderer.render())
            }
        case .problem(let problem):
            answer = Answer(status: problem.status, body: ByteBuffer(string: problem.text + "\n"))
        }
        return loop.makeSucceededFuture(answer)
    }
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

extension Answer {
    func head(isLast: Bool) -> HTTPResponseHead {
        var fields: HTTPHeaders = [
            "date": httpDate(),
            "content-type": contentType,
            "content-length": String(body.readableBytes),
            "connection": isLast ? "close" : "keep-alive",
            // Every answer is about now.
            "cache-control": "no-store",
            // A text stays a text, and the page loads nothing but its own style sheet.
            "x-content-type-options": "nosniff",
            "content-security-policy":
                "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                + "frame-ancestors 'none'",
            "referrer-policy": "no-referrer",
        ]
        if status == .methodNotAllowed { fields.add(name: "allow", value: "GET, HEAD") }
        return HTTPResponseHead(version: .http1_1, status: status, headers: fields)
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
