// What one peer may make a server hold, each with its unit and its reason.

package struct RPCLimits: Sendable {
    /// A message, in bytes, both ways; gRPC's customary limit, known from the length prefix.
    package var maxMessageBytes = 4 << 20

    /// The requests that one connection may have half sent, in bytes. 256 streams of 4 MiB each would
    /// be 1 GiB.
    package var maxBufferedRequestBytes = 16 << 20

    /// What a stream may have ready to send before its producer is told to wait, in bytes. Small, since
    /// what waits here waits once for each slow reader.
    package var maxBufferedResponseBytes = 65_536

    /// What one connection's answers may have ready to send, in bytes. A peer that opens no windows would
    /// otherwise hold a message of 4 MiB on each of its streams.
    package var maxBufferedConnectionResponseBytes = 64 << 20

    /// Connections at once. Each costs about 10 KiB when idle.
    package var maxConnections = 10_000

    /// How long a peer may take over the connection preface and its first SETTINGS, in seconds.
    package var prefaceTimeoutSeconds: Int64 = 10

    /// How long a request may take from its headers to its end, in seconds: a slow body holds a stream
    /// and a buffer. Calls that stream their requests are exempt. An answer that its client has not taken
    /// for as long is given up, too.
    package var requestTimeoutSeconds: Int64 = 60

    /// A silent connection with calls open is pinged this often, in seconds, and closed when the ping
    /// has not come back for as long as `keepaliveTimeoutSeconds`: a client that lost its power must
    /// not sit in line for a task.
    package var keepaliveSeconds: Int64 = 30
    package var keepaliveTimeoutSeconds: Int64 = 20

    /// How long a graceful end may take, in seconds, before connections are closed as they are.
    package var drainSeconds: Int64 = 3

    /// The fields of one message, and of the messages in it: two bytes on the wire can be a hundred in
    /// memory.
    package var maxFieldsPerMessage = 100_000

    package init() {}
}
