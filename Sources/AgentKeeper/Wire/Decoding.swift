// From the daemon's messages to values. What was decoded is UTF-8 without U+0000; a part that is missing, which this
// daemon never leaves out, becomes the empty value.

import CMessages
import CProtobufC
import RPC

extension String {
    init(wire text: UnsafePointer<CChar>?) {
        if let text { self.init(cString: text) } else { self = "" }
    }
}

extension [UInt8] {
    init(wire data: ProtobufCBinaryData) {
        self.init(UnsafeBufferPointer(start: data.data, count: data.len))
    }
}

/// The elements of a repeated field.
func list<Message, Value>(
    _ pointers: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?, count: Int, _ read: (Message) -> Value
) -> [Value] {
    (0..<count).map { read(pointers![$0]!.pointee) }
}

func texts(_ pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, count: Int) -> [String] {
    (0..<count).map { String(wire: pointers![$0]) }
}

extension AgentID {
    init(wire text: UnsafePointer<CChar>?) { self.init(String(wire: text)) }

    static func optional(_ text: UnsafePointer<CChar>?) -> AgentID? {
        let id = AgentID(wire: text)
        return id.rawValue.isEmpty ? nil : id
    }
}

extension Timestamp {
    init(wire time: UnsafePointer<Wire.Time>?) {
        self.init(seconds: time?.pointee.seconds ?? 0, nanoseconds: time?.pointee.nanos ?? 0)
    }

    static func optional(_ time: UnsafePointer<Wire.Time>?) -> Timestamp? {
        time.map { Timestamp(wire: $0) }
    }
}

extension AgentCard {
    init(wire card: Wire.Card) {
        self.init(
            name: String(wire: card.name), description: String(wire: card.description),
            version: String(wire: card.version),
            capabilities: list(card.capabilities, count: card.n_capabilities) {
                Capability(String(wire: $0.name), description: String(wire: $0.description))
            },
            tools: texts(card.tools, count: card.n_tools),
            metadata: Dictionary(
                list(card.metadata, count: card.n_metadata) { (String(wire: $0.key), String(wire: $0.value)) },
                uniquingKeysWith: { _, last in last }))
    }
}

extension AgentInfo {
    init(wire agent: Wire.Agent) {
        let status: AgentStatus =
            switch agent.status {
            case AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_ALIVE: .alive
            case AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_UNREACHABLE: .unreachable
            case AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_DEAD: .dead
            default: .unknown
            }
        self.init(
            id: AgentID(wire: agent.agent_id),
            card: agent.card.map { AgentCard(wire: $0.pointee) } ?? AgentCard(name: ""),
            status: status, registeredAt: Timestamp(wire: agent.registered_at),
            lastHeartbeatAt: Timestamp(wire: agent.last_heartbeat_at))
    }
}

extension LeaseInfo {
    init(wire lease: Wire.Lease) {
        self.init(
            taskID: String(wire: lease.task_id), holder: AgentID(wire: lease.holder_agent_id),
            token: FencingToken(lease.token?.pointee.value ?? 0), acquiredAt: Timestamp(wire: lease.acquired_at),
            expiresAt: Timestamp(wire: lease.expires_at))
    }
}

extension ElectionState {
    init(wire state: Wire.Election) {
        self.init(
            group: String(wire: state.group), leader: .optional(state.leader_agent_id), term: state.term,
            electedAt: .optional(state.elected_at))
    }
}

extension Policy {
    init(wire policy: Wire.Policy) {
        let effect: Effect =
            switch policy.effect {
            case AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_ALLOW: .allow
            case AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_DENY: .deny
            default: .unknown
            }
        self.init(
            id: String(wire: policy.id), subject: String(wire: policy.subject), action: String(wire: policy.action),
            resource: String(wire: policy.resource), effect: effect)
    }
}

extension TaskInfo {
    init(wire task: Wire.Task) {
        let status: TaskStatus =
            switch task.status {
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_PENDING: .pending
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_CLAIMED: .claimed
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_COMPLETED: .completed
            case AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_DEAD: .dead
            default: .unknown
            }
        self.init(
            id: String(wire: task.id), type: String(wire: task.type), input: [UInt8](wire: task.input),
            output: [UInt8](wire: task.output), status: status,
            requiredTools: texts(task.required_tools, count: task.n_required_tools),
            maxRetries: Int(task.max_retries), retryCount: Int(task.retry_count),
            claimedBy: .optional(task.claimed_by_agent_id), failureReason: String(wire: task.failure_reason),
            createdAt: Timestamp(wire: task.created_at), claimedAt: .optional(task.claimed_at),
            finishedAt: .optional(task.completed_at))
    }
}

extension Event {
    init(wire event: Wire.Event) {
        self.init(
            topic: String(wire: event.topic), sequence: event.sequence_number,
            occurredAt: Timestamp(wire: event.occurred_at), payload: Self.payload(event.payload?.pointee),
            reason: Self.optional(event.reason), traceParent: Self.optional(event.trace_parent))
    }

    private static func optional(_ text: UnsafePointer<CChar>?) -> String? {
        guard let text, text.pointee != 0 else { return nil }
        return String(wire: text)
    }

    private static func payload(_ any: Google__Protobuf__Any?) -> Payload {
        guard let any else { return .other(type: "", bytes: []) }
        let url = String(wire: any.type_url)
        let bytes = [UInt8](wire: any.value)
        let known: Payload? =
            switch url.split(separator: "/").last {
            case "agentkeeper.v1.AgentInfo": read(Wire.agent, bytes) { .agent(AgentInfo(wire: $0)) }
            case "agentkeeper.v1.Lease": read(Wire.lease, bytes) { .lease(LeaseInfo(wire: $0)) }
            case "agentkeeper.v1.ElectionState": read(Wire.election, bytes) { .election(ElectionState(wire: $0)) }
            case "agentkeeper.v1.Policy": read(Wire.policy, bytes) { .policy(Policy(wire: $0)) }
            case "agentkeeper.v1.Task": read(Wire.task, bytes) { .task(TaskInfo(wire: $0)) }
            default: nil
            }
        return known ?? .other(type: url, bytes: bytes)
    }

    private static func read<Message>(
        _ type: MessageType<Message>, _ bytes: [UInt8], _ make: (Message) -> Payload
    ) -> Payload? {
        // Bytes that are no such message are passed on as they are.
        guard case .success(let payload) = Result(catching: { try type.read(bytes) { make($0.pointee) } }) else {
            return nil
        }
        return payload
    }
}
