// What `/metrics` tells of the core, and which build tells it.

import Coordination

/// - Parameter read: reads the core's counts and the age of the oldest pending task; called once for each scrape.
package func coreMetrics(_ read: @escaping @Sendable () -> (counts: Counts, oldestPending: Span?)) -> MetricsSource {
    { writer in
        let (counts, oldestPending) = read()
        writeStock(of: counts, oldestPending, to: &writer)
        writeLoad(of: counts, to: &writer)
        writeHistory(of: counts, to: &writer)
    }
}

package func buildMetrics(version: String, nghttp2Version: String) -> MetricsSource {
    { writer in
        writer.family(
            "agentkeeper_build_info", .gauge, "Always 1; the labels tell which build is running.",
            labels: ["version", "nghttp2_version"]
        ) { $0.add([version, nghttp2Version], 1) }
    }
}

/// What there is.
private func writeStock(of counts: Counts, _ oldestPending: Span?, to writer: inout MetricsWriter) {
    // The Python package documents this one as the agents whose status is ALIVE or UNREACHABLE: those
    // that still hold what they hold.
    writer.gauge(
        "agentkeeper_agents_alive", "Agents that are not dead, the unreachable ones included.",
        counts.agentsAlive + counts.agentsUnreachable)
    writer.family("agentkeeper_agents", .gauge, "Agents by status; dead ones are kept for a while.", labels: ["status"])
    {
        $0.add(["alive"], counts.agentsAlive)
        $0.add(["unreachable"], counts.agentsUnreachable)
        $0.add(["dead"], counts.agentsDead)
    }
    writer.gauge(
        "agentkeeper_leases_active", "Leases that are held, the claims of tasks included.", counts.leases)
    writer.gauge("agentkeeper_claims_active", "Claims of tasks; each is a lease too.", counts.claims)
    writer.gauge("agentkeeper_elections", "Election groups.", counts.elections)
    writer.gauge("agentkeeper_candidates", "Candidacies over all elections, leaders included.", counts.candidates)
    writer.gauge("agentkeeper_policies", "Entitlement policies.", counts.policies)
    writer.family(
        "agentkeeper_tasks", .gauge, "Tasks by status; finished ones are kept for a while.", labels: ["status"]
    ) {
        $0.add(["pending"], counts.tasksPending)
        $0.add(["claimed"], counts.tasksClaimed)
        $0.add(["completed"], counts.tasksCompleted)
        $0.add(["dead"], counts.tasksDead)
    }
    writer.gauge(
        "agentkeeper_tasks_oldest_pending_age_seconds",
        "Time since the oldest pending task was created; 0 when none is pending.",
        Double(oldestPending?.nanoseconds ?? 0) / 1e9)
    writer.family(
        "agentkeeper_task_payload_bytes", .gauge, "Inputs, outputs and texts of tasks.", labels: ["state"]
    ) {
        $0.add(["open"], counts.openTaskBytes)
        $0.add(["finished"], counts.finishedTaskBytes)
    }
}

/// What waits and what is remembered.
private func writeLoad(of counts: Counts, to writer: inout MetricsWriter) {
    writer.family("agentkeeper_waiters", .gauge, "Calls that wait for a lease or for a task.", labels: ["kind"]) {
        $0.add(["lease"], counts.leaseWaiters)
        $0.add(["task"], counts.taskWaiters)
    }
    writer.gauge("agentkeeper_deadline_queue_length", "Entries in the queue of deadlines.", counts.deadlines)
    writer.gauge("agentkeeper_tool_sets", "Different sets of tools that tasks and claimers name.", counts.toolSets)
    writer.family(
        "agentkeeper_remembered", .gauge, "What is remembered for a while to recognise retries.", labels: ["kind"]
    ) {
        $0.add(["release"], counts.rememberedReleases)
        $0.add(["request"], counts.rememberedRequests)
    }
}

/// What has happened since the start.
private func writeHistory(of counts: Counts, to writer: inout MetricsWriter) {
    writer.family("agentkeeper_events_total", .counter, "Events emitted, by topic.", labels: ["topic"]) {
        for (topic, count) in counts.eventsEmitted { $0.add([topic.rawValue], count) }
    }
    writer.family("agentkeeper_forced_total", .counter, "Events that somebody forced, by topic.", labels: ["topic"]) {
        for (topic, count) in counts.eventsForced { $0.add([topic.rawValue], count) }
    }
    writer.gauge(
        "agentkeeper_event_history_events", "Events kept for watchers that resume.", counts.eventsKept)
    writer.gauge(
        "agentkeeper_event_history_bytes", "Approximate memory of the events kept.", counts.eventBytesKept)
    writer.counter(
        "agentkeeper_leases_expired_total",
        "Leases that ran out or ended with their holder, claims and forced ends excluded.",
        counts.leasesExpired)
    writer.counter(
        "agentkeeper_claims_lost_total", "Claims that ended with their task put back into the queue, unless by force.",
        counts.claimsLost)
    writer.counter(
        "agentkeeper_agents_lost_total", "Agents that died because nothing was heard of them.",
        counts.agentsDiedBySilence)
    writer.counter("agentkeeper_fencing_tokens_total", "Fencing tokens given out.", counts.tokensGiven)
}
