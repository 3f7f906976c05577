// The calls that wait inside the core: for a lease that another holds, or for a task that isn't there.
//
// A wait ends exactly once: it is granted, runs out, is cancelled, or its agent dies. Each is in its
// agent's chain, so that death finds them all, and in the line of what it waits for: a lease's chain,
// or the matchmaker's heaps, kept by those tables.

typealias WaitSlot = Slot<WaitTable.Entry>

struct WaitTable: ~Copyable, Sendable {
    struct LeaseWish: Sendable {
        let lease: LeaseSlot
        let request: Command.AcquireLease
        let ttlSeconds: UInt32
    }

    enum Wish: Sendable {
        case lease(LeaseWish)
        /// Where it stands in the matchmaker's lines; nil while the agent is UNREACHABLE.
        case task(Matchmaker.Standing?)
    }

    struct Entry: Sendable {
        let id: WaiterID
        let agent: AgentSlot
        /// Of the call that waits.
        let origin: Origin?
        var wish: Wish
        var deadline: DeadlineQueue.Handle?
    }

    private let limits: SharedLimits
    private var entries = Slab<Entry>()
    /// Of the calls of each agent.
    private var calls = Links<Entry>()
    /// Of the calls that wait for each lease.
    private var line = Links<Entry>()
    private var lastSerial: UInt64 = 0
    private(set) var leaseCount = 0
    private(set) var taskCount = 0

    init(limits: SharedLimits) {
        self.limits = limits
    }

    var count: Int { entries.count }

    func checkRoom() throws(Refusal) {
        guard entries.count < limits.values.maxWaiters else {
            throw .limitReached("\(limits.values.maxWaiters) calls wait already, the most that may")
        }
    }

    subscript(slot: WaitSlot) -> Entry {
        @inline(__always) _read { yield entries[slot] }
        @inline(__always) _modify { yield &entries[slot] }
    }

    /// The slot's number is the lower part of the id, so that nothing has to be looked up in a table;
    /// the rest is a serial number, so that the ids grow in the order of waiting.
    private static let slotBits: UInt64 = 24

    mutating func insert(
        _ wish: Wish, agent: AgentSlot, origin: Origin?, calls chain: inout Chain<Entry>
    ) -> WaitSlot {
        lastSerial += 1
        let slot = entries.insert(Entry(id: WaiterID(0), agent: agent, origin: origin, wish: wish))
        precondition(UInt64(slot.index) < 1 << WaitTable.slotBits)
        let id = WaiterID(lastSerial << WaitTable.slotBits | UInt64(slot.index))
        entries[slot] = Entry(id: id, agent: agent, origin: origin, wish: wish)
        calls.append(slot, to: &chain)
        switch wish {
        case .lease: leaseCount += 1
        case .task: taskCount += 1
        }
        return slot
    }

    /// The caller has taken it out of its line and cancelled its deadline.
    mutating func remove(_ slot: WaitSlot, calls chain: inout Chain<Entry>) {
        switch entries[slot].wish {
        case .lease: leaseCount -= 1
        case .task: taskCount -= 1
        }
        calls.remove(slot, from: &chain)
        entries.remove(slot)
    }

    mutating func join(_ slot: WaitSlot, line chain: inout Chain<Entry>) {
        line.append(slot, to: &chain)
    }

    mutating func leave(_ slot: WaitSlot, line chain: inout Chain<Entry>) {
        line.remove(slot, from: &chain)
    }

    /// Nil when the wait has ended.
    func slot(of id: WaiterID) -> WaitSlot? {
        let slot = WaitSlot(index: Int32(id.value & (1 << WaitTable.slotBits - 1)))
        return entries.contains(slot) && entries[slot].id == id ? slot : nil
    }

    func calls(of chain: Chain<Entry>) -> [WaitSlot] { calls.members(of: chain) }
    func line(of chain: Chain<Entry>) -> [WaitSlot] { line.members(of: chain) }
    /// Those who wait in a line, at most so many, the next one first.
    func firstInLine(of chain: Chain<Entry>, limit: Int) -> [WaitSlot] { line.members(of: chain, limit: limit) }
    var slots: [WaitSlot] { entries.slots }
}
