// Who holds what: every lease that is in force, claims of tasks included, one a task at most.
//
// An entry's life: `insert`, then `hold` by an agent; then `unhold`, and either `hold` by the next that
// waited for it or `remove`. Between `unhold` and what follows nobody holds it; that gap never outlasts
// one command. A holder's leases are chained in the order of their tokens, because the chain grows at
// the end and each hold takes a new token.

typealias LeaseSlot = Slot<LeaseTable.Entry>

struct LeaseTable: ~Copyable, Sendable {
    struct Holding: Sendable {
        let agent: AgentSlot
        let agentID: AgentID
        let token: FencingToken
        let acquiredAt: WallTime
        /// Whether its request had an id, so that a retry may ask for it.
        let isRetriable: Bool
        /// The last ttl given.
        var ttlSeconds: UInt32
        var expiresAt: WallTime
        var deadline: DeadlineQueue.Handle?
    }

    struct Entry: Sendable {
        let task: TaskID
        /// Set when the lease is a claim of this task of the queue.
        let claimed: TaskSlot?
        fileprivate(set) var holding: Holding?
        /// The calls that wait for it.
        var line = Chain<WaitTable.Entry>()
    }

    private var entries = Slab<Entry>()
    private var index: [TaskID: LeaseSlot] = [:]
    private var links = Links<Entry>()
    /// By their tokens.
    private(set) var order = CreationOrder<Entry>()
    private(set) var claimCount = 0

    var count: Int { entries.count }
    var plainCount: Int { entries.count - claimCount }
    var slots: [LeaseSlot] { entries.slots }

    subscript(slot: LeaseSlot) -> Entry {
        @inline(__always) _read { yield entries[slot] }
        @inline(__always) _modify { yield &entries[slot] }
    }

    func slot(of task: TaskID) -> LeaseSlot? { index[task] }

    /// The lease as clients see it.
    func lease(_ slot: LeaseSlot) -> Lease {
        guard let holding = entries[slot].holding else { preconditionFailure("nobody holds it") }
        return Lease(
            task: entries[slot].task, holder: holding.agentID, token: holding.token,
            acquiredAt: holding.acquiredAt, expiresAt: holding.expiresAt)
    }

    /// The lease as it is kept.
    func stored(_ slot: LeaseSlot, deadline: Instant) -> StoredLease {
        guard let holding = entries[slot].holding else { preconditionFailure("nobody holds it") }
        return StoredLease(
            lease: lease(slot), ttlSeconds: holding.ttlSeconds, isRetriable: holding.isRetriable,
            isClaim: entries[slot].claimed != nil, deadline: deadline)
    }

    /// The lease, if it is in force under just this token.
    func slot(of task: TaskID, under token: FencingToken) -> LeaseSlot? {
        guard let slot = index[task], entries[slot].holding?.token == token else { return nil }
        return slot
    }

    /// The lease, if the caller holds it under the token that it names.
    func slot(of held: Command.HeldLease) throws(Refusal) -> LeaseSlot {
        guard let slot = index[held.task], let holding = entries[slot].holding else { throw .noLease(held.task) }
        guard holding.agentID == held.agent else {
            throw .heldByAnother(held.task, holder: holding.agentID, caller: held.agent)
        }
        guard holding.token == held.token else {
            throw .staleToken(held.task, given: held.token, current: holding.token)
        }
        return slot
    }

    mutating func insert(_ task: TaskID, claimed: TaskSlot?) -> LeaseSlot {
        let slot = entries.insert(Entry(task: task, claimed: claimed))
        let before = index.updateValue(slot, forKey: task)
        precondition(before == nil, "two leases on one task")
        if claimed != nil { claimCount += 1 }
        return slot
    }

    mutating func hold(_ slot: LeaseSlot, _ holding: Holding, in chain: inout Chain<Entry>) {
        precondition(entries[slot].holding == nil, "two holders of one task")
        entries[slot].holding = holding
        links.append(slot, to: &chain)
        order.append(slot, serial: holding.token.value)
    }

    mutating func unhold(_ slot: LeaseSlot, in chain: inout Chain<Entry>) {
        guard let token = entries[slot].holding?.token else { preconditionFailure("nobody holds it") }
        order.remove(serial: token.value)
        entries[slot].holding = nil
        links.remove(slot, from: &chain)
    }

    mutating func remove(_ slot: LeaseSlot) {
        precondition(entries[slot].holding == nil && entries[slot].line.isEmpty)
        index[entries[slot].task] = nil
        if entries[slot].claimed != nil { claimCount -= 1 }
        entries.remove(slot)
    }

    /// Prolongs a lease, or shortens it, and says when it ends now.
    mutating func renew(_ slot: LeaseSlot, ttlSeconds: UInt32, at now: Moment) -> Instant {
        let ttl = Span.seconds(ttlSeconds)
        entries[slot].holding?.ttlSeconds = ttlSeconds
        entries[slot].holding?.expiresAt = now.wall + ttl
        return now.instant + ttl
    }

    mutating func setDeadline(_ slot: LeaseSlot, _ deadline: DeadlineQueue.Handle?) {
        entries[slot].holding?.deadline = deadline
    }

    /// What an agent holds, in the order of the tokens.
    func held(in chain: Chain<Entry>) -> [LeaseSlot] { links.members(of: chain) }

    func checkInvariants() {
        precondition(index.count == entries.count && order.count == entries.count)
        var claims = 0
        for slot in entries.slots {
            precondition(index[entries[slot].task] == slot)
            precondition(entries[slot].holding?.deadline != nil, "a lease without an end")
            if entries[slot].claimed != nil {
                claims += 1
                precondition(entries[slot].line.isEmpty, "nobody can wait for a claim")
            }
        }
        precondition(claims == claimCount)
    }
}
