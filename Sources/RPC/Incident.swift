// What befalls connections and calls that an operator should know of, told as it happens to whoever wants to hear:
// counters say how often, this says who and why.
//
// Told on event loops, so whoever listens must not wait for anything.

package enum Incident: Sendable {
    /// One connection too many.
    case connectionRefused(peer: String, reason: String)
    /// The peer broke the protocol, or flooded it with frames that bring nothing.
    case connectionEnded(peer: String, reason: String)
    /// A call ended with another status than OK. Those that merely answer a question with no are told only to whoever
    /// listens to all.
    case callFailed(method: String, isStream: Bool, status: Status, peer: String)
}

package struct IncidentListener: Sendable {
    /// Whether every call is told of that fails, and not only those that met a limit, RESOURCE_EXHAUSTED.
    let hearsEveryFailure: Bool
    let tell: @Sendable (Incident) -> Void

    package init(hearsEveryFailure: Bool = false, _ tell: @escaping @Sendable (Incident) -> Void) {
        self.hearsEveryFailure = hearsEveryFailure
        self.tell = tell
    }
}
