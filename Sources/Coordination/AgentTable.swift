// Who is there: every agent from its registration until a day or so after its death.
//
// An agent is ALIVE, then UNREACHABLE or ALIVE in turn, then DEAD and never anything else. The table
// keeps the record and the ends of the agent's chains (what it holds, waits for and stands for); what
// its death sets off in the other tables is in Machine+Death.swift.

import DequeModule

typealias AgentSlot = Slot<AgentTable.Entry>

struct AgentTable: ~Copyable, Sendable {
    struct Entry: Sendable {
        let id: AgentID
        let card: AgentCard
        /// As it was given, and how much longer it may be silent.
        let ttl: Span
        let slack: Span
        let registeredAt: WallTime
        var lastHeartbeatAt: WallTime
        /// The last heartbeat that a journal knows of.
        var recordedHeartbeatAt: WallTime
        var lastHeard: Instant
        /// The event of its registration: the order of age.
        let registeredBy: Sequence
        fileprivate(set) var status = AgentStatus.alive
        /// When it falls silent or, UNREACHABLE, when it dies. None once it is DEAD.
        var deadline: DeadlineQueue.Handle?
        /// Its number in the search index; valid until its death, as is the next.
        fileprivate(set) var document: UInt32 = 0
        let tools: ToolSetSlot
        var leases = Chain<LeaseTable.Entry>()
        var waits = Chain<WaitTable.Entry>()
        var candidacies = Chain<Elections.Candidacy>()

        /// How long it may be silent before it is UNREACHABLE, and before it is DEAD.
        var unreachableAfter: Span { ttl + slack }
        var deadAfter: Span { ttl * 2 + slack }

        var info: AgentInfo {
            AgentInfo(
                id: id, card: card, status: status, registeredAt: registeredAt, lastHeartbeatAt: lastHeartbeatAt)
        }
    }

    private let limits: SharedLimits
    private var entries = Slab<Entry>()
    private var index: [AgentID: AgentSlot] = [:]
    private var search = SearchIndex()
    private var found: [UInt32: AgentSlot] = [:]
    private var dead: Deque<(slot: AgentSlot, since: Instant)> = []
    private(set) var order = CreationOrder<Entry>()
    private(set) var aliveCount = 0
    private(set) var unreachableCount = 0
    private var livingBytes = 0
    private var deadBytes = 0

    init(limits: SharedLimits) {
        self.limits = limits
    }

    var deadCount: Int { dead.count }
    var livingCount: Int { aliveCount + unreachableCount }
    var slots: [AgentSlot] { entries.slots }

    func slots(from start: Int, count: Int) -> [AgentSlot] { entries.slots(from: start, count: count) }

    /// The places of the table, used ones and others.
    var places: Int { entries.places }

    subscript(slot: AgentSlot) -> Entry {
        @inline(__always) _read { yield entries[slot] }
        @inline(__always) _modify { yield &entries[slot] }
    }

    func slot(of id: AgentID) -> AgentSlot? { index[id] }

    /// The agent, if it is not DEAD.
    func living(_ id: AgentID) throws(Refusal) -> AgentSlot {
        guard let slot = index[id] else { throw .unknownAgent(id) }
        guard entries[slot].status != .dead else { throw .deadAgent(id) }
        return slot
    }

    func checkRoom(for card: AgentCard) throws(Refusal) {
        guard livingCount < limits.values.maxAgents else {
            throw .limitReached("there are \(limits.values.maxAgents) living agents, the most there may be")
        }
        guard livingBytes + card.textBytes <= limits.values.maxAgentBytes else {
            throw .limitReached("the agents' cards have \(livingBytes) bytes of at most \(limits.values.maxAgentBytes)")
        }
    }

    mutating func insert(_ agent: Entry) -> AgentSlot {
        precondition(index[agent.id] == nil, "an agent id was not fresh")
        if search.next >= limits.values.maxSearchNumber { renumber() }
        let slot = entries.insert(agent)
        let document = search.insert(agent.card)
        entries[slot].document = document
        found[document] = slot
        index[agent.id] = slot
        order.append(slot, serial: agent.registeredBy.value)
        aliveCount += 1
        livingBytes += agent.card.textBytes
        return slot
    }

    /// Takes in an agent that was kept over a restart, after all that registered before it.
    mutating func restore(_ agent: Entry, status: AgentStatus, diedAt: Instant?) -> AgentSlot {
        guard let diedAt else {
            let slot = insert(agent)
            if status == .unreachable { becomeUnreachable(slot) }
            return slot
        }
        let slot = entries.insert(agent)
        entries[slot].status = .dead
        order.append(slot, serial: agent.registeredBy.value)
        index[agent.id] = slot
        dead.append((slot, diedAt))
        deadBytes += agent.card.textBytes
        return slot
    }

    /// All are there: the dead are forgotten in the order of their deaths.
    mutating func finishRestoring() {
        dead.sort { ($0.since, entries[$0.slot].registeredBy) < ($1.since, entries[$1.slot].registeredBy) }
    }

    /// A new index, in which the living have the lowest numbers, in the same order. At a hundred
    /// registrations a second, day and night, it is due after 16 months.
    private mutating func renumber() {
        search = SearchIndex()
        let living = found.sorted { $0.key < $1.key }
        found.removeAll(keepingCapacity: true)
        for (_, slot) in living {
            let document = search.insert(entries[slot].card)
            entries[slot].document = document
            found[document] = slot
        }
    }

    mutating func becomeUnreachable(_ slot: AgentSlot) {
        precondition(entries[slot].status == .alive)
        entries[slot].status = .unreachable
        aliveCount -= 1
        unreachableCount += 1
    }

    mutating func becomeAlive(_ slot: AgentSlot) {
        precondition(entries[slot].status == .unreachable)
        entries[slot].status = .alive
        unreachableCount -= 1
        aliveCount += 1
    }

    mutating func becomeDead(_ slot: AgentSlot, at now: Instant) {
        switch entries[slot].status {
        case .alive: aliveCount -= 1
        case .unreachable: unreachableCount -= 1
        case .dead: preconditionFailure("an agent died twice")
        }
        entries[slot].status = .dead
        search.remove(entries[slot].document)
        found[entries[slot].document] = nil
        dead.append((slot, now))
        livingBytes -= entries[slot].card.textBytes
        deadBytes += entries[slot].card.textBytes
    }

    /// Says which were forgotten: nearly always none.
    mutating func forget(at now: Instant) -> [AgentID] {
        var forgotten: [AgentID] = []
        while let first = dead.first,
            dead.count > limits.values.maxDeadAgents || deadBytes > limits.values.maxDeadAgentBytes
                || now - first.since >= limits.values.deadAgentRetention
        {
            dead.removeFirst()
            deadBytes -= entries[first.slot].card.textBytes
            index[entries[first.slot].id] = nil
            forgotten.append(entries[first.slot].id)
            order.remove(serial: entries[first.slot].registeredBy.value)
            entries.remove(first.slot)
        }
        return forgotten
    }

    func find(query: String, tools: [String], limit: Int) -> [AgentInfo] {
        let documents = search.rank(query: query, tools: tools, limit: limit) { document in
            guard let slot = found[document] else { return false }
            return entries[slot].status == .alive
        }
        return documents.compactMap { document in found[document].map { entries[$0].info } }
    }

    func checkInvariants() {
        precondition(index.count == entries.count && order.count == entries.count && found.count == livingCount)
        precondition(livingCount <= limits.values.maxAgents)
        var counts = (alive: 0, unreachable: 0, dead: 0)
        var bytes = (living: 0, dead: 0)
        for slot in entries.slots {
            let agent = entries[slot]
            precondition(index[agent.id] == slot)
            switch agent.status {
            case .alive: counts.alive += 1
            case .unreachable: counts.unreachable += 1
            case .dead:
                counts.dead += 1
                precondition(agent.leases.isEmpty && agent.waits.isEmpty && agent.candidacies.isEmpty)
            }
            if agent.status == .dead {
                bytes.dead += agent.card.textBytes
            } else {
                bytes.living += agent.card.textBytes
            }
            precondition((agent.status == .dead) == (agent.deadline == nil))
            precondition(agent.status == .dead || found[agent.document] == slot)
        }
        precondition(counts == (aliveCount, unreachableCount, deadCount) && bytes == (livingBytes, deadBytes))
    }
}
