// Reads the core for those who look at it. However many ask for lists, one thread makes them one after another, and no
// event loop is held up by it; what is quickly told, whether the daemon is well, doesn't wait behind megabytes of agents.
//
// What was read is told when it is durable, as everywhere.

import CSodium
import Coordination
import JSON
import NIOHTTP1

/// An answer but for the moment at which it was made, so that two can be compared.
struct Reading: Equatable, Sendable {
    var status = HTTPResponseStatus.ok
    /// Of an object, without the braces.
    var fields: String
    /// The daemon's clock.
    var clock: Instant?

    init(_ fields: [(String, JSON)], at clock: Instant?) {
        self.fields = String(JSON.object(fields).line.dropFirst().dropLast())
        self.clock = clock
    }

    init(_ problem: Problem) {
        self.init([], at: nil)
        fields = String(problem.json.line.dropFirst().dropLast())
        status = problem.status
    }

    var text: String {
        guard let clock else { return "{\(fields)}" }
        let time = "\"clock_ms\":\(max(0, clock.nanoseconds) / 1_000_000)"
        return fields.isEmpty ? "{\(time)}" : "{\(time),\(fields)}"
    }

    var digest: Digest { Digest(self) }

    /// Tells an answer from another one without keeping it, which may have megabytes: BLAKE2b, so that two that differ
    /// never have the same.
    struct Digest: Equatable, Sendable {
        private let status: UInt
        private var hash = SIMD4<UInt64>()

        fileprivate init(_ reading: Reading) {
            status = reading.status.code
            var fields = reading.fields
            fields.withUTF8 { text in
                withUnsafeMutableBytes(of: &hash) { hash in
                    let bytes = hash.assumingMemoryBound(to: UInt8.self)
                    let result = crypto_generichash(
                        bytes.baseAddress!, bytes.count, text.baseAddress, UInt64(text.count), nil, 0)
                    precondition(result == 0, "a hash of a length that libsodium doesn't make")
                }
            }
        }
    }
}

/// Makes one answer at a time.
actor Desk {
    func make<Answer: Sendable>(_ answer: @Sendable () -> Answer) -> Answer { answer() }
}

struct StateReader: Sendable {
    let sources: AdminSources
    let feed: EventFeed
    private let recent: Recent
    private let attention: Attention
    let gate: DurabilityGate
    /// Lists wait for lists, and what is quickly told only for its like.
    let lists = Desk()
    private let others = Desk()

    /// Things that one page names besides its own: what an agent holds, who waits, the candidates.
    private static let maxNamed = 100

    init(sources: AdminSources, recent: Recent, limits: AdminLimits = AdminLimits()) {
        self.sources = sources
        feed = EventFeed(sources: sources)
        self.recent = recent
        attention = Attention(sources: sources)
        gate = DurabilityGate(coordinator: sources.coordinator, patience: limits.durablePatience)
    }

    /// - Parameter pageBytes: the items of a list, in bytes of JSON.
    func read(_ resource: Resource, pageBytes: Int = AdminLimits.maxPageBytes) async -> Reading {
        let (reading, revision) =
            switch resource {
            case .overview: await overview()
            case .watchers(let states, let page): await watchers(states, page)
            default:
                await (resource.isList ? lists : others).make {
                    var reads = Reads(sources, pageBytes: pageBytes)
                    do throws(Problem) {
                        return (try make(resource, &reads), reads.revision)
                    } catch {
                        return (Reading(error), reads.revision)
                    }
                }
            }
        do throws(Problem) {
            try await gate.wait(for: revision)
            return reading
        } catch {
            return Reading(error)
        }
    }

    private func make(_ resource: Resource, _ reads: inout Reads) throws(Problem) -> Reading {
        switch resource {
        case .index: return index()
        case .status: return status(&reads)
        case .overview, .watchers: preconditionFailure("made elsewhere")
        case .agents(let filter, let page):
            let agents = reads.gather(page) { machine, after, limit, scanning in
                machine.agents(matching: filter, after: after, limit: limit, scanning: scanning)
            }
            let counts = reads.read { $0.counts }
            let now = reads.clock
            return list(
                agents, total: counts.agentsAlive + counts.agentsUnreachable + counts.agentsDead, &reads
            ) { $0.json(at: now) }
        case .search(let query, let tools, let limit):
            let (agents, counts) = reads.read { machine in
                let found = machine.find(query: query, tools: tools, limit: limit)
                return (found.compactMap { machine.agentDetails($0.id) }, machine.counts)
            }
            let now = reads.clock
            return page(
                agents.lazy.map { $0.json(at: now) }.fitting(reads.pageBytes), next: nil,
                total: counts.agentsAlive + counts.agentsUnreachable + counts.agentsDead, &reads)
        case .agent(let id): return try agent(id, &reads)
        case .leases(let filter, let page): return try leases(filter, page, &reads)
        case .lease(let task): return try lease(task, &reads)
        case .elections(let prefix, let candidate, let page):
            return try elections(prefix, candidate, page, &reads)
        case .election(let group): return try election(group, &reads)
        case .tasks(let filter, let order, let page):
            let tasks = reads.gather(page) { machine, after, limit, scanning in
                machine.tasks(matching: filter, in: order, after: after, limit: limit, scanning: scanning)
                    .map { ($0, machine.name(of: $0.claimer)) }
            }
            let counts = reads.read { $0.counts }
            let total = counts.tasksPending + counts.tasksClaimed + counts.tasksCompleted + counts.tasksDead
            return list(tasks, total: total, &reads) { $0.json(claimer: $1) }
        case .task(let id): return try task(id, &reads)
        case .policies(let prefix, let after, let limit):
            let (policies, total) = reads.read { machine in
                (
                    machine.policies(subjectPrefix: prefix, after: after, limit: limit + 1),
                    machine.counts.policies
                )
            }
            let items = policies.prefix(limit).lazy.map(\.json).fitting(reads.pageBytes)
            let next = items.count < policies.count ? items.count - 1 : nil
            return page(items, next: next.map { .string(policies[$0].id.text) }, total: total, &reads)
        case .policy(let id):
            guard let policy = reads.read({ $0.policy(id) }) else { throw .notFound(.unknownPolicy(id)) }
            return Reading([("policy", policy.json)], at: reads.clock)
        case .check(let subject, let action, let object):
            let (verdict, policy) = try reads.tryRead { machine throws(Refusal) in
                let verdict = try machine.check(subject: subject, action: action, resource: object)
                return (verdict, verdict.policy.flatMap { machine.policy($0) })
            }
            return Reading(
                [
                    ("allowed", .bool(verdict.isAllowed)), ("reason", .string(verdict.reason)),
                    ("policy", policy?.json ?? .null),
                ], at: reads.clock)
        case .events(let filter, let page):
            return try events(filter, page, &reads)
        }
    }

    // MARK: Lists

    private func list<Value>(
        _ stretch: Stretch<Value>, total: Int, _ reads: inout Reads, _ json: @escaping (Value) -> JSON
    ) -> Reading {
        let items = stretch.found.lazy.map { json($0.value) }.fitting(reads.pageBytes)
        let isCut = items.count < stretch.found.count
        let next = isCut ? stretch.found[items.count - 1].serial : stretch.isLast ? nil : stretch.examined
        return page(items, next: next.map { .string(String($0)) }, total: total, &reads)
    }

    private func page(_ items: [JSON], next: JSON?, total: Int, _ reads: inout Reads) -> Reading {
        Reading(
            [("items", .array(items)), ("next", next ?? .null), ("total", .count(total))], at: reads.clock)
    }

    private func leases(
        _ filter: LeaseFilter, _ page: Resource.Page, _ reads: inout Reads
    ) throws(Problem) -> Reading {
        let leases = try reads.tryGather(page) { machine, after, limit, scanning throws(Refusal) in
            try machine.leases(matching: filter, after: after, limit: limit, scanning: scanning)
                .map { ($0, machine.name(of: $0.lease.holder)) }
        }
        let total = reads.read { $0.counts.leases }
        let now = reads.clock
        return list(leases, total: total, &reads) { $0.json(holder: $1, at: now) }
    }

    private func elections(
        _ prefix: String, _ candidate: AgentID?, _ page: Resource.Page, _ reads: inout Reads
    ) throws(Problem) -> Reading {
        let elections = try reads.tryGather(page) { machine, after, limit, scanning throws(Refusal) in
            try machine.elections(
                groupPrefix: prefix, candidate: candidate, after: after, limit: limit, scanning: scanning
            ).map { ($0, machine.name(of: $0.state.leader)) }
        }
        let total = reads.read { $0.counts.elections }
        return list(elections, total: total, &reads) { $0.json(leader: $1) }
    }

    // MARK: One thing

    private func agent(_ id: AgentID, _ reads: inout Reads) throws(Problem) -> Reading {
        guard let agent = reads.read({ $0.agentDetails(id) }) else { throw .notFound(.unknownAgent(id)) }
        let some = Resource.Page(after: 0, limit: Self.maxNamed)
        let held = try reads.tryGather(some) { machine, after, limit, scanning throws(Refusal) in
            try machine.leases(
                matching: LeaseFilter(holder: id), after: after, limit: limit, scanning: scanning)
        }
        let elections = try reads.tryGather(some) { machine, after, limit, scanning throws(Refusal) in
            try machine.elections(groupPrefix: "", candidate: id, after: after, limit: limit, scanning: scanning)
                .map { ($0, machine.name(of: $0.state.leader)) }
        }
        let now = reads.clock
        return Reading(
            [
                ("agent", agent.json(at: now)),
                ("held", .array(held.found.map { $0.value.json(holder: agent.info.card.name, at: now) })),
                ("candidate_in", .array(elections.found.map { $0.value.0.json(leader: $0.value.1) })),
            ], at: now)
    }

    private func lease(_ task: TaskID, _ reads: inout Reads) throws(Problem) -> Reading {
        let found = reads.read { machine in
            machine.leaseDetails(task, waiting: Self.maxNamed).map { lease, waiting in
                (lease, machine.name(of: lease.lease.holder), waiting.map { ($0, machine.name(of: $0)) })
            }
        }
        guard let (lease, holder, waiting) = found else { throw .notFound(.noLease(task)) }
        return Reading(
            [
                ("lease", lease.json(holder: holder, at: reads.clock)),
                (
                    "waiting",
                    .array(waiting.map { .object([("agent_id", .id($0)), ("name", .optional($1))]) })
                ),
            ], at: reads.clock)
    }

    private func election(_ group: GroupName, _ reads: inout Reads) throws(Problem) -> Reading {
        let found = reads.read { machine in
            machine.electionDetails(group, candidates: Self.maxNamed).map { election, candidates in
                (election, machine.name(of: election.state.leader), candidates.map { ($0, machine.agent($0)) })
            }
        }
        guard let (election, leader, candidates) = found else {
            throw Problem(
                status: .notFound, text: "unknown group \(quoted(group.text)): nobody has ever campaigned in it")
        }
        let list: [JSON] = candidates.map { id, agent in
            .object([
                ("agent_id", .id(id)), ("name", .optional(agent?.card.name)),
                ("status", .optional(agent?.status.name)),
            ])
        }
        return Reading([("election", election.json(leader: leader)), ("candidates", .array(list))], at: reads.clock)
    }

    private func task(_ id: TaskID, _ reads: inout Reads) throws(Problem) -> Reading {
        let found = reads.read { machine in
            machine.task(id).map { task in
                let able =
                    task.status == .pending
                    ? machine.find(query: "", tools: task.specification.requiredTools, limit: 0).count : nil
                return (
                    task, machine.name(of: task.claimer), machine.leaseDetails(id, waiting: 0)?.lease, able
                )
            }
        }
        guard let (task, claimer, claim, able) = found else { throw .notFound(.unknownTask(id)) }
        return Reading(
            [
                ("task", task.json(claimer: claimer)),
                ("claim", claim?.json(holder: claimer, at: reads.clock) ?? .null),
                ("capable_agents", able.map { .count($0) } ?? .null),
            ], at: reads.clock)
    }

    // MARK: The daemon

    private func index() -> Reading {
        let addresses: [JSON] = Resource.addresses.map { address, about, parameters in
            .object([
                ("address", .string("/api/v1/\(address)")), ("about", .string(about)),
                ("parameters", .texts(parameters)),
            ])
        }
        return Reading([("addresses", .array(addresses))], at: nil)
    }

    private func status(_ reads: inout Reads) -> Reading {
        let (last, oldest) = reads.read { ($0.lastSequence, $0.oldestKeptSequence) }
        let daemon = sources.daemon
        let uptime = sources.now().instant - daemon.startedAt.instant
        return Reading(
            [
                ("version", .string(daemon.version)), ("started_at", .time(daemon.startedAt.wall)),
                // Whole seconds, or it would be another answer at every look.
                ("uptime_ms", .count(uptime.nanoseconds / 1_000_000_000 * 1_000)),
                ("durable", .bool(daemon.isDurable)), ("ready", .bool(sources.isReady())),
                ("grpc_address", .string(sources.rpcAddress())), ("actions", .bool(sources.actionToken != nil)),
                ("history", .string(daemon.history)), ("last_sequence", .count(last.value)),
                ("oldest_kept_sequence", .count(oldest.value)),
            ], at: reads.clock)
    }

    private func overview() async -> (Reading, Revision) {
        var reads = Reads(sources)
        // The watchers are asked about on their own event loops.
        let slow = await attention.isDue ? await slowWatchers(&reads) : nil
        let counts = reads.read { $0.counts }
        let load = sources.load()
        let needed = await attention.look(counts, load, slow, &reads)
        let streams = await feed.count
        let numbers: [(String, Int)] = [
            ("agents_alive", counts.agentsAlive), ("agents_unreachable", counts.agentsUnreachable),
            ("agents_dead", counts.agentsDead), ("leases", counts.leases - counts.claims),
            ("claims", counts.claims), ("elections", counts.elections), ("candidates", counts.candidates),
            ("policies", counts.policies), ("tasks_pending", counts.tasksPending),
            ("tasks_claimed", counts.tasksClaimed), ("tasks_completed", counts.tasksCompleted),
            ("tasks_dead", counts.tasksDead), ("lease_waiters", counts.leaseWaiters),
            ("task_waiters", counts.taskWaiters), ("watchers", load.watchers + streams),
            ("connections", Int(load.openConnections)), ("calls_open", Int(load.openCalls)),
        ]
        let reading = Reading(
            [
                ("counts", .object(numbers.map { ($0, .count($1)) })), ("history", recent.json),
                ("attention", .array(needed)),
            ], at: reads.clock)
        return (reading, reads.revision)
    }
}

extension Problem {
    /// Nothing there by that name.
    fileprivate static func notFound(_ refusal: Refusal) -> Problem {
        Problem(status: .notFound, text: refusal.message)
    }
}

extension Machine {
    func name(of agent: AgentID?) -> String? {
        agent.flatMap { self.agent($0) }?.card.name
    }
}

extension Verdict {
    fileprivate var policy: PolicyID? {
        switch self {
        case .allowed(let id), .denied(let id): id
        case .noMatch: nil
        }
    }
}

extension Swift.Sequence<JSON> {
    /// The first of them, as many as fit into so many bytes and one at least: an agent's card may have 64 KiB.
    func fitting(_ bytes: Int) -> [JSON] {
        var fitting: [JSON] = []
        var room = bytes
        for item in self {
            let line = item.line
            room -= line.utf8.count
            if room < 0, !fitting.isEmpty { break }
            fitting.append(.written(line))
        }
        return fitting
    }
}

extension Stretch {
    func map<Other>(_ transform: (Value) -> Other) -> Stretch<Other> {
        var other = Stretch<Other>(examined: examined)
        other.found = found.map { ($0.serial, transform($0.value)) }
        other.isLast = isLast
        return other
    }
}
