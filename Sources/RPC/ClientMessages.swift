// Protobuf messages around the bytes of a client's calls.
//
// A message lives in an arena and does not leave the closure that fills or reads it: what goes between
// tasks is bytes and the caller's own values.

import CProtobufC

extension MessageType {
    /// The bytes of a message that `fill` fills in.
    package func bytes(_ fill: (UnsafeMutablePointer<Message>, Arena) -> Void) -> [UInt8] {
        let arena = Arena()
        let message = make(in: arena)
        fill(message, arena)
        let count = packedSize(message)
        return withExtendedLifetime(arena) {
            [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                if let destination = buffer.baseAddress { pack(message, to: destination) }
                initialized = count
            }
        }
    }

    /// What `read` makes of a message that a server sent. One that can't be read is INTERNAL: the server,
    /// not the caller, is at fault.
    package func read<Result>(
        _ bytes: [UInt8], _ read: (UnsafeMutablePointer<Message>) -> Result
    ) throws(CallFailure) -> Result {
        let arena = Arena()
        defer { withExtendedLifetime(arena) {} }
        do throws(Status) {
            let decoded = bytes.withUnsafeBytes { bytes in
                Swift.Result { () throws(Status) in try decode(bytes, in: arena) }
            }
            return read(try decoded.get())
        } catch {
            throw CallFailure(Status(.internal, "the reply can't be read: \(error.message)"))
        }
    }
}
