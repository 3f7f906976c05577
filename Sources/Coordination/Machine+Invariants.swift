// What must hold between any two commands, whatever they were. Looks at everything, so it is for tests.

extension Machine {
    package func checkInvariants() {
        agents.checkInvariants()
        leases.checkInvariants()
        elections.checkInvariants()
        entitlements.checkInvariants()
        tasks.checkInvariants()
        deadlines.checkInvariants()
        retries.checkInvariants()
        history.checkInvariants()
        let claimers = checkAgents()
        checkLeases()
        checkTasks()
        let users = agents.livingCount + tasks.openCount
        matchmaker.checkInvariants(tasks: tasks.count(.pending), claimers: claimers, users: users)
        checkDeadlines()
    }

    /// Chains and what they connect agree. Returns how many claimers stand in the matchmaker's lines.
    private func checkAgents() -> Int {
        var (held, waiting, standing) = (0, 0, 0)
        for agent in agents.slots {
            var token = FencingToken(0)
            for lease in leases.held(in: agents[agent].leases) {
                guard let holding = leases[lease].holding else { preconditionFailure("a chain leads to no lease") }
                precondition(holding.agent == agent && holding.agentID == agents[agent].id)
                precondition(holding.token > token, "leases out of order")
                token = holding.token
                held += 1
            }
            for wait in waits.calls(of: agents[agent].waits) {
                precondition(waits[wait].agent == agent && waits.slot(of: waits[wait].id) == wait)
                waiting += 1
                guard case .task(let place) = waits[wait].wish else { continue }
                precondition((place != nil) == (agents[agent].status == .alive), "who is silent stands in no line")
                if place != nil { standing += 1 }
                let task = place == nil ? nil : matchmaker.oldestTask(for: agents[agent].tools)
                precondition(task == nil, "a task and an agent that could do it both wait")
            }
        }
        precondition(held == leases.count, "a lease that nobody holds")
        precondition(waiting == waits.count)
        return standing
    }

    private func checkLeases() {
        var inLine = 0
        for lease in leases.slots {
            for wait in waits.line(of: leases[lease].line) {
                guard case .lease(let wish) = waits[wait].wish else { preconditionFailure("in the wrong line") }
                precondition(wish.lease == lease && wish.request.task == leases[lease].task)
                inLine += 1
            }
            guard let task = leases[lease].claimed else { continue }
            precondition(tasks[task].task.id == leases[lease].task && tasks[task].task.status == .claimed)
            precondition(tasks[task].task.claimer == leases[lease].holding?.agentID)
            precondition(tasks[task].token == leases[lease].holding?.token)
            guard let holder = leases[lease].holding?.agent else { preconditionFailure("a claim that nobody holds") }
            precondition(matchmaker.sets.isSubset(tasks[task].tools, of: agents[holder].tools), "it lacks a tool")
        }
        precondition(inLine == waits.leaseCount)
        precondition(leases.plainCount <= limits.values.maxLeases && waits.count <= limits.values.maxWaiters)
    }

    private func checkTasks() {
        precondition(leases.claimCount == tasks.count(.claimed), "a claimed task without a lease")
        precondition(tasks.openCount <= limits.values.maxOpenTasks)
        for task in tasks.slots where tasks[task].task.status == .pending {
            precondition(leases.slot(of: tasks[task].task.id) == nil, "a pending task that somebody holds")
        }
    }

    /// One deadline for each living agent, each lease and each wait for a lease, and no other.
    private func checkDeadlines() {
        precondition(deadlines.count == agents.livingCount + leases.count + waits.leaseCount)
        for agent in agents.slots {
            guard let deadline = agents[agent].deadline else { continue }
            precondition(deadlines.subject(of: deadline) == .agent(agent))
        }
        for lease in leases.slots {
            guard let deadline = leases[lease].holding?.deadline else { continue }
            precondition(deadlines.subject(of: deadline) == .lease(lease))
        }
    }
}
