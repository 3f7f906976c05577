// One HTTP/2 connection without its socket: bytes in, delegate calls, submissions, bytes out.
//
// nghttp2 holds the protocol's state; this class gives it memory, limits and a Swift face. It knows
// neither sockets nor timers, so a test feeds it bytes, and time is an argument. It is confined to one
// thread. The objects that the delegate gives for its streams are the delegate's to keep alive, from
// `streamOpened` (or `submitRequest`) to `streamClosed`: the session only points at them.

import CNghttp2

package final class HTTP2Session {
    package enum Role: Sendable {
        case server
        case client
    }

    /// The peer broke the protocol beyond repair; what is still to be sent (a GOAWAY) should be, and
    /// then the connection closed.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
        package let code: HTTP2ErrorCode

        fileprivate init(_ status: Int) {
            description = String(cString: nghttp2_strerror(Int32(status)))
            code = status == Int(NGHTTP2_ERR_FLOODED.rawValue) ? .enhanceYourCalm : .protocolError
        }
    }

    package let role: Role
    private let limits: HTTP2Limits
    private let pool: AllocationPool
    private let delegate: any HTTP2Delegate
    private var handle: OpaquePointer!
    private var policy: AbusePolicy
    private var meter: FrameMeter

    /// The stream whose header block is arriving, and the block's size so far.
    private var headerStream: Unmanaged<AnyObject>?
    private var headerBytes = 0
    /// Whether the peer was told to calm down, and the session is ending for it.
    package private(set) var calmDownSent = false

    /// Streams that are open now.
    package private(set) var openStreams = 0

    /// - Parameters:
    ///   - delegate: kept alive; whoever is the delegate lets the session go at the end.
    ///   - now: nanoseconds of a monotonic clock.
    package init(
        role: Role, limits: HTTP2Limits = HTTP2Limits(), pool: AllocationPool, delegate: any HTTP2Delegate,
        now: Int64
    ) {
        self.role = role
        self.limits = limits
        self.pool = pool
        self.delegate = delegate
        policy = AbusePolicy(limits: limits.glitches, now: now)
        meter = FrameMeter(expectsPreface: role == .server)

        var options: OpaquePointer?
        precondition(nghttp2_option_new(&options) == 0, "out of memory")
        defer { nghttp2_option_del(options) }
        // Windows open when bytes were taken in, not when they arrived.
        nghttp2_option_set_no_auto_window_update(options, 1)
        // Closed streams are kept for priorities only, which gRPC does not use.
        nghttp2_option_set_no_closed_streams(options, 1)
        nghttp2_option_set_max_settings(options, limits.maxSettingsEntries)
        // nghttp2's own guard against rapid reset can't tell a storm of deadlines from an attack: it is
        // set out of reach of honest clients and `AbusePolicy` decides.
        nghttp2_option_set_stream_reset_rate_limit(options, 1_000_000, 1_000_000)

        let context = Unmanaged.passUnretained(self).toOpaque()
        let status =
            role == .server
            ? nghttp2_session_server_new3(
                &handle, SessionCallbacks.shared.pointer, context, options, pool.nghttp2Memory)
            : nghttp2_session_client_new3(
                &handle, SessionCallbacks.shared.pointer, context, options, pool.nghttp2Memory)
        precondition(status == 0, "out of memory")
        submitPreface()
    }

    deinit {
        nghttp2_session_del(handle)
    }

    /// Our SETTINGS, and the connection's window, which only WINDOW_UPDATE can widen (RFC 9113, 6.9.2).
    private func submitPreface() {
        var settings = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
                value: UInt32(limits.streamWindowBytes)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: UInt32(limits.maxHeaderListBytes)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_FRAME_SIZE.rawValue), value: limits.maxFrameBytes),
        ]
        switch role {
        case .server:
            settings.append(
                nghttp2_settings_entry(
                    settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                    value: limits.maxConcurrentStreams))
        case .client:
            settings.append(
                nghttp2_settings_entry(
                    settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0))
        }
        check(nghttp2_submit_settings(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count))
        check(
            nghttp2_session_set_local_window_size(
                handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, limits.connectionWindowBytes))
    }

    // MARK: Bytes

    /// Takes in what the peer sent; calls the delegate for what it means.
    package func receive(_ bytes: UnsafeRawBufferPointer, now: Int64) throws(Failure) {
        policy.refill(now: now)
        policy.received(frames: meter.count(bytes))
        guard let start = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
        let consumed = nghttp2_session_mem_recv(handle, start, bytes.count)
        guard consumed >= 0 else {
            throw Failure(consumed)
        }
        if policy.isExhausted, !calmDownSent {
            calmDownSent = true
            terminate(.enhanceYourCalm)
        }
    }

    /// Hands out what is to be sent, a piece at a time, for as long as `body` returns true. The bytes
    /// are valid during the call.
    package func send(_ body: (UnsafeRawBufferPointer) -> Bool) throws(Failure) {
        while true {
            var bytes: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(handle, &bytes)
            guard count >= 0 else {
                throw Failure(count)
            }
            guard count > 0, body(UnsafeRawBufferPointer(start: bytes, count: count)) else { return }
        }
    }

    /// Whether there is anything to send. False when only closed windows hold it back.
    package var wantsToSend: Bool { nghttp2_session_want_write(handle) != 0 }

    /// Whether the connection has nothing left to do and should be closed.
    package var isFinished: Bool {
        nghttp2_session_want_read(handle) == 0 && nghttp2_session_want_write(handle) == 0
    }

    // MARK: Streams

    /// Streams that the peer lets us have open at once; without a word of it, as many as there are ids.
    package var maxPeerStreams: Int {
        Int(nghttp2_session_get_remote_settings(handle, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    /// Opens a stream with a request (clients).
    ///
    /// - Returns: the stream's id, or nil when the connection takes no more streams.
    package func submitRequest(_ headers: [HeaderField], hasBody: Bool, stream: AnyObject) -> Int32? {
        let reference = Unmanaged.passUnretained(stream).toOpaque()
        var provider = bodyProvider(for: reference)
        let id = headers.withNghttp2Fields { fields in
            withUnsafePointer(to: &provider) { provider in
                nghttp2_submit_request(
                    handle, nil, fields.baseAddress, fields.count, hasBody ? provider : nil, reference)
            }
        }
        guard id > 0 else { return nil }
        openStreams += 1
        return id
    }

    /// Answers a request. Without a body the headers end the stream.
    package func submitResponse(_ id: Int32, _ headers: PreparedHeaders, hasBody: Bool, stream: AnyObject) {
        submitResponse(id, UnsafeBufferPointer(headers.fields), hasBody: hasBody, stream: stream)
    }

    package func submitResponse(_ id: Int32, _ headers: [HeaderField], hasBody: Bool, stream: AnyObject) {
        headers.withNghttp2Fields { submitResponse(id, $0, hasBody: hasBody, stream: stream) }
    }

    private func submitResponse(
        _ id: Int32, _ fields: UnsafeBufferPointer<nghttp2_nv>, hasBody: Bool, stream: AnyObject
    ) {
        var provider = bodyProvider(for: Unmanaged.passUnretained(stream).toOpaque())
        withUnsafePointer(to: &provider) { provider in
            check(
                nghttp2_submit_response(
                    handle, id, fields.baseAddress, fields.count, hasBody ? provider : nil))
        }
    }

    /// Ends a body that said `lastBeforeTrailers`.
    package func submitTrailers(_ id: Int32, _ headers: PreparedHeaders) {
        check(nghttp2_submit_trailer(handle, id, headers.fields.baseAddress, headers.fields.count))
    }

    package func submitTrailers(_ id: Int32, _ headers: [HeaderField]) {
        headers.withNghttp2Fields { check(nghttp2_submit_trailer(handle, id, $0.baseAddress, $0.count)) }
    }

    /// There is more to send after `BodyPiece.pause`; for a stream that said so, and only then.
    package func resumeBody(_ id: Int32) {
        check(nghttp2_session_resume_data(handle, id))
    }

    /// Opens the stream's window again by what was taken in.
    package func consume(_ id: Int32, _ count: Int) {
        check(nghttp2_session_consume_stream(handle, id, count))
    }

    package func reset(_ id: Int32, _ code: HTTP2ErrorCode) {
        check(nghttp2_submit_rst_stream(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, code.rawValue))
    }

    private func bodyProvider(for stream: UnsafeMutableRawPointer) -> nghttp2_data_provider {
        nghttp2_data_provider(
            source: nghttp2_data_source(ptr: stream), read_callback: SessionCallbacks.readBody)
    }

    // MARK: The connection

    package func ping() {
        check(nghttp2_submit_ping(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil))
    }

    /// The first step of a graceful end (RFC 9113, 6.8): no new streams, please; those on their way
    /// still come in.
    package func announceShutdown() {
        check(nghttp2_submit_shutdown_notice(handle))
    }

    /// The second: streams above the last that was taken in are not served.
    package func refuseNewStreams() {
        check(
            nghttp2_submit_goaway(
                handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), nghttp2_session_get_last_proc_stream_id(handle),
                HTTP2ErrorCode.noError.rawValue, nil, 0))
    }

    /// Ends the connection as soon as what names the reason is sent.
    package func terminate(_ code: HTTP2ErrorCode) {
        check(nghttp2_session_terminate_session(handle, code.rawValue))
    }

    /// Submissions fail for want of memory, which ends the process, or because the stream or the
    /// connection is over already, which `streamClosed` tells.
    private func check(_ status: Int32) {
        precondition(status != NGHTTP2_ERR_NOMEM.rawValue, "out of memory")
        assert(status != NGHTTP2_ERR_INVALID_ARGUMENT.rawValue, String(cString: nghttp2_strerror(status)))
    }
}

// MARK: - What nghttp2 calls

extension HTTP2Session {
    func headersBegan(_ frame: nghttp2_headers) {
        headerBytes = 0
        let id = frame.hd.stream_id
        if role == .server, frame.cat == NGHTTP2_HCAT_REQUEST {
            let stream = Unmanaged.passUnretained(delegate.streamOpened(id))
            let status = nghttp2_session_set_stream_user_data(handle, id, stream.toOpaque())
            precondition(status == 0, "nghttp2 opened a stream that it does not know")
            openStreams += 1
            headerStream = stream
            policy.usefulReceived()
        } else {
            headerStream = stream(id)
        }
    }

    /// - Returns: false when the block is a bomb and the session must end.
    func headerReceived(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) -> Bool {
        headerBytes += name.count + value.count + 32
        if headerBytes > limits.maxHeaderListBytes { return headerBytes <= limits.maxExpandedHeaderBytes }
        headerStream?._withUnsafeGuaranteedRef { delegate.headerField($0, name: name, value: value) }
        return true
    }

    func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = frame.pointee.hd
        let endsStream = UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue:
            guard let stream = headerStream else { return }
            headerStream = nil
            let kind: HeaderBlockKind = frame.pointee.headers.cat == NGHTTP2_HCAT_HEADERS ? .following : .initial
            stream._withUnsafeGuaranteedRef { stream in
                delegate.headersEnded(stream, kind: kind, tooLarge: headerBytes > limits.maxHeaderListBytes)
                if endsStream { delegate.remoteEnded(stream) }
            }
        case NGHTTP2_DATA.rawValue:
            if endsStream { stream(header.stream_id)?._withUnsafeGuaranteedRef { delegate.remoteEnded($0) } }
        case NGHTTP2_RST_STREAM.rawValue:
            policy.peerReset()
        case NGHTTP2_SETTINGS.rawValue:
            if UInt32(header.flags) & NGHTTP2_FLAG_ACK.rawValue == 0 { delegate.settingsReceived() }
        case NGHTTP2_PING.rawValue:
            if UInt32(header.flags) & NGHTTP2_FLAG_ACK.rawValue != 0 { delegate.pingAcknowledged() }
        case NGHTTP2_GOAWAY.rawValue:
            delegate.goAwayReceived(
                lastStream: frame.pointee.goaway.last_stream_id,
                code: HTTP2ErrorCode(rawValue: frame.pointee.goaway.error_code))
        default:
            break
        }
    }

    func dataReceived(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
        guard let stream = stream(id) else { return }
        policy.usefulReceived()
        stream._withUnsafeGuaranteedRef { delegate.dataReceived($0, bytes) }
        // One stream that is read slowly must not stop the others.
        check(nghttp2_session_consume_connection(handle, bytes.count))
    }

    func frameSent(_ header: nghttp2_frame_hd) {
        switch UInt32(header.type) {
        case NGHTTP2_DATA.rawValue, NGHTTP2_HEADERS.rawValue:
            policy.usefulSent()
            if UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0 {
                stream(header.stream_id)?._withUnsafeGuaranteedRef { delegate.localEnded($0) }
            }
        case NGHTTP2_RST_STREAM.rawValue:
            // A client's resets are its own wish.
            if role == .server { policy.provokedReset() }
        default:
            break
        }
    }

    func fillBody(_ stream: Unmanaged<AnyObject>, _ buffer: UnsafeMutableRawBufferPointer) -> BodyPiece {
        stream._withUnsafeGuaranteedRef { delegate.fillBody($0, buffer) }
    }

    func streamClosed(_ id: Int32, _ code: UInt32) {
        guard let stream = stream(id) else { return }
        nghttp2_session_set_stream_user_data(handle, id, nil)
        openStreams -= 1
        if headerStream?.toOpaque() == stream.toOpaque() { headerStream = nil }
        stream._withUnsafeGuaranteedRef { delegate.streamClosed($0, HTTP2ErrorCode(rawValue: code)) }
    }

    private func stream(_ id: Int32) -> Unmanaged<AnyObject>? {
        nghttp2_session_get_stream_user_data(handle, id).map { Unmanaged.fromOpaque($0) }
    }
}
