// What one peer may make the second listener hold, and for how long, each with its unit and its reason.
//
// The listener serves a handful of scrapers, health checks and browsers, so the numbers are small: a
// thousand strangers must not cost what the callers of the first listener need.

import NIOCore

package struct AdminLimits: Sendable {
    /// Connections that are served at once. A scraper keeps one, a browser opens six.
    package var maxConnections = 256
    /// Connections beyond those that are being told so at once; still more are closed without a word.
    package var maxRefusals = 64

    /// Streams of server-sent events at once. A page holds one or two. A live one answers its questions anew up to twice a
    /// second; those of events are fed together, and woken for what they want.
    package var maxStreams = 64

    /// The items of one page, in bytes of JSON; a page that is full ends early, and says where to go on.
    static let maxPageBytes = 4 << 20
    /// The same of a page that is kept up to date: it is made anew up to twice a second.
    static let maxLivePageBytes = 256 << 10
    /// A piece of a stream, in bytes, is ended by the answer or the event that fills it. A client that doesn't read costs
    /// one until its time is up.
    static let maxPieceBytes = 1 << 20

    /// A request's line and fields, in bytes. Browsers with cookies of other ports of the same host
    /// send a few thousand.
    package var maxHeadBytes = 16_384
    package var maxHeadFields = 100
    /// The body of a request, in bytes. Only an action has one that is wanted: another small one is read and
    /// forgotten, so that the connection can go on.
    package var maxBodyBytes = 65_536
    /// The body of an action, in bytes: a name has at most 1 024, six times as many when all are escaped.
    package var maxActionBytes = 8_192

    /// Complete requests that wait behind the one being answered. Nothing is read while one is being
    /// answered, so no more can come than one read brought.
    package var maxPipelinedRequests = 32
    /// One read from a socket, in bytes.
    package var readBytes = 8_192

    /// How long a connection may stay open with nothing asked. Above the scrape interval of a minute
    /// that Prometheus has by default, so that a scraper keeps its connection.
    package var idleTimeout = TimeAmount.seconds(120)
    /// How long a request may take from its first byte to its last: a slow one holds a connection.
    package var requestTimeout = TimeAmount.seconds(10)
    /// How long an answer may take from its request to its last byte in the socket: a peer that does
    /// not read holds the answer's memory.
    package var answerTimeout = TimeAmount.seconds(30)
    /// How long an answer waits for the disk. A page that hears nothing for 6 s, of which a live stream may have been quiet
    /// for 2 already, takes what it shows for stale: it should hear why.
    package var durablePatience = Duration.seconds(3)
    /// How long to wait for the peer's end after ours. To close at once on unread bytes would make
    /// the system send a reset, which can overtake and destroy the answer (RFC 9112, section 9.6).
    package var lingerTimeout = TimeAmount.seconds(2)
    /// Reads whose bytes are thrown away meanwhile, and while a stream is sent; a peer that sends on and on would cost a
    /// core.
    package var maxUselessReads = 64
    /// How long a graceful end waits for answers that are under way.
    package var drainTimeout = TimeAmount.seconds(1)

    package init() {}
}
