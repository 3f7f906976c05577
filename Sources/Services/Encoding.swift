// From the core's values to messages, which live in the arena of the call.

import CMessages
import CProtobufC
import Coordination
import RPC

extension Arena {
    func message(_ agent: AgentInfo) -> UnsafeMutablePointer<Wire.Agent> {
        let message = Wire.agent.make(in: self)
        message.pointee.agent_id = text(agent.id)
        message.pointee.card = self.message(agent.card)
        message.pointee.status =
            switch agent.status {
            case .alive: AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_ALIVE
            case .unreachable: AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_UNREACHABLE
            case .dead: AGENTKEEPER__V1__AGENT_STATUS__AGENT_STATUS_DEAD
            }
        message.pointee.registered_at = timestamp(agent.registeredAt)
        message.pointee.last_heartbeat_at = timestamp(agent.lastHeartbeatAt)
        return message
    }

    private func message(_ card: AgentCard) -> UnsafeMutablePointer<Wire.Card> {
        let message = Wire.card.make(in: self)
        message.pointee.name = string(card.name)
        message.pointee.description = string(card.description)
        message.pointee.version = string(card.version)
        (message.pointee.n_tools, message.pointee.tools) = list(card.tools) { string($0) }
        (message.pointee.n_capabilities, message.pointee.capabilities) = list(card.capabilities) { capability in
            let entry = Wire.capability.make(in: self)
            entry.pointee.name = string(capability.name)
            entry.pointee.description = string(capability.description)
            return entry
        }
        (message.pointee.n_metadata, message.pointee.metadata) = list(card.metadata) { pair in
            let entry = Wire.metadataEntry.make(in: self)
            entry.pointee.key = string(pair.key)
            entry.pointee.value = string(pair.value)
            return entry
        }
        return message
    }

    func message(_ lease: Lease) -> UnsafeMutablePointer<Wire.Lease> {
        let message = Wire.lease.make(in: self)
        message.pointee.task_id = string(lease.task.text)
        message.pointee.holder_agent_id = text(lease.holder)
        let token = Wire.token.make(in: self)
        token.pointee.value = lease.token.value
        message.pointee.token = token
        message.pointee.acquired_at = timestamp(lease.acquiredAt)
        message.pointee.expires_at = timestamp(lease.expiresAt)
        return message
    }

    func message(_ state: ElectionState) -> UnsafeMutablePointer<Wire.Election> {
        let message = Wire.election.make(in: self)
        message.pointee.group = string(state.group.text)
        if let leader = state.leader { message.pointee.leader_agent_id = text(leader) }
        message.pointee.term = state.term.value
        message.pointee.elected_at = state.electedAt.map(timestamp)
        return message
    }

    func message(_ policy: Policy) -> UnsafeMutablePointer<Wire.Policy> {
        let message = Wire.policy.make(in: self)
        message.pointee.id = string(policy.id.text)
        message.pointee.subject = string(policy.subject)
        message.pointee.action = string(policy.action)
        message.pointee.resource = string(policy.resource)
        message.pointee.effect =
            switch policy.effect {
            case .allow: AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_ALLOW
            case .deny: AGENTKEEPER__V1__POLICY_EFFECT__POLICY_EFFECT_DENY
            }
        return message
    }

    func message(_ task: QueuedTask) -> UnsafeMutablePointer<Wire.Task> {
        let message = Wire.task.make(in: self)
        message.pointee.id = string(task.id.text)
        message.pointee.type = string(task.specification.type)
        message.pointee.input = bytes(task.specification.input)
        message.pointee.output = bytes(task.output)
        message.pointee.status =
            switch task.status {
            case .pending: AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_PENDING
            case .claimed: AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_CLAIMED
            case .completed: AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_COMPLETED
            case .dead: AGENTKEEPER__V1__TASK_STATUS__TASK_STATUS_DEAD
            }
        (message.pointee.n_required_tools, message.pointee.required_tools) =
            list(task.specification.requiredTools) { string($0) }
        message.pointee.max_retries = task.specification.maxRetries
        message.pointee.retry_count = task.retryCount
        if let claimer = task.claimer { message.pointee.claimed_by_agent_id = text(claimer) }
        message.pointee.failure_reason = string(task.failureReason)
        message.pointee.created_at = timestamp(task.specification.createdAt)
        message.pointee.claimed_at = task.claimedAt.map(timestamp)
        message.pointee.completed_at = task.finishedAt.map(timestamp)
        return message
    }

    func message(_ event: Event) -> UnsafeMutablePointer<Wire.Event> {
        let message = Wire.event.make(in: self)
        message.pointee.topic = string(event.topic.rawValue)
        message.pointee.sequence_number = event.sequence.value
        message.pointee.occurred_at = timestamp(event.occurredAt)
        message.pointee.payload =
            switch event.payload {
            case .agent(let agent): any(Wire.agent, self.message(agent))
            case .lease(let lease): any(Wire.lease, self.message(lease))
            case .election(let state): any(Wire.election, self.message(state))
            case .policy(let policy): any(Wire.policy, self.message(policy))
            case .task(let task): any(Wire.task, self.message(task))
            }
        if event.reason != .none { message.pointee.reason = string(event.reason.text) }
        if let trace = event.trace { message.pointee.trace_parent = string(trace.text) }
        return message
    }

    private func any<Message>(
        _ type: MessageType<Message>, _ message: UnsafeMutablePointer<Message>
    ) -> UnsafeMutablePointer<Google__Protobuf__Any> {
        let wrapped = Wire.any.make(in: self)
        wrapped.pointee.type_url = string("type.googleapis.com/\(type.name)")
        let size = packedSize(message)
        let packed = allocate(size)
        pack(message, to: packed)
        wrapped.pointee.value = ProtobufCBinaryData(len: size, data: packed.assumingMemoryBound(to: UInt8.self))
        return wrapped
    }

    func text(_ id: AgentID) -> UnsafeMutablePointer<CChar> {
        let digits = allocate(33).assumingMemoryBound(to: UInt8.self)
        id.writeHex(to: digits)
        digits[32] = 0
        return UnsafeMutableRawPointer(digits).assumingMemoryBound(to: CChar.self)
    }

    func timestamp(_ time: WallTime) -> UnsafeMutablePointer<Wire.Timestamp> {
        let message = Wire.timestamp.make(in: self)
        (message.pointee.seconds, message.pointee.nanos) = time.secondsAndNanos
        return message
    }

    /// protobuf-c takes an array of pointers with its length.
    func list<Value, Message>(
        _ values: [Value], _ make: (Value) -> UnsafeMutablePointer<Message>
    ) -> (Int, UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?) {
        guard !values.isEmpty else { return (0, nil) }
        let pointers = array(of: UnsafeMutablePointer<Message>?.self, count: values.count)
        for (index, value) in values.enumerated() { (pointers + index).initialize(to: make(value)) }
        return (values.count, pointers)
    }

    private func bytes(_ bytes: [UInt8]) -> ProtobufCBinaryData {
        guard !bytes.isEmpty else { return ProtobufCBinaryData(len: 0, data: nil) }
        let copy = array(of: UInt8.self, count: bytes.count)
        copy.initialize(from: bytes, count: bytes.count)
        return ProtobufCBinaryData(len: bytes.count, data: copy)
    }
}
