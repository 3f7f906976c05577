// What an operator should look at, the gravest first. Worked out for whoever looks, all of them together, and so seldom
// that it never costs more than a twentieth of a core.

import Coordination
import JSON

actor Attention {
    private let sources: AdminSources
    private var entries: [JSON] = []
    private var nextLook = Instant(nanoseconds: .min)

    private static let maxItems = 10
    /// Of one entry's items, in bytes of JSON, and one item at least: an agent's card may have 64 KiB.
    private static let maxItemBytes = 65_536
    /// Places looked at for one entry; a million takes about 50 ms, in looks of 500.
    private static let maxPlaces = 1_000_000
    /// Of the kept events.
    private static let maxEvents: UInt64 = 20_000

    init(sources: AdminSources) {
        self.sources = sources
    }

    var isDue: Bool { sources.now().instant >= nextLook }

    /// - Parameter slow: the slow watchers; nil where it was not due, and they were not looked up.
    func look(
        _ counts: Counts, _ load: Load, _ slow: [WatcherStanding]?, _ reads: inout Reads
    ) -> [JSON] {
        let start = sources.now().instant
        // It may have become due meanwhile: without the watchers it would forget them for one look.
        guard let slow, start >= nextLook else { return entries }
        entries = []
        if load.isDiskFull { add("disk_full", "critical", 1, nil) }
        if counts.agentsUnreachable > 0 { unreachable(counts.agentsUnreachable, &reads) }
        if counts.leases > 0 { expiring(&reads) }
        if counts.tasksPending + counts.tasksClaimed > 0 { returning(&reads) }
        if counts.tasksPending > 0 { withoutAgent(&reads) }
        if !slow.isEmpty { add("watchers_slow", "warning", slow.count, slow.prefix(Self.maxItems).map(\.json)) }
        if counts.tasksDead > 0 { dead(counts.tasksDead, &reads) }
        let cost = sources.now().instant - start
        nextLook = start + max(.milliseconds(50), cost * 20)
        return entries
    }

    private func add(_ kind: String, _ severity: String, _ count: Int, _ items: [JSON]?) {
        entries.append(
            .object([
                ("kind", .string(kind)), ("severity", .string(severity)), ("count", .count(count)),
                ("items", items.map { .array($0.fitting(Self.maxItemBytes)) } ?? .null),
            ]))
    }

    private func unreachable(_ count: Int, _ reads: inout Reads) {
        let some = Resource.Page(after: 0, limit: Self.maxItems)
        let agents = reads.gather(some, places: Self.maxPlaces) { machine, after, limit, scanning in
            machine.agents(
                matching: AgentFilter(statuses: [.unreachable]), after: after, limit: limit, scanning: scanning)
        }
        let now = reads.clock
        add("agents_unreachable", "warning", count, agents.found.map { $0.value.json(at: now) })
    }

    /// Less than a fifth of the ttl left, and less than a minute: a holder that is well renews earlier.
    private func expiring(_ reads: inout Reads) {
        var soonest: [(due: Instant, lease: LeaseDetails, holder: String?)] = []
        var count = 0
        var after: UInt64 = 0
        var places = 0
        repeat {
            let stretch = reads.gather(Resource.Page(after: after, limit: .max), places: 500) {
                machine, after, limit, scanning in
                // Without a holder in the filter nothing is refused.
                (try? machine.leases(matching: LeaseFilter(), after: after, limit: limit, scanning: scanning))
                    .map { $0.filter { Self.isExpiring($0) } }
                    .map { $0.map { ($0, machine.name(of: $0.lease.holder)) } } ?? Stretch(examined: after)
            }
            count += stretch.found.count
            soonest += stretch.found.map { (reads.clock + $0.value.0.remaining, $0.value.0, $0.value.1) }
            if soonest.count > Self.maxItems {
                soonest.sort { $0.due < $1.due }
                soonest.removeLast(soonest.count - Self.maxItems)
            }
            after = stretch.examined
            places += 500
            if stretch.isLast { break }
        } while places < Self.maxPlaces
        guard count > 0 else { return }
        soonest.sort { $0.due < $1.due }
        let now = reads.clock
        add(
            "leases_expiring", "warning", count,
            soonest.map { due, lease, holder in
                var lease = lease
                lease.remaining = due - now
                return lease.json(holder: holder, at: now)
            })
    }

    private static func isExpiring(_ lease: LeaseDetails) -> Bool {
        lease.remaining < .seconds(60) && lease.remaining * 5 < .seconds(lease.ttlSeconds)
    }

    private struct Return {
        var count = 0
        var reason = ""
    }

    /// Open tasks that came back more than once, as far as the kept events tell.
    private func returning(_ reads: inout Reads) {
        let filter = EventFilter(topics: [Topic.taskRequeued.rawValue, Topic.taskFailed.rawValue])
        let (last, oldest) = reads.read { ($0.lastSequence, $0.oldestKeptSequence) }
        var cursor = Sequence(max(oldest.value - 1, last.value - min(last.value, Self.maxEvents)))
        var returns: [TaskID: Return] = [:]
        while cursor < last {
            let found = try? reads.read { machine throws(Refusal) in
                try machine.events(after: cursor, matching: filter, limit: .max, scanning: 2_000)
            }
            // The history has moved on meanwhile: what is left is enough.
            guard let found, found.examined > cursor else { break }
            cursor = found.examined
            for event in found.events {
                guard let task = event.payload.task else { continue }
                returns[task, default: Return()].count += 1
                returns[task]?.reason = event.topic == .taskFailed ? "failed" : event.reason.text
            }
        }
        let often = returns.filter { $0.value.count >= 2 }.sorted {
            ($1.value.count, $0.key) < ($0.value.count, $1.key)
        }
        var items: [JSON] = []
        var count = 0
        for (id, found) in often {
            guard let task = reads.read({ $0.task(id) }), task.status == .pending || task.status == .claimed else {
                continue
            }
            count += 1
            guard items.count < Self.maxItems else { continue }
            items.append(
                .object([
                    ("task_id", .string(id.text)), ("type", .string(task.specification.type)),
                    ("status", .string(task.status.name)), ("returns", .count(found.count)),
                    ("last_reason", .string(found.reason)),
                ]))
        }
        if count > 0 { add("tasks_returning", "warning", count, items) }
    }

    /// Among the oldest hundred that are pending.
    private func withoutAgent(_ reads: inout Reads) {
        let tasks = reads.gather(Resource.Page(after: 0, limit: 100), places: Self.maxPlaces) {
            machine, after, limit, scanning in
            machine.tasks(matching: TaskFilter(statuses: [.pending]), after: after, limit: limit, scanning: scanning)
        }
        var isServed: [[String]: Bool] = [:]
        var stuck: [QueuedTask] = []
        for (_, task) in tasks.found {
            let tools = task.specification.requiredTools
            let known = isServed[tools]
            let found = known ?? reads.read { !$0.find(query: "", tools: tools, limit: 1).isEmpty }
            isServed[tools] = found
            if !found { stuck.append(task) }
        }
        guard !stuck.isEmpty else { return }
        add(
            "tasks_without_agent", "warning", stuck.count,
            stuck.prefix(Self.maxItems).map { $0.json(claimer: nil) })
    }

    /// The latest of those that are kept.
    private func dead(_ count: Int, _ reads: inout Reads) {
        let tasks = reads.gather(Resource.Page(after: 0, limit: Self.maxItems), places: Self.maxPlaces) {
            machine, after, limit, scanning in
            machine.tasks(
                matching: TaskFilter(statuses: [.dead]), in: .finished, after: after, limit: limit, scanning: scanning)
        }
        let items = reads.read { machine in
            tasks.found.map { $0.value.json(claimer: machine.name(of: $0.value.claimer)) }
        }
        add("tasks_dead", "info", count, items)
    }
}
extension Stretch {
    fileprivate func filter(_ isWanted: (Value) -> Bool) -> Stretch {
        var other = self
        other.found.removeAll { !isWanted($0.value) }
        return other
    }
}
