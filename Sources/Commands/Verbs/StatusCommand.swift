import AgentKeeper
import ArgumentParser
import JSON

struct StatusCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "The daemon in numbers.",
        discussion: "The exit status is 69 when it can't be reached: a health check for scripts.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var client: ClientOptions

    func run(_ keeper: AgentKeeperClient) async throws {
        let status = try await keeper.status()
        let counts: [(String, Int)] = [
            ("agents_alive", status.agentsAlive), ("agents_unreachable", status.agentsUnreachable),
            ("agents_dead", status.agentsDead), ("leases", status.leases), ("claims", status.claims),
            ("elections", status.elections), ("candidates", status.candidates), ("policies", status.policies),
            ("tasks_pending", status.tasksPending), ("tasks_claimed", status.tasksClaimed),
            ("tasks_completed", status.tasksCompleted), ("tasks_dead", status.tasksDead),
            ("lease_waiters", status.leaseWaiters), ("task_waiters", status.taskWaiters),
            ("watchers", status.watchers),
        ]
        let json = JSON.object(
            [
                ("addr", .string(keeper.address)), ("version", .string(status.version)),
                ("started_at", .string(status.startedAt.description)),
                ("uptime_ms", .number(UInt64(status.uptime.milliseconds))), ("durable", .bool(status.isDurable)),
                ("last_sequence", .number(status.lastSequence)),
                ("oldest_kept_sequence", .number(status.oldestKeptSequence)),
            ] + counts.map { ($0.0, .number(UInt64($0.1))) })
        output.print(json) { fields in
            fields.add("Daemon", .init("agentkeeper \(status.version) at \(keeper.address)"))
            let uptime = spoken(UInt64(status.uptime.milliseconds))
            fields.add("Up", .init("\(uptime), since \(status.startedAt)"))
            fields.add(
                "State",
                status.isDurable ? .init("on disk", .green) : .init("in memory: gone when the daemon stops", .yellow))
            fields.add(
                "Agents",
                .init("\(status.agentsAlive) alive, \(status.agentsUnreachable) unreachable, \(status.agentsDead) dead")
            )
            fields.add(
                "Leases", .init("\(status.leases) and \(status.claims) claims, \(status.leaseWaiters) calls wait"))
            fields.add("Elections", .init("\(status.elections), \(status.candidates) candidates"))
            fields.add("Policies", .init(String(status.policies)))
            fields.add(
                "Tasks",
                .init(
                    "\(status.tasksPending) pending, \(status.tasksClaimed) claimed, \(status.tasksCompleted) completed, "
                        + "\(status.tasksDead) dead, \(status.taskWaiters) workers wait"))
            let kept =
                status.oldestKeptSequence > status.lastSequence
                ? "none kept" : "kept from \(status.oldestKeptSequence)"
            fields.add("Events", .init("\(status.lastSequence), \(kept), \(status.watchers) watchers"))
        }
    }
}
