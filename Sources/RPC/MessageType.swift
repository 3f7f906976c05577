// protobuf-c's messages from Swift: decoding that trusts nothing, encoding into whatever asks.

import CProtobufC

/// A message type that protoc-c generated, known by its C struct.
package struct MessageType<Message>: @unchecked Sendable {
    // The descriptor is constant data of the generated code.
    package let descriptor: UnsafePointer<ProtobufCMessageDescriptor>

    /// - Parameter initialize: the generated `…__init`, the one reliable way to the descriptor's
    ///   address.
    package init(_ initialize: (UnsafeMutablePointer<Message>) -> Void) {
        descriptor = withUnsafeTemporaryAllocation(of: Message.self, capacity: 1) { memory in
            initialize(memory.baseAddress!)
            return UnsafeRawPointer(memory.baseAddress!).load(as: ProtobufCMessage.self).descriptor
        }
        precondition(descriptor.pointee.sizeof_message == MemoryLayout<Message>.size)
    }

    /// Reads a message, which lives in the arena.
    ///
    /// - Throws: INVALID_ARGUMENT for bytes that are no such message, for text that is not UTF-8 or
    ///   contains U+0000, which a C string would be cut off at; RESOURCE_EXHAUSTED for more fields than
    ///   `maxFields`.
    package func decode(
        _ bytes: UnsafeRawBufferPointer, in arena: Arena, maxFields: Int = RPCLimits().maxFieldsPerMessage
    ) throws(Status) -> UnsafeMutablePointer<Message> {
        var validator = WireValidator(maxFields: maxFields)
        try validator.check(bytes, as: descriptor)
        guard
            let message = protobuf_c_message_unpack(
                descriptor, arena.allocator, bytes.count, bytes.bindMemory(to: UInt8.self).baseAddress)
        else {
            throw Status(.invalidArgument, "the request is no valid \(name)")
        }
        return UnsafeMutableRawPointer(message).assumingMemoryBound(to: Message.self)
    }

    /// A new message with every field at its default, in the arena.
    package func make(in arena: Arena) -> UnsafeMutablePointer<Message> {
        let memory = arena.allocate(MemoryLayout<Message>.size)
        descriptor.pointee.message_init(memory.assumingMemoryBound(to: ProtobufCMessage.self))
        return memory.assumingMemoryBound(to: Message.self)
    }

    package var name: String { String(cString: descriptor.pointee.name) }
}

/// The size of a message on the wire.
package func packedSize<Message>(_ message: UnsafePointer<Message>) -> Int {
    protobuf_c_message_get_packed_size(
        UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self))
}

/// Writes a message; `destination` has room for `packedSize` bytes.
package func pack<Message>(_ message: UnsafePointer<Message>, to destination: UnsafeMutableRawPointer) {
    protobuf_c_message_pack(
        UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self),
        destination.assumingMemoryBound(to: UInt8.self))
}
