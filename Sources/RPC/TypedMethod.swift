// Methods whose messages are known: decode, let the service answer, encode.

import CProtobufC

extension Method {
    /// A unary call that is answered before `answer` returns: it fills in the reply, or throws the
    /// status that the call ends with.
    package static func unary<Request, Reply>(
        _ path: String, _ request: MessageType<Request>, _ reply: MessageType<Reply>,
        _ answer:
            @escaping @Sendable (
                ServerCall, UnsafeMutablePointer<Request>, UnsafeMutablePointer<Reply>, Arena
            ) throws(Status) -> Void
    ) -> Method {
        .unary(path) { call, bytes in
            call.resources.withArena { arena in
                do throws(Status) {
                    let message = reply.make(in: arena)
                    try answer(call, try request.decode(bytes, in: arena), message, arena)
                    call.send(message: message)
                    call.finish(.ok)
                } catch {
                    call.finish(error)
                }
            }
        }
    }

    /// A call with one request that is answered whenever its service sees fit; what `begin` throws ends
    /// it at once.
    package static func waiting<Request>(
        _ path: String, _ request: MessageType<Request>, streamsReplies: Bool = false,
        _ begin: @escaping @Sendable (ServerCall, UnsafeMutablePointer<Request>, Arena) throws(Status) -> Void
    ) -> Method {
        let handle: @Sendable (ServerCall, UnsafeRawBufferPointer) -> Void = { call, bytes in
            call.resources.withArena { arena in
                do throws(Status) {
                    try begin(call, try request.decode(bytes, in: arena), arena)
                } catch {
                    call.finish(error)
                }
            }
        }
        return streamsReplies ? .serverStreaming(path, handle) : .unary(path, handle)
    }
}

extension ServerCall {
    /// Sends a protobuf message.
    package func send<Message>(message: UnsafeMutablePointer<Message>) {
        let base = UnsafeMutableRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
        send(byteCount: protobuf_c_message_get_packed_size(base)) { destination in
            protobuf_c_message_pack(base, destination.assumingMemoryBound(to: UInt8.self))
        }
    }
}
