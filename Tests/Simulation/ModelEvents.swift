// The observer takes in events, one after the other: each must be allowed by what was there before it, and must have
// a reason in what was asked or in time.

import Coordination

extension Model {
    /// A command while its events are taken in.
    struct Cause {
        var command: Command
        var trace: TraceContext?
        var now: Uptime
        /// Agents that died in the course of it, and the trace of what they died of.
        var died: [AgentID: TraceContext?] = [:]
        /// Claims whose tokens are not known yet: the event doesn't tell.
        var claims: [TaskID] = []
    }

    mutating func take(_ event: Event, _ cause: inout Cause) throws(Violation) {
        try require(
            event.sequence.value == lastSequence + 1, .eventsAreGapless,
            "Event \(event.sequence.value) came after \(lastSequence).")
        lastSequence = event.sequence.value
        switch event.payload {
        case .agent(let agent): try take(event, agent, &cause)
        case .lease(let lease): try take(event, lease, cause)
        case .election(let state): try take(event, state, cause)
        case .policy(let policy): try take(event, policy, cause)
        case .task(let task): try take(event, task, &cause)
        }
        if event.topic != .leaseAcquired, event.topic != .taskClaimed { try check(event, cause) }
    }

    /// An event that answers no call that waited comes from the present command, or from time.
    private func check(_ event: Event, _ cause: Cause) throws(Violation) {
        let expected: TraceContext? =
            switch event.reason {
            case .silence, .ranOut: nil
            case .holderDied, .leaderDied: event.agent.flatMap { cause.died[$0] } ?? nil
            default: event.topic == .agentUnreachable ? nil : cause.trace
            }
        try checkTrace(of: event, expected)
        let reasons: Set<EventReason> =
            switch event.topic {
            case .agentDied: [.silence, .deregistered, .forced]
            case .leaseExpired, .taskRequeued: [.ranOut, .holderDied, .notDelivered, .forced]
            case .leaderChanged: [.campaigned, .resigned, .leaderDied]
            case .policyDeleted: [.none, .forced]
            default: [.none]
            }
        try require(
            reasons.contains(event.reason), .theUnaskedIsNot,
            "The reason of a \(event.topic.rawValue) is \(event.reason).")
    }

    private func checkTrace(of event: Event, _ expected: TraceContext?) throws(Violation) {
        try require(
            event.trace == expected, .theUnaskedIsNot,
            "\(event.topic.rawValue) \(event.sequence.value) is told to come from \(event.trace?.text as Any), "
                + "not \(expected?.text as Any).")
    }

    // MARK: Agents

    private mutating func take(_ event: Event, _ info: AgentInfo, _ cause: inout Cause) throws(Violation) {
        let (id, topic) = (info.id, event.topic)
        try require(!buried.contains(id), .theDeadNeverReturn, "\(topic.rawValue) of \(id), which had died.")
        if topic == .agentRegistered {
            guard case .register(let request) = cause.command, request.newID == id, agents[id] == nil else {
                throw Violation(.theUnaskedIsNot, "Nobody registered \(id).")
            }
            let ttl = request.ttlSeconds == 0 ? limits.defaultAgentTTLSeconds : request.ttlSeconds
            agents[id] = Agent(
                status: .alive, ttl: Int64(ttl) * Self.second, tools: Set(request.card.tools), heard: cause.now)
            remember(request.requestID, .agent(id), at: cause.now)
            return
        }
        guard let agent = agents[id] else {
            throw Violation(.theUnaskedIsNot, "\(topic.rawValue) of \(id), which is not there.")
        }
        switch topic {
        case .agentUnreachable:
            try require(
                agent.status == .alive && cause.now.hasPassed(unreachableAfter(agent), since: agent.heard),
                .nothingExpiresEarly, "Agent \(id) is UNREACHABLE too soon after it was heard.")
            agents[id]?.status = .unreachable
        case .agentRecovered:
            guard case .heartbeat(id) = cause.command, agent.status == .unreachable else {
                throw Violation(.theUnaskedIsNot, "Agent \(id) recovered without a heartbeat.")
            }
            agents[id]?.status = .alive
        case .agentDied:
            switch (event.reason, cause.command) {
            case (.deregistered, .deregister(id)), (.forced, .forceDeregister(id)): break
            default:
                try require(
                    event.reason == .silence, .theUnaskedIsNot, "Agent \(id) died: \(event.reason).")
                try require(
                    cause.now.hasPassed(deadAfter(agent), since: agent.heard), .nothingExpiresEarly,
                    "Agent \(id) died \(cause.now.whole - agent.heard.whole) ns after it was heard, "
                        + "with a ttl of \(agent.ttl) ns.")
            }
            agents[id] = nil
            buried.insert(id)
            cause.died.updateValue(event.trace, forKey: id)
            for group in candidates.keys { candidates[group]?.removeAll { $0 == id } }
        default: throw Violation(.theUnaskedIsNot, "A \(topic.rawValue) of an agent.")
        }
    }

    // MARK: Leases

    private mutating func take(_ event: Event, _ lease: Lease, _ cause: Cause) throws(Violation) {
        let (task, token, topic) = (lease.task, lease.token.value, event.topic)
        if topic == .leaseAcquired {
            try require(
                leases[task] == nil, .oneHolderATask,
                "\(task) went to \(lease.holder) under token \(token) while it was held: \(leases[task]!).")
            try require(token > lastToken, .tokensIncrease, "Token \(token) was given after \(lastToken).")
            try require(isAlive(lease.holder), .theDeadHoldNothing, "\(task) went to \(lease.holder).")
            try require(
                work[task].map { $0.status == .completed || $0.status == .dead } ?? true, .oneAgentATask,
                "A lease was given on task \(task) of the queue.")
            guard let (request, trace) = takeWish(for: task, lease.holder, cause) else {
                throw Violation(.theUnaskedIsNot, "Agent \(lease.holder) never asked for \(task).")
            }
            try checkTrace(of: event, trace)
            lastToken = token
            leases[task] = Holding(
                agent: lease.holder, token: token, ttl: ttl(request.ttlSeconds), since: cause.now, isClaim: false,
                isRetriable: request.requestID != nil)
            remember(request.requestID, .lease(task, token), at: cause.now)
            return
        }
        guard let held = leases[task], held.agent == lease.holder, held.token == token, !held.isClaim else {
            throw Violation(
                .oneHolderATask,
                "\(topic.rawValue) of \(task) under \(token), which is held so: \(leases[task] as Any).")
        }
        switch topic {
        case .leaseRenewed:
            guard case .renewLease(let wanted, let ttl) = cause.command, wanted.task == task else {
                throw Violation(.theUnaskedIsNot, "Nobody renewed \(task).")
            }
            try require(
                wanted.agent == held.agent && wanted.token.value == token, .noSuccessForAStaleToken,
                "\(task) was renewed under \(wanted.token.value), and is held under \(token).")
            renew(task, ttl, at: cause.now)
        case .leaseReleased:
            guard case .releaseLease(let wanted) = cause.command, wanted.task == task else {
                throw Violation(.theUnaskedIsNot, "Nobody released \(task).")
            }
            try require(
                wanted.agent == held.agent && wanted.token.value == token, .noSuccessForAStaleToken,
                "\(task) was released under \(wanted.token.value), and is held under \(token).")
            leases[task] = nil
            released[token] = wanted
            releases.append((token, cause.now))
        case .leaseExpired:
            try checkMayBeLost(task, held, event.reason, cause)
            leases[task] = nil
        default: throw Violation(.theUnaskedIsNot, "A \(topic.rawValue) of a lease.")
        }
    }

    private mutating func renew(_ task: TaskID, _ ttl: UInt32, at now: Uptime) {
        if ttl != 0 { leases[task]?.ttl = ttl }
        leases[task]?.since = now
    }

    private func checkMayBeLost(
        _ task: TaskID, _ held: Holding, _ reason: EventReason, _ cause: Cause
    ) throws(Violation) {
        switch (reason, cause.command) {
        case (.holderDied, _) where cause.died[held.agent] != nil: return
        case (.notDelivered, .returnGrant(task, let token)) where token.value == held.token: return
        case (.forced, .forceRelease(task, let token)) where token.value == held.token: return
        case (.forced, .forceRequeue(task)) where held.isClaim: return
        default: try require(reason == .ranOut, .theUnaskedIsNot, "\(task) was lost: \(reason).")
        }
        try require(
            cause.now.hasPassed(Int64(held.ttl) * Self.second, since: held.since), .nothingExpiresEarly,
            "\(task) ran out \(cause.now.whole - held.since.whole) ns after it was given for \(held.ttl) s.")
    }

    /// The request that the lease was given for: of the first call that waits for it, or else the command.
    private mutating func takeWish(
        for task: TaskID, _ agent: AgentID, _ cause: Cause
    ) -> (Command.AcquireLease, TraceContext?)? {
        for wait in waiting {
            guard case .acquireLease(let request) = wait.command, request.task == task, isAlive(request.agent) else {
                continue
            }
            guard request.agent == agent else { return nil }
            // Its retries have won as well.
            waiting.removeAll { other in
                guard case .acquireLease(let retry) = other.command else { return false }
                return other.call == wait.call
                    || request.requestID != nil && retry.requestID == request.requestID && retry.task == task
                        && retry.agent == agent
            }
            return (request, Self.trace(ofCall: wait.call))
        }
        guard case .acquireLease(let request) = cause.command, request.task == task, request.agent == agent else {
            return nil
        }
        return (request, cause.trace)
    }

    // MARK: Elections

    private mutating func take(_ event: Event, _ state: ElectionState, _ cause: Cause) throws(Violation) {
        let group = state.group
        // Not what was due before the command did anything, such as a death that leaves nobody, or the leaver, to lead.
        switch cause.command {
        case .campaign(group, let newcomer)
        where candidates[group, default: []].isEmpty && isAlive(newcomer) && state.leader == newcomer:
            candidates[group] = [newcomer]
            try require(event.reason == .campaigned, .theUnaskedIsNot, "\(newcomer) leads: \(event.reason).")
        case .resign(group, let leaver) where candidates[group]?.first == leaver && state.leader != leaver:
            candidates[group]?.removeFirst()
            try require(event.reason == .resigned, .theUnaskedIsNot, "\(leaver) leads no more: \(event.reason).")
        default:
            try require(
                event.reason == .leaderDied && event.agent.map { cause.died[$0] != nil } == true, .theUnaskedIsNot,
                "The leader of \(group) changed: \(event.reason).")
        }
        let before = elections[group, default: Election()]
        try require(
            state.term.value > before.term, .termsNeverGoBack,
            "The term of \(group) is \(state.term.value) after \(before.term).")
        if let leader = state.leader {
            try require(isAlive(leader), .leadersLive, "\(leader) leads \(group).")
        }
        try require(
            state.leader == candidates[group]?.first, .oneLeaderATerm,
            "\(state.leader as Any) leads \(group), and the first candidate is \(candidates[group]?.first as Any).")
        elections[group] = Election(term: state.term.value, leader: state.leader)
    }

    // MARK: Policies

    private mutating func take(_ event: Event, _ policy: Policy, _ cause: Cause) throws(Violation) {
        switch (event.topic, cause.command) {
        case (.policySet, .setPolicy(let wanted)) where wanted.id == policy.id: policies[policy.id] = wanted
        case (.policyDeleted, .deletePolicy(policy.id)) where policies[policy.id] != nil && event.reason == .none:
            policies[policy.id] = nil
        case (.policyDeleted, .forceDeletePolicy(policy.id))
        where policies[policy.id] != nil && event.reason == .forced:
            policies[policy.id] = nil
        default: throw Violation(.theUnaskedIsNot, "\(event.topic.rawValue) of policy \(policy.id).")
        }
    }

    // MARK: Tasks

    private mutating func take(_ event: Event, _ task: QueuedTask, _ cause: inout Cause) throws(Violation) {
        let (id, topic) = (task.id, event.topic)
        if topic == .taskCreated {
            guard case .createTask(let request) = cause.command, request.newID == id, work[id] == nil else {
                throw Violation(.theUnaskedIsNot, "Nobody created task \(id).")
            }
            lastWork += 1
            work[id] = Work(
                serial: lastWork, status: .pending, tools: Set(request.requiredTools), retries: 0,
                maxRetries: request.maxRetries, ttl: ttl(request.ttlSeconds))
            remember(request.requestID, .task(id), at: cause.now)
            return
        }
        guard let found = work[id] else { throw Violation(.noTaskIsLost, "\(topic.rawValue) of task \(id).") }
        if topic == .taskRequeued, found.status == .dead { return try revive(id, task, event, cause) }
        try require(!finished.contains(id), .tasksFinishOnce, "\(topic.rawValue) of task \(id), which was finished.")
        if topic == .taskClaimed { return try claim(found, task, event, &cause) }
        guard found.status == .claimed, let held = leases[id], held.isClaim else {
            throw Violation(.oneAgentATask, "\(topic.rawValue) of task \(id), which is \(found.status).")
        }
        switch topic {
        case .taskRenewed:
            guard case .renewLease(let wanted, let ttl) = cause.command, wanted.task == id else {
                throw Violation(.theUnaskedIsNot, "Nobody renewed the claim of \(id).")
            }
            try require(
                wanted.agent == held.agent && wanted.token.value == held.token, .noSuccessForAStaleToken,
                "The claim of \(id) was renewed under \(wanted.token.value).")
            renew(id, ttl, at: cause.now)
            return
        case .taskRequeued:
            try checkMayBeLost(id, held, event.reason, cause)
            work[id]?.status = .pending
            work[id]?.claimer = nil
        case .taskCompleted:
            guard case .completeTask(let finish, _) = cause.command, finish.task == id else {
                throw Violation(.theUnaskedIsNot, "Nobody completed \(id).")
            }
            try checkMayFinish(finish, held)
            work[id]?.status = .completed
            finished.insert(id)
        case .taskFailed, .taskDead:
            guard case .failTask(let finish, _) = cause.command, finish.task == id else {
                throw Violation(.theUnaskedIsNot, "Nobody failed \(id).")
            }
            try checkMayFinish(finish, held)
            try require(
                (topic == .taskFailed) == (found.retries < found.maxRetries), .noTaskIsLost,
                "\(topic.rawValue) of \(id) after \(found.retries) retries of \(found.maxRetries).")
            work[id]?.failedBy = held.agent
            if topic == .taskDead {
                work[id]?.status = .dead
                finished.insert(id)
            } else {
                work[id]?.status = .pending
                work[id]?.claimer = nil
                work[id]?.retries += 1
            }
        default: throw Violation(.theUnaskedIsNot, "A \(topic.rawValue) of a task.")
        }
        leases[id] = nil
    }

    private func checkMayFinish(_ finish: Command.FinishTask, _ held: Holding) throws(Violation) {
        try require(
            finish.agent == held.agent, .oneAgentATask, "\(finish.agent) finished what \(held.agent) has claimed.")
        try require(
            finish.token == nil || finish.token?.value == held.token, .noSuccessForAStaleToken,
            "A task was finished under \(finish.token!.value), and is claimed under \(held.token as Any).")
    }

    private mutating func revive(
        _ id: TaskID, _ task: QueuedTask, _ event: Event, _ cause: Cause
    ) throws(Violation) {
        guard case .forceRequeue(id) = cause.command, event.reason == .forced else {
            throw Violation(.tasksFinishOnce, "Task \(id) returned from the dead: \(event.reason).")
        }
        try require(leases[id] == nil, .oneHolderATask, "Task \(id) returned, and \(leases[id]!) has its name.")
        try require(
            task.status == .pending && task.retryCount == 0 && !task.failureReason.isEmpty, .noTaskIsLost,
            "Task \(id) returned as \(task).")
        finished.remove(id)
        work[id]?.status = .pending
        work[id]?.claimer = nil
        work[id]?.retries = 0
    }

    private mutating func claim(
        _ found: Work, _ task: QueuedTask, _ event: Event, _ cause: inout Cause
    ) throws(Violation) {
        let id = task.id
        guard found.status == .pending, leases[id] == nil, let claimer = task.claimer else {
            throw Violation(.oneAgentATask, "Task \(id) was claimed while it is \(found.status).")
        }
        guard let agent = agents[claimer] else {
            throw Violation(.theDeadHoldNothing, "\(claimer) was given task \(id).")
        }
        try require(agent.status == .alive, .oneAgentATask, "\(claimer), which is silent, was given task \(id).")
        try require(
            found.tools.isSubset(of: agent.tools), .oneAgentATask, "\(claimer) lacks a tool for task \(id).")
        let older = work.first {
            $0.value.status == .pending && $0.value.serial < found.serial && $0.value.tools.isSubset(of: agent.tools)
        }
        try require(older == nil, .oneAgentATask, "\(claimer) was given \(id) before the older \(older!.key).")
        if let call = endWait(of: claimer) {
            try checkTrace(of: event, Self.trace(ofCall: call))
        } else {
            guard isClaim(cause.command, by: claimer) else {
                throw Violation(.theUnaskedIsNot, "\(claimer) never asked for a task.")
            }
            try checkTrace(of: event, cause.trace)
        }
        work[id]?.status = .claimed
        work[id]?.claimer = claimer
        work[id]?.failedBy = nil
        leases[id] = Holding(agent: claimer, token: nil, ttl: found.ttl, since: cause.now, isClaim: true)
        cause.claims.append(id)
    }

    /// A call of the agent's that waits for a task waits no more.
    private mutating func endWait(of agent: AgentID) -> Int? {
        guard let place = waiting.firstIndex(where: { isClaim($0.command, by: agent) }) else { return nil }
        return waiting.remove(at: place).call
    }

    private func isClaim(_ command: Command, by agent: AgentID) -> Bool {
        if case .claimTask(agent) = command { true } else { false }
    }
}
