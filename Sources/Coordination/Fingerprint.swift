// A number that tells a request's content from another's, kept instead of the content: 100 000
// remembered requests may each have carried two megabytes.
//
// It is only ever compared under one request id or one token, so a client can at most fool itself, and
// no secret key is needed. It must be the same after a restart, which Swift's `Hasher` is not. Eight
// bytes a step, each step a bijection of both the word and the state before: contents of one length that
// differ in one word never have the same fingerprint.

package struct Fingerprint: Hashable, Sendable {
    package private(set) var value: UInt64 = 0x9e37_79b9_7f4a_7c15

    package init() {}

    /// One that was taken before.
    init(value: UInt64) { self.value = value }

    package mutating func add(_ word: UInt64) {
        // The multiplier is odd, so multiplying is reversible; the shift carries high bits down.
        value = (value ^ word) &* 0xff51_afd7_ed55_8ccd
        value ^= value >> 32
    }

    /// The length goes first, so that no two lists of texts read the same.
    package mutating func add(_ bytes: UnsafeRawBufferPointer) {
        add(UInt64(bytes.count))
        var offset = 0
        while offset + 8 <= bytes.count {
            add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < bytes.count {
            rest = rest << 8 | UInt64(bytes[offset])
            offset += 1
        }
        add(rest)
    }

    package mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }

    mutating func add(_ texts: [String]) {
        add(UInt64(texts.count))
        for text in texts { add(text) }
    }

    mutating func add(_ agent: AgentID) {
        add(agent.high)
        add(agent.low)
    }
}

extension Fingerprint {
    /// Of everything in a request but its id, the fresh id it brings along, and how long it would wait:
    /// a retry has less time left. The kind comes first: one id can't name two kinds of request.
    init(_ register: Command.Register, ttlSeconds: UInt32) {
        self.init()
        let card = register.card
        add(1)
        add(UInt64(ttlSeconds))
        add(card.name)
        add(card.description)
        add(card.version)
        add(card.tools)
        add(UInt64(card.capabilities.count))
        for capability in card.capabilities {
            add(capability.name)
            add(capability.description)
        }
        add(UInt64(card.metadata.count))
        for entry in card.metadata {
            add(entry.key)
            add(entry.value)
        }
    }

    init(_ acquire: Command.AcquireLease, ttlSeconds: UInt32) {
        self.init()
        add(2)
        add(UInt64(ttlSeconds))
        add(acquire.task.text)
        add(acquire.agent)
    }

    init(_ create: Command.CreateTask, ttlSeconds: UInt32) {
        self.init()
        add(3)
        add(UInt64(ttlSeconds))
        add(create.type)
        create.input.withUnsafeBytes { add($0) }
        add(create.requiredTools)
        add(UInt64(create.maxRetries))
    }

    /// Of the lease's task and holder; its token is what this is kept under.
    init(_ lease: Command.HeldLease) {
        self.init()
        add(lease.task.text)
        add(lease.agent)
    }
}
