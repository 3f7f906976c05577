// Everything that can go wrong, in one type.

/// A gRPC status code (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
public enum StatusCode: UInt8, Hashable, Sendable, Codable, CaseIterable, CustomStringConvertible {
    /// The call, or whoever waited for it, was cancelled.
    case cancelled = 1
    /// The daemon said nothing that has a code.
    case unknown = 2
    /// A request is wrong in itself; the message says which field, and what was found.
    case invalidArgument = 3
    /// The call took longer than its timeout.
    case deadlineExceeded = 4
    /// There is no such agent, lease, policy or task, or there is none any more.
    case notFound = 5
    /// A request id was used before with other content.
    case alreadyExists = 6
    /// Another agent, or another token, holds it.
    case permissionDenied = 7
    /// A limit of the daemon is reached; the message names it.
    case resourceExhausted = 8
    /// The call doesn't fit the state, as completing a task that nobody has claimed.
    case failedPrecondition = 9
    /// The call was given up in favour of another.
    case aborted = 10
    /// A sequence that the daemon doesn't have any more, or not yet.
    case outOfRange = 11
    /// The daemon doesn't know the call: it is older than this SDK.
    case unimplemented = 12
    /// The daemon, or the SDK, has a bug.
    case `internal` = 13
    /// The daemon is not there, or is stopping.
    case unavailable = 14
    /// Data was lost.
    case dataLoss = 15
    /// The daemon wants to know who is asking.
    case unauthenticated = 16

    /// The name as gRPC writes it, such as `NOT_FOUND`.
    public var description: String {
        switch self {
        case .cancelled: "CANCELLED"
        case .unknown: "UNKNOWN"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internal: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .dataLoss: "DATA_LOSS"
        case .unauthenticated: "UNAUTHENTICATED"
        }
    }
}

/// Why a lease, or a claim, is not its holder's any more.
public enum LeaseLoss: Hashable, Sendable, CustomStringConvertible {
    /// The daemon says that nobody holds it: it ran out, or the daemon started anew without it. With its message.
    case expired(String)
    /// The daemon says that another holds it, or that it is held under another token. With its message.
    case taken(String)
    /// The agent that held it is dead, and all that it held is free. With the reason.
    case agentDied(String)
    /// The daemon could not be asked for so long that the lease may have run out. With the last thing that was tried.
    case unreachable(String)
    /// The client was closed while the lease was held.
    case clientClosed

    /// The reason in a sentence.
    public var description: String {
        switch self {
        case .expired(let message): "it expired: \(message)"
        case .taken(let message): "it was taken: \(message)"
        case .agentDied(let message): "its agent is dead: \(message)"
        case .unreachable(let message): "the daemon could not be reached in time to renew it: \(message)"
        case .clientClosed: "the client was closed"
        }
    }
}

/// Why an agent does not lead any more.
public enum LeadershipLoss: Hashable, Sendable, CustomStringConvertible {
    /// Another leads, or nobody: somebody withdrew the agent's candidacy.
    case deposed(ElectionState)
    /// The candidacy was given up by its owner.
    case resigned
    /// The agent is dead. With the reason.
    case agentDied(String)
    /// The daemon could not be asked for so long that it may have taken the agent for dead. With the last thing that
    /// was tried.
    case unreachable(String)
    /// The client was closed.
    case clientClosed

    /// The reason in a sentence.
    public var description: String {
        switch self {
        case .deposed(let state):
            if let leader = state.leader {
                "agent \(leader) leads \(state.group) in term \(state.term)"
            } else {
                "nobody leads \(state.group) in term \(state.term)"
            }
        case .resigned: "the candidacy was given up"
        case .agentDied(let message): "the agent is dead: \(message)"
        case .unreachable(let message): "the daemon could not be reached for too long: \(message)"
        case .clientClosed: "the client was closed"
        }
    }
}

/// What every call of the SDK throws.
public enum AgentKeeperError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The daemon, or the connection to it, ended a call with this status.
    case rpc(StatusCode, message: String)
    /// An argument is wrong, and the daemon was not asked.
    case invalidArgument(String)
    /// The lease is held, by this agent itself or by another, and was still held when the wait ran out.
    case leaseHeld(LeaseInfo)
    /// The lease was lost while work went on under it.
    case leaseLost(LeaseLoss)
    /// Leadership was lost while work went on under it.
    case leadershipLost(LeadershipLoss)
    /// The daemon takes the agent for dead, or it was deregistered. With the reason.
    case agentDied(String)
    /// The policies don't allow it; the reason names the one that decided.
    case denied(reason: String)
    /// The task that waited was cancelled.
    case cancelled
    /// The client was closed.
    case clientClosed
    /// The daemon of the embedded mode can't be found, does not start, or has ended. With its last log lines.
    case daemon(String)

    /// The status code: what the daemon sent, or what fits best.
    public var code: StatusCode {
        switch self {
        case .rpc(let code, _): code
        case .invalidArgument: .invalidArgument
        case .leaseHeld, .leaseLost, .leadershipLost: .failedPrecondition
        case .agentDied: .notFound
        case .denied: .permissionDenied
        case .cancelled: .cancelled
        case .clientClosed, .daemon: .unavailable
        }
    }

    /// The daemon's message, or the SDK's: what was wrong and what was found.
    public var message: String {
        switch self {
        case .rpc(_, let message), .invalidArgument(let message), .daemon(let message): message
        case .leaseHeld(let lease): "agent \(lease.holder) holds the lease on \(lease.taskID), token \(lease.token)"
        case .leaseLost(let loss): "the lease was lost: \(loss)"
        case .leadershipLost(let loss): "leadership was lost: \(loss)"
        case .agentDied(let reason): "the agent is dead: \(reason)"
        case .denied(let reason): reason
        case .cancelled: "the task was cancelled"
        case .clientClosed: "the client is closed"
        }
    }

    /// Code and message, as in `NOT_FOUND: unknown agent "x"`.
    public var description: String { "\(code): \(message)" }

    /// Whether the same call may succeed later, unchanged: the daemon was not there, too slow, or full.
    public var isTransient: Bool {
        switch self {
        case .rpc(let code, _): code == .unavailable || code == .deadlineExceeded || code == .resourceExhausted
        default: false
        }
    }
}
