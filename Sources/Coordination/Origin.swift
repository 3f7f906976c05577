// Where a command came from, for whoever reads afterwards what happened: the network address of the client whose
// call it was, and the trace that the call belongs to. Nothing is decided by it.
//
// An object, and nil for most commands, so that a command that nobody traces costs one register to carry.

package final class Origin: Sendable {
    /// Known while the daemon runs, and not kept over a restart.
    package let peer: String?
    /// Kept with the event.
    package let trace: TraceContext?

    package init(peer: String? = nil, trace: TraceContext? = nil) {
        self.peer = peer
        self.trace = trace
    }
}
