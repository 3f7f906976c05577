// An event as a line of the log: how grave it is, what to say, and the fields to find it by.
//
// One line for each thing that matters, so that the lines of one agent, one task, one trace tell its story in order.
// No payloads and no secrets: of a card the name alone, of a task its id and type, of a failure the length of what
// the agent said about it.

import Coordination
import Logging

struct LogLine {
    let level: Logger.Level
    let message: Logger.Message
    var fields: Logger.Metadata

    init(_ level: Logger.Level, _ message: Logger.Message, _ fields: Logger.Metadata = [:]) {
        self.level = level
        self.message = message
        self.fields = fields
    }
}

extension Topic {
    /// Whether its events make lines without being asked for; the others are for whoever looks into details.
    var matters: Bool {
        switch self {
        case .leaseAcquired, .leaseRenewed, .leaseReleased, .taskCreated, .taskClaimed, .taskRenewed, .taskCompleted:
            false
        default: true
        }
    }

    /// Whether it is time that brings it, and no call.
    var isOfSilence: Bool { self == .agentUnreachable || self == .agentDied }
}

extension LogLine {
    /// - Parameters:
    ///   - names: of agents, as far as they are known.
    ///   - loss: of a death, what it ended.
    init(_ event: Event, names: [AgentID: String], loss: Loss? = nil) {
        self.init(Self.level(event), Self.message(event))
        fields = [
            "sequence": "\(event.sequence.value)",
            // When it happened, which is a little before it is told.
            LineLogHandler.timeKey: "\(event.occurredAt.nanoseconds)",
        ]
        if event.reason != .none { fields["reason"] = "\(event.reason.text)" }
        if let peer = event.origin?.peer, !peer.isEmpty { fields["peer"] = "\(peer)" }
        if let trace = event.trace { fields["trace_id"] = "\(trace.traceID)" }
        switch event.payload {
        case .agent(let agent):
            name(agent.id, [agent.id: agent.card.name])
        case .lease(let lease):
            name(lease.holder, names)
            fields["task_id"] = "\(lease.task.text)"
            fields["token"] = "\(lease.token.value)"
        case .election(let state):
            fields["group"] = "\(state.group.text)"
            fields["term"] = "\(state.term.value)"
            name(state.leader, names)
            if let before = event.agent, before != state.leader { name(before, names, prefix: "from_") }
        case .policy(let policy):
            fields["policy"] = "\(policy.id.text)"
            fields["effect"] = policy.effect == .allow ? "allow" : "deny"
            fields["subject"] = "\(policy.subject)"
            fields["action"] = "\(policy.action)"
            fields["resource"] = "\(policy.resource)"
        case .task(let task):
            name(event.agent, names)
            fields["task_id"] = "\(task.id.text)"
            fields["type"] = "\(LineLogHandler.cut(task.specification.type))"
            if event.topic == .taskFailed || event.topic == .taskDead {
                fields["retries"] = "\(task.retryCount) of \(task.specification.maxRetries)"
                fields["failure_bytes"] = "\(task.failureReason.utf8.count)"
            }
        }
        guard let loss else { return }
        fields["leases"] = "\(loss.leases)"
        fields["claims"] = "\(loss.claims)"
        if !loss.groups.isEmpty {
            let more = loss.groupCount - loss.groups.count
            fields["led"] = "\(loss.groups.joined(separator: ", "))\(more > 0 ? " and \(more) more" : "")"
        }
    }

    private mutating func name(_ agent: AgentID?, _ names: [AgentID: String], prefix: String = "") {
        guard let agent else { return }
        fields[prefix + "agent_id"] = "\(agent)"
        if let name = names[agent] { fields[prefix + "agent"] = "\(LineLogHandler.cut(name))" }
    }

    private static func level(_ event: Event) -> Logger.Level {
        if !event.topic.matters { return .debug }
        if event.reason == .forced { return .warning }
        return switch event.topic {
        case .agentUnreachable, .taskDead: .warning
        case .agentDied: event.reason == .deregistered ? .info : .warning
        case .leaseExpired, .taskRequeued: event.reason == .notDelivered ? .info : .warning
        case .leaderChanged: event.reason == .leaderDied ? .warning : .info
        default: .info
        }
    }

    private static func message(_ event: Event) -> Logger.Message {
        switch event.topic {
        case .agentRegistered: "agent registered"
        case .agentUnreachable: "agent unreachable"
        case .agentRecovered: "agent recovered"
        case .agentDied: "agent died"
        case .leaseAcquired: "lease acquired"
        case .leaseRenewed: "lease renewed"
        case .leaseReleased: "lease released"
        case .leaseExpired: "lease lost"
        case .leaderChanged: event.payload.leader == nil ? "nobody leads" : "leader changed"
        case .policySet: "policy set"
        case .policyDeleted: "policy deleted"
        case .taskCreated: "task created"
        case .taskClaimed: "task claimed"
        case .taskRenewed: "claim renewed"
        case .taskRequeued: "task put back"
        case .taskCompleted: "task completed"
        case .taskFailed: "task failed, and will be tried again"
        case .taskDead: "task failed for good"
        }
    }
}

/// What a death ended.
struct Loss {
    private static let maxGroups = 10

    private(set) var leases = 0
    private(set) var claims = 0
    /// The first few.
    private(set) var groups: [String] = []
    private(set) var groupCount = 0

    mutating func add(_ event: Event) {
        switch event.payload {
        case .lease: leases += 1
        case .task: claims += 1
        case .election(let state):
            groupCount += 1
            if groups.count < Self.maxGroups { groups.append(LineLogHandler.cut(state.group.text)) }
        default: break
        }
    }
}
