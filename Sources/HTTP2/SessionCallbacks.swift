// The C side of a session: from nghttp2's callbacks to the session that they belong to.
//
// A callback that returns an error ends the whole session, so none does but for the one case that is
// meant to: a header block that is a bomb.

import CNghttp2

/// nghttp2's table of callbacks, the same for every session of the process.
final class SessionCallbacks: @unchecked Sendable {
    // Written once below, read by nghttp2 after that.
    static let shared = SessionCallbacks()

    let pointer: OpaquePointer

    private init() {
        var callbacks: OpaquePointer?
        precondition(nghttp2_session_callbacks_new(&callbacks) == 0, "out of memory")
        pointer = callbacks!

        nghttp2_session_callbacks_set_on_begin_headers_callback(pointer) { _, frame, context in
            SessionCallbacks.with(context) { $0.headersBegan(frame!.pointee.headers) }
            return 0
        }
        nghttp2_session_callbacks_set_on_header_callback(pointer) {
            _, _, name, nameCount, value, valueCount, _, context in
            let fits = SessionCallbacks.with(context) { session in
                session.headerReceived(
                    name: UnsafeBufferPointer(start: name, count: nameCount),
                    value: UnsafeBufferPointer(start: value, count: valueCount))
            }
            return fits ? 0 : Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(pointer) { _, frame, context in
            SessionCallbacks.with(context) { $0.frameReceived(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(pointer) {
            _, _, id, data, count, context in
            let bytes = UnsafeRawBufferPointer(start: data, count: count)
            SessionCallbacks.with(context) { $0.dataReceived(id, bytes) }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(pointer) { _, frame, context in
            SessionCallbacks.with(context) { $0.frameSent(frame!.pointee.hd) }
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(pointer) { _, id, code, context in
            SessionCallbacks.with(context) { $0.streamClosed(id, code) }
            return 0
        }
    }

    static let readBody: nghttp2_data_source_read_callback = {
        _, _, buffer, capacity, flags, source, context in
        let stream = Unmanaged<AnyObject>.fromOpaque(source!.pointee.ptr)
        let room = UnsafeMutableRawBufferPointer(start: buffer, count: capacity)
        switch SessionCallbacks.with(context, { $0.fillBody(stream, room) }) {
        case .bytes(let count):
            return count
        case .last(let count):
            flags!.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
            return count
        case .lastBeforeTrailers(let count):
            flags!.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue | NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
            return count
        case .pause:
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        case .fail:
            return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
        }
    }

    /// Lends the session, which outlives every callback: no reference is counted.
    @inline(__always)
    private static func with<Result>(
        _ context: UnsafeMutableRawPointer?, _ body: (HTTP2Session) -> Result
    ) -> Result {
        Unmanaged<HTTP2Session>.fromOpaque(context.unsafelyUnwrapped)._withUnsafeGuaranteedRef(body)
    }
}
