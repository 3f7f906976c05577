// Who may do what: policies, and what the daemon decides by them.

/// Who may, or may not, do what on what.
///
/// In subject, action and resource a `*` matches any run of characters, none included, across `:` and `/` too,
/// anywhere and any number of times. All else is literal, and case matters. Each has 1 to 1,024 bytes.
public struct Policy: Hashable, Sendable, Codable, Identifiable {
    /// What a policy says when it matches.
    public enum Effect: String, Hashable, Sendable, Codable, CaseIterable {
        /// Permits, unless a deny matches too.
        case allow = "ALLOW"
        /// Forbids, whatever else matches.
        case deny = "DENY"
        /// An effect that this version of the SDK does not know. Setting it is INVALID_ARGUMENT.
        case unknown = "UNKNOWN"
    }

    /// Names the policy: setting another one with the same id replaces it.
    public var id: String
    /// Who, such as `agent:scraper`.
    public var subject: String
    /// Does what, such as `call`.
    public var action: String
    /// On what, such as `tool:*`.
    public var resource: String
    /// What follows when it matches.
    public var effect: Effect

    /// A policy with all its parts, each of which is required.
    public init(id: String, subject: String, action: String, resource: String, effect: Effect) {
        self.id = id
        self.subject = subject
        self.action = action
        self.resource = resource
        self.effect = effect
    }

    /// A policy that permits.
    public static func allow(_ subject: String, to action: String, on resource: String, id: String) -> Policy {
        Policy(id: id, subject: subject, action: action, resource: resource, effect: .allow)
    }

    /// A policy that forbids.
    public static func deny(_ subject: String, to action: String, on resource: String, id: String) -> Policy {
        Policy(id: id, subject: subject, action: action, resource: resource, effect: .deny)
    }
}

/// The answer to whether a subject may do something.
public struct Decision: Hashable, Sendable, Codable {
    /// Whether it may.
    public var isAllowed: Bool
    /// One of `denied by policy "ID"`, `allowed by policy "ID"`, `no matching policy (default deny)`.
    public var reason: String

    /// A decision as it is told in tests of one's own code.
    public init(isAllowed: Bool, reason: String) {
        self.isAllowed = isAllowed
        self.reason = reason
    }
}
