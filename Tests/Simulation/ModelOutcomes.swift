// The observer looks at what was answered, and at what is there when everything has happened.

import Coordination

extension Model {
    /// One command, and all that came of it.
    struct Step {
        var command: Command
        var outcome: Outcome
        /// Calls that waited, with what became of them.
        var settled: [(call: Int, command: Command, outcome: Outcome)]
        var events: [Event]
        var counts: Counts
        var now: Uptime
        /// The daemon noticed that it had been stopped.
        var awoke: Bool
        /// Under which the call waits, if it does.
        var call: Int
        /// What its events must be told to come from.
        var trace: TraceContext?
    }

    mutating func take(_ step: Step) throws(Violation) {
        let tokenBefore = lastToken
        if step.awoke { awaken(at: step.now) }
        for (call, _, outcome) in step.settled where !outcome.isSuccess { try endWait(call, outcome, step) }
        let remembered = rememberedRequest(of: step.command)
        var cause = Cause(command: step.command, trace: step.trace, now: step.now)
        for event in step.events { try take(event, &cause) }

        for (_, command, outcome) in step.settled {
            // What was shown to a call that gave up may have changed since, within the same step.
            if case .reply(.lease(_, acquired: false)) = outcome { continue }
            try check(outcome, of: command, step, cause, above: tokenBefore, remembered: nil)
        }
        try check(step.outcome, of: step.command, step, cause, above: tokenBefore, remembered: remembered)
        for task in cause.claims where leases[task] != nil {
            try require(leases[task]?.token != nil, .oneAgentATask, "Nobody was told of the claim of \(task).")
        }
        if case .waiting = step.outcome {
            waiting.append(Wait(call: step.call, command: step.command, since: step.now))
        }
        try checkTimes(at: step.now)
        try checkCounts(step.counts)
    }

    private mutating func endWait(_ call: Int, _ outcome: Outcome, _ step: Step) throws(Violation) {
        guard let place = waiting.firstIndex(where: { $0.call == call }) else { return }
        let wait = waiting.remove(at: place)
        guard case .reply = outcome, case .acquireLease(let request) = wait.command else { return }
        try require(
            step.now.hasPassed(Int64(request.waitMilliseconds) * 1_000_000, since: wait.since), .nothingExpiresEarly,
            "A call gave up waiting for \(request.task) before its time.")
    }

    // MARK: Outcomes

    private func rememberedRequest(of command: Command) -> Request? {
        switch command {
        case .register(let request): request.requestID.flatMap { requests[$0] }
        case .createTask(let request): request.requestID.flatMap { requests[$0] }
        case .acquireLease(let request): request.requestID.flatMap { requests[$0] }
        default: nil
        }
    }

    private mutating func check(
        _ outcome: Outcome, of command: Command, _ step: Step, _ cause: Cause, above token: UInt64,
        remembered: Request?
    ) throws(Violation) {
        switch outcome {
        case .waiting: return
        case .refused(let refusal): try check(refusal, of: command, step)
        case .reply(let reply):
            switch (command, reply) {
            case (.register(let request), .registered(let id)):
                try checkMade(.agent(id), id == request.newID, request.requestID, remembered, step)
            case (.createTask(let request), .created(let task)):
                try checkMade(.task(task.id), task.id == request.newID, request.requestID, remembered, step)
            case (.acquireLease(let request), .lease(let lease, let acquired)):
                try checkAcquired(request, lease, acquired, step, remembered)
            case (.claimTask(let agent), .claimed(let task, let lease)):
                try checkClaimed(agent, task, lease, cause, above: token)
            case (.renewLease(let held, _), .lease(let lease, _)):
                try require(
                    held.token == lease.token && leases[held.task]?.token == held.token.value
                        && leases[held.task]?.agent == held.agent,
                    .noSuccessForAStaleToken, "\(held.agent) renewed \(held.task) under \(held.token.value).")
            case (.releaseLease(let held), .done): try checkReleased(held)
            case (.campaign(let group, let agent), .election(let state)): try checkJoined(group, agent, state)
            case (.resign(let group, let agent), .done): candidates[group]?.removeAll { $0 == agent }
            case (.completeTask(let finish, _), .done):
                try require(
                    work[finish.task].map { $0.status == .completed && ($0.claimer == finish.agent) } ?? true,
                    .theAcknowledgedIsThere, "\(finish.task) is not completed, and should be.")
            case (.failTask(let finish, _), .done):
                try require(
                    work[finish.task].map { $0.failedBy == finish.agent || $0.status == .claimed } ?? true,
                    .theAcknowledgedIsThere, "\(finish.task) did not fail, and should have.")
            case (.heartbeat(let agent), .done):
                guard let status = agents[agent]?.status else {
                    throw Violation(.theDeadNeverReturn, "\(agent) was heard, and is not there.")
                }
                try require(status == .alive, .theDeadNeverReturn, "\(agent) was heard and is \(status).")
                agents[agent]?.heard = step.now
            case (.deregister(let agent), .done):
                try require(agents[agent] == nil, .theAcknowledgedIsThere, "\(agent) deregistered, and is there.")
            case (.forceRelease, .forced(let sequence)), (.forceDeregister, .forced(let sequence)),
                (.forceRequeue, .forced(let sequence)), (.forceDeletePolicy, .forced(let sequence)):
                let event = step.events.first { $0.sequence == sequence }
                try require(
                    event?.reason == .forced, .theAcknowledgedIsThere,
                    "Event \(sequence.value) should tell of \(command): \(event as Any).")
            case (.cancelWait, .done): waiting.removeAll { $0.call == step.call }
            default: break
            }
        }
    }

    private func checkMade(
        _ made: Request.Made, _ isNew: Bool, _ id: RequestID?, _ remembered: Request?, _ step: Step
    ) throws(Violation) {
        if let remembered, surelyRemembers(remembered, at: step.now), remembered.made.isSameKind(as: made) {
            try require(
                remembered.made == made, .retriesMakeNothingTwice,
                "Request \(id!) made \(remembered.made), and now \(made).")
        } else if !isNew {
            try require(
                remembered?.made == made, .theUnaskedIsNot, "The answer was \(made), which was never made by that.")
        }
    }

    private func checkAcquired(
        _ request: Command.AcquireLease, _ lease: Lease, _ acquired: Bool, _ step: Step, _ remembered: Request?
    ) throws(Violation) {
        let isNew = step.events.contains { event in
            if event.topic == .leaseAcquired, case .lease(let given) = event.payload {
                given.token == lease.token
            } else {
                false
            }
        }
        if let held = leases[request.task] {
            // It may have been lost again within the same step.
            try require(
                held.token == lease.token.value && held.agent == lease.holder || isNew, .oneHolderATask,
                "\(request.task) was shown under \(lease.token.value), and is held so: \(held).")
        } else {
            try require(isNew, .theUnaskedIsNot, "A lease on \(request.task) was shown that nobody has.")
        }
        if acquired {
            try require(
                lease.holder == request.agent && (isNew || request.requestID != nil), .oneHolderATask,
                "\(request.agent) was told that it won \(request.task) under \(lease.token.value).")
            if !isNew {
                try require(
                    remembered?.made == .lease(request.task, lease.token.value), .oneHolderATask,
                    "\(request.agent) was told again that it won \(request.task), which it had not.")
            }
        } else if let remembered, surelyRemembers(remembered, at: step.now),
            remembered.made == .lease(request.task, lease.token.value), lease.holder == request.agent
        {
            throw Violation(.retriesMakeNothingTwice, "\(request.agent) won \(request.task), and its retry lost.")
        }
    }

    private mutating func checkClaimed(
        _ agent: AgentID, _ task: QueuedTask, _ lease: Lease, _ cause: Cause, above token: UInt64
    ) throws(Violation) {
        try require(
            task.claimer == agent && lease.holder == agent && lease.task == task.id && cause.claims.contains(task.id),
            .oneAgentATask, "\(agent) was told that it has task \(task.id).")
        try require(
            lease.token.value > token && lease.token.value != lastToken, .tokensIncrease,
            "Claim \(task.id) has token \(lease.token.value), after \(token) and \(lastToken).")
        lastToken = max(lastToken, lease.token.value)
        guard leases[task.id]?.isClaim == true, leases[task.id]?.agent == agent else { return }
        leases[task.id]?.token = lease.token.value
        work[task.id]?.token = lease.token.value
    }

    private func checkReleased(_ held: Command.HeldLease) throws(Violation) {
        try require(
            released[held.token.value] == held, .noSuccessForAStaleToken,
            "\(held.agent) released \(held.task) under \(held.token.value), which it never held.")
        try require(
            leases[held.task]?.token != held.token.value, .theAcknowledgedIsThere,
            "\(held.task) was released, and is held still.")
    }

    private mutating func checkJoined(_ group: GroupName, _ agent: AgentID, _ state: ElectionState) throws(Violation) {
        try require(isAlive(agent), .leadersLive, "\(agent) stands for \(group).")
        if !candidates[group, default: []].contains(agent) { candidates[group, default: []].append(agent) }
        try require(
            state.leader == candidates[group]?.first && state.term.value == elections[group]?.term, .oneLeaderATerm,
            "\(group) was shown as \(state), and is \(elections[group] as Any).")
    }

    private func check(_ refusal: Refusal, of command: Command, _ step: Step) throws(Violation) {
        switch (command, refusal) {
        case (_, .limitReached), (_, .invalid), (_, .requestIDReused): return
        case (.renewLease(let held, _), _):
            try require(
                leases[held.task]?.token != held.token.value || leases[held.task]?.agent != held.agent,
                .theAcknowledgedIsThere, "\(held.agent) could not renew what it holds, \(held.task): \(refusal).")
        case (.releaseLease(let held), _):
            let holding = leases[held.task]
            try require(
                holding?.token != held.token.value || holding?.agent != held.agent || holding?.isClaim == true,
                .theAcknowledgedIsThere, "\(held.agent) could not release what it holds, \(held.task): \(refusal).")
            try require(
                released[held.token.value] != held || !surelyRemembersRelease(of: held.token.value, at: step.now),
                .retriesMakeNothingTwice, "\(held.agent) released \(held.task), and again: \(refusal).")
        case (.completeTask(let finish, _), _), (.failTask(let finish, _), _):
            try require(
                work[finish.task]?.status != .claimed || leases[finish.task]?.agent != finish.agent
                    || finish.token != nil && finish.token?.value != leases[finish.task]?.token,
                .theAcknowledgedIsThere, "\(finish.agent) could not finish what it has, \(finish.task): \(refusal).")
        case (_, .unknownAgent(let agent)), (_, .deadAgent(let agent)):
            try require(
                agents[agent] == nil, .theAcknowledgedIsThere, "Agent \(agent) lives, and was refused: \(refusal).")
        case (.forceRelease(let task, let token), _):
            try require(
                leases[task]?.token != token.value, .theAcknowledgedIsThere,
                "What is held under \(token.value) could not be released by force: \(refusal).")
        case (.forceRequeue(let task), _):
            // Which finished tasks are forgotten already is not looked at here.
            try require(
                work[task]?.status != .claimed, .theAcknowledgedIsThere,
                "Claimed task \(task) could not be put back by force: \(refusal).")
        case (.deletePolicy(let id), .unknownPolicy), (.forceDeletePolicy(let id), .unknownPolicy):
            try require(policies[id] == nil, .theAcknowledgedIsThere, "Policy \(id) is there, and was not found.")
        default: return
        }
    }

    // MARK: What is there

    private func checkTimes(at now: Uptime) throws(Violation) {
        for (task, held) in leases {
            try require(isAlive(held.agent), .theDeadHoldNothing, "\(held.agent) holds \(task).")
            try require(
                !now.mustHavePassed(Int64(held.ttl) * Self.second + Self.bound, since: held.since), .nothingExpiresLate,
                "\(task) is held \(now.durable - held.since.durable) ns after it was given for \(held.ttl) s.")
        }
        for (id, agent) in agents {
            let limit = agent.status == .alive ? unreachableAfter(agent) : deadAfter(agent)
            try require(
                !now.mustHavePassed(limit + Self.bound, since: agent.heard), .nothingExpiresLate,
                "\(id) is \(agent.status) \(now.durable - agent.heard.durable) ns after it was heard.")
        }
        for wait in waiting {
            guard case .acquireLease(let request) = wait.command else { continue }
            let limit = Int64(request.waitMilliseconds) * 1_000_000
            try require(
                !now.mustHavePassed(limit + Self.bound, since: wait.since), .nothingExpiresLate,
                "A call waits for \(request.task) \(now.durable - wait.since.durable) ns, and wanted to wait \(limit) ns."
            )
        }
    }

    private func checkCounts(_ counts: Counts) throws(Violation) {
        try require(
            counts.leases == leases.count, .oneHolderATask, "\(counts.leases) leases are counted, not \(leases.count).")
        let pending = work.values.reduce(0) { $0 + ($1.status == .pending ? 1 : 0) }
        let claimed = work.values.reduce(0) { $0 + ($1.status == .claimed ? 1 : 0) }
        try require(
            counts.tasksPending == pending && counts.tasksClaimed == claimed, .noTaskIsLost,
            "\(counts.tasksPending) tasks are PENDING and \(counts.tasksClaimed) CLAIMED, not \(pending) and \(claimed)."
        )
        try require(
            counts.agentsAlive + counts.agentsUnreachable == agents.count, .theDeadNeverReturn,
            "\(counts.agentsAlive + counts.agentsUnreachable) agents live, not \(agents.count).")
        let standing = candidates.values.reduce(0) { $0 + $1.count }
        try require(
            counts.candidates == standing, .theDeadHoldNothing, "\(counts.candidates) stand, not \(standing).")
        try require(
            counts.policies == policies.count, .theAcknowledgedIsThere,
            "There are \(counts.policies) policies, not \(policies.count).")
    }
}

extension Model.Request.Made {
    func isSameKind(as other: Self) -> Bool {
        switch (self, other) {
        case (.agent, .agent), (.lease, .lease), (.task, .task): true
        default: false
        }
    }
}

extension Outcome {
    /// Whether something was given.
    var isSuccess: Bool {
        switch self {
        case .reply(.lease(_, let acquired)): acquired
        case .reply: true
        default: false
        }
    }
}
