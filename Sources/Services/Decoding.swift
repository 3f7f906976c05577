// From messages to the core's values. What a text says was checked when it was decoded: it is UTF-8
// without U+0000. What it means, the core checks.

import CMessages
import CProtobufC
import Coordination
import Glibc
import RPC

extension String {
    init(wire text: UnsafePointer<CChar>?) {
        if let text { self.init(cString: text) } else { self = "" }
    }
}

/// The texts of a repeated field.
func texts(_ pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, count: Int) -> [String] {
    (0..<count).map { String(wire: pointers![$0]) }
}

func bytes(_ data: ProtobufCBinaryData) -> [UInt8] {
    Array(UnsafeBufferPointer(start: data.data, count: data.len))
}

extension AgentID {
    /// Reads an `agent_id` that a call needs.
    ///
    /// - Throws: INVALID_ARGUMENT when it is empty; NOT_FOUND when it is no agent's id by its form.
    init(wire text: UnsafePointer<CChar>, field: StaticString = "agent_id") throws(Status) {
        let length = strlen(text)
        guard length > 0 else { throw Status(.invalidArgument, "\(field) must not be empty") }
        let digits = UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self)
        guard let id = AgentID(hex: UnsafeBufferPointer(start: digits, count: length)) else {
            throw Status(
                .notFound, "unknown agent \(quoted(String(cString: text))): an agent's id has 32 lowercase hex digits")
        }
        self = id
    }
}

extension FencingToken {
    /// A token that a call needs. One that is missing is 0, which is nobody's.
    init(wire token: UnsafePointer<Wire.Token>?) {
        self.init(token?.pointee.value ?? 0)
    }
}

extension RequestID {
    static func wire(_ text: UnsafePointer<CChar>) -> RequestID? {
        text.pointee == 0 ? nil : RequestID(String(cString: text))
    }
}

extension AgentCard {
    convenience init(wire card: Wire.Card) {
        self.init(
            name: String(wire: card.name), description: String(wire: card.description),
            version: String(wire: card.version),
            capabilities: (0..<card.n_capabilities).map { index in
                let capability = card.capabilities[index]!.pointee
                return Capability(
                    name: String(wire: capability.name), description: String(wire: capability.description))
            },
            tools: texts(card.tools, count: card.n_tools),
            metadata: Self.metadata(wire: card))
    }

    /// By key, in the order of its bytes. Of a key that is sent twice the last value counts (protobuf,
    /// "Maps"); keys are compared as bytes, which a dictionary of strings would not do.
    private static func metadata(wire card: Wire.Card) -> [MetadataEntry] {
        let entries = (0..<card.n_metadata).map { index in
            let entry = card.metadata[index]!.pointee
            return (index: index, entry: MetadataEntry(key: String(wire: entry.key), value: String(wire: entry.value)))
        }
        let sorted = entries.sorted { left, right in
            left.entry.key.hasSameBytes(as: right.entry.key)
                ? left.index < right.index
                : left.entry.key.utf8.lexicographicallyPrecedes(right.entry.key.utf8)
        }
        return sorted.indices.compactMap { index in
            let isLast =
                index + 1 == sorted.count || !sorted[index].entry.key.hasSameBytes(as: sorted[index + 1].entry.key)
            return isLast ? sorted[index].entry : nil
        }
    }
}
