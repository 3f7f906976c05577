// What a field of a request may hold. Every text says which field, what is allowed, what was found;
// the fields are named as on the wire, and a text that is quoted is cut at 200 characters.

struct FieldRules: Sendable {
    let limits: SharedLimits

    /// A name that must be given.
    func name(_ text: String, _ field: StaticString) throws(Refusal) {
        guard !text.isEmpty else { throw .invalid("\(field) must not be empty") }
        try length(text, field, max: limits.values.maxNameBytes)
    }

    func length(_ text: String, _ field: StaticString, max: Int) throws(Refusal) {
        let count = text.utf8.count
        guard count > max else { return }
        throw .invalid("\(field) must be at most \(max) bytes, found \(count): \(FieldRules.quote(text))")
    }

    func size(_ bytes: [UInt8], _ field: StaticString, max: Int) throws(Refusal) {
        guard bytes.count > max else { return }
        throw .invalid("\(field) must be at most \(max) bytes, found \(bytes.count)")
    }

    func count(_ count: Int, _ field: StaticString, max: Int) throws(Refusal) {
        guard count > max else { return }
        throw .invalid("\(field) must have at most \(max) entries, found \(count)")
    }

    /// The ttl in force: 0 means the default.
    func ttl(_ seconds: UInt32, default: UInt32) throws(Refusal) -> UInt32 {
        guard seconds <= limits.values.maxTTLSeconds else {
            let (days, rest) = limits.values.maxTTLSeconds.quotientAndRemainder(dividingBy: 86_400)
            let inDays = days > 0 && rest == 0 ? " (\(days) days)" : ""
            throw .invalid("ttl_seconds must be at most \(limits.values.maxTTLSeconds)\(inDays), found \(seconds)")
        }
        return seconds == 0 ? `default` : seconds
    }

    func requestID(_ id: RequestID?) throws(Refusal) {
        guard let id else { return }
        try name(id.text, "request_id")
    }

    func card(_ card: AgentCard) throws(Refusal) {
        try name(card.name, "card.name")
        try count(card.tools.count, "card.tools", max: limits.values.maxCardEntries)
        try count(card.capabilities.count, "card.capabilities", max: limits.values.maxCardEntries)
        try count(card.metadata.count, "card.metadata", max: limits.values.maxCardEntries)
        guard card.textBytes <= limits.values.maxCardBytes else {
            throw .invalid(
                "card must have at most \(limits.values.maxCardBytes) bytes of text, found \(card.textBytes)")
        }
    }

    func policy(_ policy: Policy) throws(Refusal) {
        try name(policy.id.text, "policy.id")
        try pattern(policy.subject, "policy.subject")
        try pattern(policy.action, "policy.action")
        try pattern(policy.resource, "policy.resource")
    }

    private func pattern(_ text: String, _ field: StaticString) throws(Refusal) {
        guard !text.isEmpty else { throw .invalid("\(field) must not be empty") }
        try length(text, field, max: limits.values.maxPatternBytes)
    }

    func task(_ create: Command.CreateTask) throws(Refusal) {
        try name(create.type, "type")
        try size(create.input, "input", max: limits.values.maxTaskPayloadBytes)
        try count(create.requiredTools.count, "required_tools", max: limits.values.maxCardEntries)
        var bytes = 0
        for tool in create.requiredTools {
            try length(tool, "required_tools", max: limits.values.maxNameBytes)
            bytes += tool.utf8.count
        }
        guard bytes <= limits.values.maxCardBytes else {
            let most = limits.values.maxCardBytes
            throw .invalid("required_tools must have at most \(most) bytes of text, found \(bytes)")
        }
    }

    /// In quotation marks, cut at 200 characters. Unicode scalars are counted: what a reader takes for
    /// one character may be a megabyte of accents.
    static func quote(_ text: String) -> String {
        let scalars = text.unicodeScalars
        let end = scalars.index(scalars.startIndex, offsetBy: 200, limitedBy: scalars.endIndex) ?? scalars.endIndex
        return "\"\(String(scalars[..<end]))\(end == scalars.endIndex ? "" : "…")\""
    }
}
