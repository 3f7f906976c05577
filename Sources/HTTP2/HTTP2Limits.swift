// What one peer may ask of a session, each limit with the attack or the mistake it stands against.
//
// libnghttp2 of Debian 12 stops rapid reset and CONTINUATION floods by itself, and bounds the
// acknowledgements that wait to be sent. Everything else is policed here and in `AbusePolicy`.

package struct HTTP2Limits: Sendable {
    /// Streams that a peer may have open at once. RFC 9113, 6.5.2 recommends no less than 100.
    package var maxConcurrentStreams: UInt32 = 256

    /// The fields of one header block, decoded: name and value bytes and 32 a field, as RFC 9113,
    /// 6.5.2 counts them. Announced in SETTINGS; a block above it is answered, not delivered.
    package var maxHeaderListBytes = 16_384

    /// A block that goes on expanding after this is an HPACK bomb (16 KB on the wire can become
    /// 48 MB): the session ends.
    package var maxExpandedHeaderBytes = 262_144

    /// How much a peer may send on one stream, and on all together, before we took it in.
    package var streamWindowBytes: Int32 = 262_144
    package var connectionWindowBytes: Int32 = 1_048_576

    /// The largest frame that we take: the smallest limit that RFC 9113, 4.2 allows.
    package var maxFrameBytes: UInt32 = 16_384

    /// Entries in one SETTINGS frame; six are defined.
    package var maxSettingsEntries = 32

    /// What glitches may cost before a session is closed, and how fast they are forgiven.
    package var glitches = AbusePolicy.Limits()

    package init() {}
}
