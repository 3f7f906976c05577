/// How a client deals with its connection.
///
/// The defaults suit a daemon on the same machine or in the same data centre.
public struct ClientConfiguration: Sendable {
    /// How long a call may take in all, unless it is given a timeout of its own: waiting for a connection and trying
    /// again are part of it. A call that waits for something (a lease, a task) has this beyond its wait.
    public var callTimeout: Duration = .seconds(10)

    /// Whether calls wait for a daemon that is not there yet, or not there for the moment, until their timeout. If not,
    /// they end with UNAVAILABLE as soon as connecting fails, and none is tried again.
    public var waitsForReady = true

    /// How long a connection may take before it counts as failed. Whole seconds, at least 1.
    public var connectTimeout: Duration = .seconds(5)

    /// The wait after a first failure to connect; each further wait is 1.6 times as long, and strays by a fifth.
    public var initialBackoff: Duration = .milliseconds(50)

    /// The longest wait between attempts to connect.
    public var maxBackoff: Duration = .seconds(5)

    /// Silence after which a connection with calls under way is asked whether it is alive. Whole seconds, at least 10.
    public var keepaliveInterval: Duration = .seconds(10)

    /// How long the answer to that may take before the connection is given up and its calls go to another. Whole
    /// seconds, at least 1.
    public var keepaliveTimeout: Duration = .seconds(5)

    /// How long ``AgentKeeperClient/close()`` waits for calls under way.
    public var closeGrace: Duration = .seconds(2)

    /// The trace that all calls belong to, as W3C Trace Context has it in `traceparent`, such as
    /// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. The daemon tells it again in the events that the calls
    /// bring about (``Event/traceParent``) and in its log; what it can't read it ignores. Nil for none.
    public var traceParent: String?

    /// The defaults.
    public init() {}
}
