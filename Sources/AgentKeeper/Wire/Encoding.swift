// From values to messages, which live in the arena of the call.

import CMessages
import CProtobufC
import RPC

extension Arena {
    func message(_ card: AgentCard) -> UnsafeMutablePointer<Wire.Card> {
        let message = Wire.card.make(in: self)
        message.pointee.name = string(card.name)
        message.pointee.description = string(card.description)
        message.pointee.version = string(card.version)
        (message.pointee.n_tools, message.pointee.tools) = list(card.tools) { string($0) }
        (message.pointee.n_capabilities, message.pointee.capabilities) = list(card.capabilities) { capability in
            let entry = Wire.capability.make(in: self)
            entry.pointee.name = string(capability.name)
            entry.pointee.description = string(capability.description)
            return entry
        }
        // Sorted, so that the same card is the same bytes when a call is tried again.
        let metadata = card.metadata.sorted { $0.key < $1.key }
        (message.pointee.n_metadata, message.pointee.metadata) = list(metadata) { pair in
            let entry = Wire.metadataEntry.make(in: self)
            entry.pointee.key = string(pair.key)
            entry.pointee.value = string(pair.value)
            return entry
        }
        return message
    }

    func message(_ token: FencingToken) -> UnsafeMutablePointer<Wire.Token> {
        let message = Wire.token.make(in: self)
        message.pointee.value = token.value
        return message
    }

    func message(_ policy: Policy) -> UnsafeMutablePointer<Wire.Policy> {
        let message = Wire.policy.make(in: self)
        message.pointee.id = string(policy.id)
        message.pointee.subject = string(policy.subject)
        message.pointee.action = string(policy.action)
        message.pointee.resource = string(policy.resource)
        message.pointee.effect =
            switch policy.effect {
            case .allow: AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_ALLOW
            case .deny: AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_DENY
            case .unknown: AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_UNSPECIFIED
            }
        return message
    }

    func bytes(_ bytes: [UInt8]) -> ProtobufCBinaryData {
        guard !bytes.isEmpty else { return ProtobufCBinaryData(len: 0, data: nil) }
        let copy = array(of: UInt8.self, count: bytes.count)
        copy.initialize(from: bytes, count: bytes.count)
        return ProtobufCBinaryData(len: bytes.count, data: copy)
    }

    /// protobuf-c takes an array of pointers with its length.
    func list<Value, Message>(
        _ values: [Value], _ make: (Value) -> UnsafeMutablePointer<Message>
    ) -> (Int, UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?) {
        guard !values.isEmpty else { return (0, nil) }
        let pointers = array(of: UnsafeMutablePointer<Message>?.self, count: values.count)
        for (index, value) in values.enumerated() { (pointers + index).initialize(to: make(value)) }
        return (values.count, pointers)
    }
}

extension TaskStatus {
    var wire: Agentkeeper__V1__TaskStatus {
        switch self {
        case .pending: AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_PENDING
        case .claimed: AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_CLAIMED
        case .completed: AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_COMPLETED
        case .dead: AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_DEAD
        case .unknown: AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_UNSPECIFIED
        }
    }
}

/// A ttl as the daemon takes it: whole seconds, rounded up, since a lease must not be shorter than was asked for.
struct WholeSeconds: Sendable {
    let wire: UInt32
    var duration: Duration { .seconds(Int64(wire)) }

    /// - Throws: for a ttl that is not positive, or that the daemon could not even read. Its own bound is a week.
    init(_ ttl: Duration) throws(AgentKeeperError) {
        let (seconds, attoseconds) = ttl.components
        guard ttl > .zero, seconds < Int64(UInt32.max) else {
            throw .invalidArgument("a ttl must be from 1 to 604800 seconds, found \(ttl)")
        }
        wire = UInt32(seconds) + (attoseconds > 0 ? 1 : 0)
    }
}

/// An id that makes a call safe to repeat: 128 random bits.
func newRequestID() -> String {
    var generator = SystemRandomNumberGenerator()
    return [generator.next(), generator.next()].map { (word: UInt64) in
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
}
