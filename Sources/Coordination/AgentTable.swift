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
        /// How long it may be silent before it is UNREACHABLE, and before it is DEAD.
        let unreachableAfter: Span
        let deadAfter: Span
        let registeredAt: WallTime
        var lastHeartbeatAt: WallTime
        var lastHeard: Instant
        fileprivate(set) var status = AgentStatus.alive
        /// When it falls silent or, UNREACHABLE, when it dies. None once it is DEAD.
        var deadline: DeadlineQueue.Handle?
        /// Its number in the search index; valid until its death, as is the next.
        fileprivate(set) var document: UInt32 = 0
        /// Counts the agents that were ever registered, from 1.
        fileprivate(set) var serial: UInt64 = 0
        let tools: ToolSetSlot
        var leases = Chain<LeaseTable.Entry>()
        var waits = Chain<WaitTable.Entry>()
        var candidacies = Chain<Elections.Candidacy>()

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
    private var lastSerial: UInt64 = 0
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
        lastSerial += 1
        entries[slot].serial = lastSerial
        order.append(slot, serial: lastSerial)
        aliveCount += 1
        livingBytes += agent.card.textBytes
        return slot
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

    mutating func forget(at now: Instant) {
        while let first = dead.first,
            dead.count > limits.values.maxDeadAgents || deadBytes > limits.values.maxDeadAgentBytes
                || now - first.since >= limits.values.deadAgentRetention
        {
            dead.removeFirst()
            deadBytes -= entries[first.slot].card.textBytes
            index[entries[first.slot].id] = nil
            order.remove(serial: entries[first.slot].serial)
            entries.remove(first.slot)
        }
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
