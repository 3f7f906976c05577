/// Who leads a group.
public struct ElectionState: Hashable, Sendable, Codable {
    /// Which election.
    public var group: String
    /// Nil while nobody leads.
    public var leader: AgentID?
    /// One higher at every change of leader, to nobody included. It never goes back while the daemon, or its data
    /// directory, lives.
    public var term: UInt64
    /// When the leader was elected; nil while nobody leads.
    public var electedAt: Timestamp?

    /// A state as it is told in tests of one's own code.
    public init(group: String, leader: AgentID?, term: UInt64, electedAt: Timestamp? = nil) {
        self.group = group
        self.leader = leader
        self.term = term
        self.electedAt = electedAt
    }
}
