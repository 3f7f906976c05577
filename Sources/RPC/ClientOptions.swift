// What a client may be told, each setting with its unit and its reason.

import HTTP2

/// Of a client, for as long as it lives.
package struct ClientOptions: Sendable {
    /// A reply message, in bytes; gRPC's customary limit, known from the length prefix.
    package var maxReplyBytes = 4 << 20

    /// What a call may have ready to send before `send` waits, in bytes.
    package var maxBufferedRequestBytes = 65_536

    /// What a call keeps of its request so that it can be sent anew when the server says that it never
    /// looked at it, in bytes. Longer ones end with UNAVAILABLE instead.
    package var maxReplayBytes = 1 << 20

    /// How often a call that the server refused unseen is sent anew, after 10 ms and twice as long each
    /// time. A6 of gRPC's proposals, client retries, asks for one at least.
    package var maxRefusals = 5

    /// Calls that wait for a connection, or for the server to allow one more stream.
    package var maxWaitingCalls = 10_000

    /// How long a connection may take, to the server's first SETTINGS, in seconds (MIN_CONNECT_TIMEOUT of
    /// gRPC's connection backoff).
    package var connectTimeoutSeconds: Int64 = 20

    package var backoff = ClientBackoff.Settings()

    /// Nil, which is gRPC's default (A8, client-side keepalive), sends no pings: a server that was not asked
    /// may take them for an attack.
    package var keepalive: ClientKeepalive.Settings?

    package var userAgent = "grpc-swift-nghttp2/\(nghttp2Version)"

    /// What the server may ask of us.
    package var http2 = HTTP2Limits()

    package init() {}
}

/// Of one call.
package struct CallOptions: Sendable {
    package var metadata = Metadata()
    /// From now to the end of the call, the wait for a connection included.
    package var timeout: Duration?
    /// Without a connection: wait for one (until the deadline), instead of ending with UNAVAILABLE when
    /// connecting fails.
    package var waitsForReady = false
    /// Sends requests as gzip where that is worth it. The server may not understand it, and says so.
    package var compressesRequests = false

    package init() {}
}

/// A call that did not end with OK.
package struct CallFailure: Error, Sendable, CustomStringConvertible {
    package var status: Status
    /// What the server said besides; empty when the client decided.
    package var trailers = Metadata()
    /// Of a call whose deadline passed while it waited for a connection: why there was none.
    package var notSentBecause: Status?

    package init(_ status: Status, trailers: Metadata = Metadata()) {
        self.status = status
        self.trailers = trailers
    }

    package var description: String { status.description }
}

/// The answer to a call with one reply.
package struct Reply: Sendable {
    package var message: [UInt8]
    package var metadata: Metadata
    package var trailers: Metadata
}
