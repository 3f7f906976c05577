// The daemon's values as JSON. Fields are named as on the wire; times are RFC 3339 in UTC.

import AgentKeeper
import JSON

extension AgentInfo {
    var fields: [(String, JSON)] {
        [
            ("agent_id", .string(id.rawValue)), ("name", .string(card.name)), ("status", .string(status.rawValue)),
            ("description", .string(card.description)), ("version", .string(card.version)),
            (
                "capabilities",
                .array(
                    card.capabilities.map {
                        .object([("name", .string($0.name)), ("description", .string($0.description))])
                    })
            ),
            ("tools", .texts(card.tools)),
            (
                "metadata",
                .object(card.metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
            ),
            ("registered_at", .string(registeredAt.description)),
            ("last_heartbeat_at", .string(lastHeartbeatAt.description)),
        ]
    }

    var json: JSON { .object(fields) }
}

extension AgentDetails {
    var fields: [(String, JSON)] {
        info.fields + [
            ("ttl_seconds", .number(UInt64(ttl.components.seconds))),
            ("silent_ms", .number(UInt64(silence.milliseconds))),
            ("status_changes_in_ms", statusChangesIn.map { .number(UInt64($0.milliseconds)) } ?? .null),
            ("leases", .number(UInt64(leases))), ("candidacies", .number(UInt64(candidacies))),
            ("waiting_calls", .number(UInt64(waitingCalls))),
        ]
    }

    var json: JSON { .object(fields) }
}

extension LeaseInfo {
    var fields: [(String, JSON)] {
        [
            ("task_id", .string(taskID)), ("holder_agent_id", .string(holder.rawValue)),
            ("token", .number(token.value)), ("acquired_at", .string(acquiredAt.description)),
            ("expires_at", .string(expiresAt.description)),
        ]
    }

    var json: JSON { .object(fields) }
}

extension LeaseDetails {
    var fields: [(String, JSON)] {
        info.fields + [
            ("kind", .string(kind.rawValue)), ("ttl_seconds", .number(UInt64(ttl.components.seconds))),
            ("remaining_ms", .number(UInt64(remaining.milliseconds))), ("waiting_calls", .number(UInt64(waitingCalls))),
        ]
    }

    var json: JSON { .object(fields) }
}

extension ElectionState {
    var fields: [(String, JSON)] {
        [
            ("group", .string(group)), ("leader_agent_id", .optional(leader)), ("term", .number(term)),
            ("elected_at", .optional(electedAt)),
        ]
    }

    var json: JSON { .object(fields) }
}

extension ElectionDetails {
    var fields: [(String, JSON)] {
        state.fields + [
            ("candidates", .number(UInt64(candidates))), ("changed_by_sequence", .number(changedBy)),
            ("changed_at", .string(changedAt.description)),
        ]
    }
}

extension Policy {
    var json: JSON {
        .object([
            ("id", .string(id)), ("effect", .string(effect.rawValue)), ("subject", .string(subject)),
            ("action", .string(action)), ("resource", .string(resource)),
        ])
    }
}

extension TaskInfo {
    var json: JSON {
        .object(
            [("id", .string(id)), ("type", .string(type)), ("status", .string(status.rawValue))]
                + Self.content("input", input) + Self.content("output", output) + [
                    ("required_tools", .texts(requiredTools)), ("max_retries", .number(UInt64(maxRetries))),
                    ("retry_count", .number(UInt64(retryCount))), ("claimed_by_agent_id", .optional(claimedBy)),
                    ("failure_reason", .string(failureReason)), ("created_at", .string(createdAt.description)),
                    ("claimed_at", .optional(claimedAt)), ("completed_at", .optional(finishedAt)),
                ])
    }

    /// Text as text; anything else as base64 under another name.
    private static func content(_ name: String, _ bytes: [UInt8]) -> [(String, JSON)] {
        if let text = String(validating: bytes, as: UTF8.self) { return [(name, .string(text))] }
        return [("\(name)_base64", .string(base64(bytes)))]
    }
}

extension Event {
    var json: JSON {
        let (name, value): (String, JSON) =
            switch payload {
            case .agent(let agent): ("agent", agent.json)
            case .lease(let lease): ("lease", lease.json)
            case .election(let state): ("election", state.json)
            case .policy(let policy): ("policy", policy.json)
            case .task(let task): ("task", task.json)
            case .other(let type, let bytes):
                ("other", .object([("type_url", .string(type)), ("value_base64", .string(base64(bytes)))]))
            }
        return .object([
            ("sequence_number", .number(sequence)), ("occurred_at", .string(occurredAt.description)),
            ("topic", .string(topic)), (name, value),
        ])
    }
}

/// RFC 4648, with padding.
func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        let word = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
        for index in 0..<4 {
            let isPadding = index > group.count
            text.append(isPadding ? UInt8(ascii: "=") : alphabet[Int(word >> UInt32(18 - 6 * index) & 63)])
        }
    }
    return String(decoding: text, as: UTF8.self)
}
