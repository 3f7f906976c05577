// The entries of a list, as many as fit into one message.

import RPC

struct Page<Message> {
    /// What the list may have in bytes: a message's limit less room for what else is in the message.
    private static var maxBytes: Int { RPCLimits().maxMessageBytes - 8_192 }
    /// An entry's tag and length around it.
    private static var overheadBytes: Int { 6 }

    let messages: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>
    private let capacity: Int
    private(set) var count = 0
    private var bytes = 0

    init(in arena: Arena, capacity: Int) {
        messages = arena.array(of: UnsafeMutablePointer<Message>?.self, count: capacity)
        self.capacity = capacity
    }

    /// - Returns: false, and nothing is added, when the entry does not fit.
    mutating func append(_ message: UnsafeMutablePointer<Message>) -> Bool {
        let size = packedSize(message) + Self.overheadBytes
        guard bytes + size <= Self.maxBytes, count < capacity else { return false }
        (messages + count).initialize(to: message)
        count += 1
        bytes += size
        return true
    }
}
