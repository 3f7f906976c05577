// Why something happened, where the topic alone doesn't say.

package enum EventReason: UInt8, CaseIterable, Sendable {
    /// The topic says it all.
    case none = 0
    /// The agent was not heard of for too long.
    case silence = 1
    /// At the agent's own wish.
    case deregistered = 2
    /// The time it was given for was over.
    case ranOut = 3
    case holderDied = 4
    /// The grant did not reach the client that had waited for it.
    case notDelivered = 5
    case campaigned = 6
    case resigned = 7
    case leaderDied = 8
    /// An operator wanted it so.
    case forced = 9

    /// As it is told and kept. Empty for `none`.
    package var text: String {
        switch self {
        case .none: ""
        case .silence: "silence"
        case .deregistered: "deregistered"
        case .ranOut: "ran_out"
        case .holderDied: "holder_died"
        case .notDelivered: "not_delivered"
        case .campaigned: "campaigned"
        case .resigned: "resigned"
        case .leaderDied: "leader_died"
        case .forced: "forced"
        }
    }

    /// Nil for a text that is no reason's, the empty one too.
    package init?(text: String) {
        guard let reason = Self.allCases.first(where: { $0 != .none && $0.text == text }) else { return nil }
        self = reason
    }
}
