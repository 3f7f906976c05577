// The core's values as JSON: what Admin.docc/Interface.md shows, field by field.

import Coordination
import JSON

extension AgentStatus {
    var name: String {
        switch self {
        case .alive: "alive"
        case .unreachable: "unreachable"
        case .dead: "dead"
        }
    }
}

extension QueuedTask.Status {
    var name: String {
        switch self {
        case .pending: "pending"
        case .claimed: "claimed"
        case .completed: "completed"
        case .dead: "dead"
        }
    }
}

extension JSON {
    static func time(_ time: WallTime?) -> JSON { time.map { .string($0.iso8601(digits: 3)) } ?? .null }
    static func id(_ id: AgentID?) -> JSON { .optional(id) }
    /// A point on the daemon's clock. What ends is rounded up: it has not come before it has.
    static func clock(_ instant: Instant?) -> JSON {
        instant.map { .count(max(0, $0.nanoseconds + 999_999) / 1_000_000) } ?? .null
    }
    static func milliseconds(_ span: Span) -> JSON { .count(max(0, span.nanoseconds) / 1_000_000) }
}

extension AgentInfo {
    fileprivate var head: [(String, JSON)] {
        [
            ("agent_id", .id(id)), ("name", .string(card.name)), ("description", .string(card.description)),
            ("version", .string(card.version)), ("status", .string(status.name)), ("tools", .texts(card.tools)),
            (
                "capabilities",
                .array(
                    card.capabilities.map {
                        .object([("name", .string($0.name)), ("description", .string($0.description))])
                    })
            ),
            ("metadata", .object(card.metadata.map { ($0.key, .string($0.value)) })),
            ("registered_at", .time(registeredAt)), ("last_heartbeat_at", .time(lastHeartbeatAt)),
        ]
    }

    var json: JSON { .object(head) }
}

extension AgentDetails {
    func json(at now: Instant) -> JSON {
        .object(
            info.head + [
                ("heard_clock_ms", .clock(now + silence * -1)), ("ttl_ms", .milliseconds(ttl)),
                ("status_changes_clock_ms", .clock(untilChange.map { now + $0 })), ("leases", .count(leases)),
                ("candidacies", .count(candidacies)), ("waiting_calls", .count(waitingCalls)),
            ])
    }
}

extension Lease {
    var json: JSON {
        .object([
            ("task_id", .string(task.text)), ("holder_agent_id", .id(holder)), ("token", .count(token.value)),
            ("acquired_at", .time(acquiredAt)), ("expires_at", .time(expiresAt)),
        ])
    }
}

extension LeaseDetails {
    func json(holder name: String?, at now: Instant) -> JSON {
        .object([
            ("task_id", .string(lease.task.text)), ("kind", .string(isClaim ? "claim" : "lease")),
            ("holder_agent_id", .id(lease.holder)), ("holder_name", .optional(name)),
            ("token", .count(lease.token.value)), ("acquired_at", .time(lease.acquiredAt)),
            ("expires_at", .time(lease.expiresAt)), ("expires_clock_ms", .clock(now + remaining)),
            ("ttl_ms", .count(UInt64(ttlSeconds) * 1_000)), ("waiting_calls", .count(waitingCalls)),
        ])
    }
}

extension ElectionState {
    var json: JSON {
        .object([
            ("group", .string(group.text)), ("leader_agent_id", .id(leader)), ("term", .count(term.value)),
            ("elected_at", .time(electedAt)),
        ])
    }
}

extension ElectionDetails {
    func json(leader name: String?) -> JSON {
        .object([
            ("group", .string(state.group.text)), ("leader_agent_id", .id(state.leader)),
            ("leader_name", .optional(name)), ("term", .count(state.term.value)),
            ("elected_at", .time(state.electedAt)), ("changed_at", .time(changedAt)),
            ("changed_by_sequence", .count(changedBy.value)), ("candidates", .count(candidates)),
        ])
    }
}

extension QueuedTask {
    private var fields: (head: [(String, JSON)], tail: [(String, JSON)]) {
        let what = specification
        return (
            [
                ("task_id", .string(id.text)), ("type", .string(what.type)), ("status", .string(status.name)),
                ("required_tools", .texts(what.requiredTools)), ("retry_count", .count(retryCount)),
                ("max_retries", .count(what.maxRetries)), ("ttl_ms", .count(UInt64(what.ttlSeconds) * 1_000)),
                ("claimer_agent_id", .id(claimer)),
            ],
            [
                ("created_at", .time(what.createdAt)), ("claimed_at", .time(claimedAt)),
                ("finished_at", .time(finishedAt)), ("failure_reason", .string(failureReason)),
                ("input_bytes", .count(what.input.count)), ("output_bytes", .count(output.count)),
            ]
        )
    }

    /// Without what only a list knows.
    var json: JSON { .object(fields.head + fields.tail) }

    func json(claimer name: String?) -> JSON {
        .object(fields.head + [("claimer_name", .optional(name))] + fields.tail)
    }
}

extension Policy {
    var json: JSON {
        .object([
            ("id", .string(id.text)), ("subject", .string(subject)), ("action", .string(action)),
            ("resource", .string(resource)), ("effect", .string(effect == .allow ? "allow" : "deny")),
        ])
    }
}

extension Event {
    func json(agent name: String?) -> JSON {
        let subject: (String, JSON) =
            switch payload {
            case .agent(let agent): ("agent", agent.json)
            case .lease(let lease): ("lease", lease.json)
            case .election(let state): ("election", state.json)
            case .policy(let policy): ("policy", policy.json)
            case .task(let task): ("task", task.json)
            }
        return .object([
            ("sequence", .count(sequence.value)), ("topic", .string(topic.rawValue)),
            ("occurred_at", .time(occurredAt)), ("agent_id", .id(agent)), ("agent_name", .optional(name)),
            ("reason", reason == .none ? .null : .string(reason.text)), ("trace_parent", .optional(trace?.text)),
            ("subject", .object([subject])),
        ])
    }
}
