// The tasks: every one from its creation until a day or so after it was finished.
//
// PENDING and CLAIMED in turn, then COMPLETED or DEAD for good. The queue knows what a task is; who
// holds it is a lease in the lease table, and who could do it the matchmaker's matter. The choreography
// of the three is in Machine+Tasks.swift.

import DequeModule

typealias TaskSlot = Slot<TaskQueue.Entry>

struct TaskQueue: ~Copyable, Sendable {
    struct Entry: Sendable {
        fileprivate(set) var task: QueuedTask
        /// Counts the tasks that were ever created, from 1: the order of age.
        let serial: UInt64
        /// Valid until it is finished.
        fileprivate(set) var tools: ToolSetSlot
        /// The token of the last claim.
        fileprivate(set) var token: FencingToken?
        /// Who failed it last, until it is claimed again: that agent's next FailTask is a repeat.
        fileprivate(set) var failedBy: AgentID?
    }

    private let limits: SharedLimits
    private var entries = Slab<Entry>()
    private var index: [TaskID: TaskSlot] = [:]
    private(set) var order = CreationOrder<Entry>()
    /// In the order in which they were finished. Each is numbered by its moment, or by one more than the one before, so
    /// that the numbers only grow, and are the same after a restart but where several share a moment.
    private var finished: Deque<(slot: TaskSlot, since: Instant, number: UInt64)> = []
    private var lastFinished: UInt64 = 0
    private var counts = [Int](repeating: 0, count: 4)
    private(set) var openBytes = 0
    private(set) var finishedBytes = 0
    private(set) var lastSerial: UInt64 = 0
    private var lastRestored: UInt64 = 0

    init(limits: SharedLimits) {
        self.limits = limits
    }

    var openCount: Int { count(.pending) + count(.claimed) }
    var slots: [TaskSlot] { entries.slots }

    func count(_ status: QueuedTask.Status) -> Int { counts[Int(status.rawValue)] }

    subscript(slot: TaskSlot) -> Entry {
        @inline(__always) _read { yield entries[slot] }
    }

    func slot(of id: TaskID) -> TaskSlot? { index[id] }

    /// The status of a task that is not finished. A finished task's id is free text again.
    func openStatus(of id: TaskID) -> QueuedTask.Status? {
        guard let slot = index[id] else { return nil }
        let status = entries[slot].task.status
        return status == .pending || status == .claimed ? status : nil
    }

    func stored(_ slot: TaskSlot) -> StoredTask {
        let entry = entries[slot]
        return StoredTask(
            task: entry.task, serial: entry.serial, token: entry.token, failedBy: entry.failedBy, finishedAt: nil)
    }

    // MARK: Refusals

    func checkRoom(for specification: QueuedTask.Specification) throws(Refusal) {
        try checkRoom(forBytes: specification.bytes)
    }

    /// For one more unfinished task.
    func checkRoom(forBytes bytes: Int) throws(Refusal) {
        let (maxTasks, maxBytes) = (limits.values.maxOpenTasks, limits.values.maxTaskBytes)
        guard openCount < maxTasks else {
            throw .limitReached("there are \(maxTasks) unfinished tasks, the most there may be")
        }
        guard openBytes + bytes <= maxBytes else {
            throw .limitReached("the unfinished tasks have \(openBytes) bytes of at most \(maxBytes)")
        }
    }

    func checkMayFinish(_ finish: Command.FinishTask, _ slot: TaskSlot, isRepeat: Bool) throws(Refusal) {
        let found = entries[slot].task
        if !isRepeat {
            guard found.status == .claimed, let claimer = found.claimer else {
                throw .notClaimed(finish.task, found.status)
            }
            guard claimer == finish.agent else {
                throw .notClaimer(finish.task, claimer: claimer, caller: finish.agent)
            }
        }
        // Of a finished task the token of the claim that finished it.
        if let given = finish.token, let current = entries[slot].token, given != current {
            throw .staleToken(finish.task, given: given, current: current)
        }
    }

    // MARK: A task's life

    mutating func create(_ specification: QueuedTask.Specification, tools: ToolSetSlot) -> TaskSlot {
        lastSerial += 1
        let task = QueuedTask(specification: specification)
        let slot = entries.insert(Entry(task: task, serial: lastSerial, tools: tools))
        let before = index.updateValue(slot, forKey: specification.id)
        precondition(before == nil, "a task id was not fresh")
        order.append(slot, serial: lastSerial)
        counts[Int(QueuedTask.Status.pending.rawValue)] += 1
        openBytes += specification.bytes
        return slot
    }

    /// Takes in a task that was kept over a restart; nil when an older one should have come before it.
    mutating func restore(_ stored: StoredTask, tools: ToolSetSlot) -> TaskSlot? {
        guard stored.serial > lastRestored else { return nil }
        lastRestored = stored.serial
        let (task, status) = (stored.task, stored.task.status)
        let slot = entries.insert(
            Entry(
                task: task, serial: stored.serial, tools: tools, token: stored.token, failedBy: stored.failedBy))
        index[task.id] = slot
        order.append(slot, serial: stored.serial)
        counts[Int(status.rawValue)] += 1
        if let finishedAt = stored.finishedAt {
            finished.append((slot, finishedAt, 0))
            finishedBytes += task.bytes
        } else {
            openBytes += task.bytes
        }
        return slot
    }

    mutating func resume(after serial: UInt64) { lastSerial = serial }

    /// All are there: the finished ones are forgotten in the order in which they were finished.
    mutating func finishRestoring() {
        finished.sort { ($0.since, entries[$0.slot].serial) < ($1.since, entries[$1.slot].serial) }
        for index in finished.indices { finished[index].number = finishNumber(at: finished[index].since) }
    }

    mutating func claim(_ slot: TaskSlot, by agent: AgentID, token: FencingToken, at now: WallTime) {
        move(slot, from: .pending, to: .claimed)
        entries[slot].task.claimer = agent
        entries[slot].task.claimedAt = now
        entries[slot].token = token
        entries[slot].failedBy = nil
    }

    /// Its claim ended without a word: nobody's fault, no retry is spent.
    mutating func requeue(_ slot: TaskSlot) {
        move(slot, from: .claimed, to: .pending)
        entries[slot].task.claimer = nil
        entries[slot].task.claimedAt = nil
    }

    /// Back from the dead, as if it had never failed; what it failed of last is kept.
    mutating func revive(_ slot: TaskSlot, tools: ToolSetSlot) {
        let bytes = entries[slot].task.bytes
        move(slot, from: .dead, to: .pending)
        finished.removeAll { $0.slot == slot }
        finishedBytes -= bytes
        openBytes += bytes
        entries[slot].tools = tools
        entries[slot].task.retryCount = 0
        entries[slot].task.claimer = nil
        entries[slot].task.claimedAt = nil
        entries[slot].task.finishedAt = nil
    }

    mutating func retry(_ slot: TaskSlot, reason: String) {
        entries[slot].failedBy = entries[slot].task.claimer
        setReason(slot, reason)
        entries[slot].task.retryCount += 1
        requeue(slot)
    }

    mutating func complete(_ slot: TaskSlot, output: [UInt8], at now: Moment) {
        entries[slot].task.output = output
        openBytes += output.count
        finish(slot, as: .completed, at: now)
    }

    mutating func bury(_ slot: TaskSlot, reason: String, at now: Moment) {
        entries[slot].failedBy = entries[slot].task.claimer
        setReason(slot, reason)
        finish(slot, as: .dead, at: now)
    }

    private mutating func setReason(_ slot: TaskSlot, _ reason: String) {
        openBytes += reason.utf8.count - entries[slot].task.failureReason.utf8.count
        entries[slot].task.failureReason = reason
    }

    private mutating func finish(_ slot: TaskSlot, as status: QueuedTask.Status, at now: Moment) {
        move(slot, from: .claimed, to: status)
        entries[slot].task.finishedAt = now.wall
        finished.append((slot, now.instant, finishNumber(at: now.instant)))
        openBytes -= entries[slot].task.bytes
        finishedBytes += entries[slot].task.bytes
    }

    private mutating func finishNumber(at now: Instant) -> UInt64 {
        lastFinished = max(lastFinished + 1, UInt64(max(0, now.nanoseconds)))
        return lastFinished
    }

    private mutating func move(_ slot: TaskSlot, from: QueuedTask.Status, to: QueuedTask.Status) {
        precondition(entries[slot].task.status == from)
        counts[Int(from.rawValue)] -= 1
        counts[Int(to.rawValue)] += 1
        entries[slot].task.status = to
    }

    /// Says which were forgotten: nearly always none.
    mutating func forget(at now: Instant) -> [TaskID] {
        var forgotten: [TaskID] = []
        while let first = finished.first,
            finished.count > limits.values.maxFinishedTasks || finishedBytes > limits.values.maxFinishedTaskBytes
                || now - first.since >= limits.values.finishedTaskRetention
        {
            finished.removeFirst()
            let entry = entries[first.slot]
            counts[Int(entry.task.status.rawValue)] -= 1
            finishedBytes -= entry.task.bytes
            index[entry.task.id] = nil
            order.remove(serial: entry.serial)
            forgotten.append(entry.task.id)
            entries.remove(first.slot)
        }
        return forgotten
    }

    // MARK: Reading

    /// Those created after the one with this serial number, oldest first. A status that few of them have
    /// is searched for among all: a few milliseconds when there are a million.
    func tasks(status: QueuedTask.Status?, after serial: UInt64, limit: Int) -> [(serial: UInt64, task: QueuedTask)] {
        var found: [(serial: UInt64, task: QueuedTask)] = []
        order.forEach(after: serial) { slot in
            guard found.count < limit else { return false }
            if status == nil || entries[slot].task.status == status {
                found.append((entries[slot].serial, entries[slot].task))
            }
            return true
        }
        return found
    }

    /// Those finished before the one with this number, the last first; 0 begins with the last of all.
    func finishedStretch<Value>(
        before number: UInt64, limit: Int, scanning: Int, _ value: (TaskSlot) -> Value?
    ) -> Stretch<Value> {
        var stretch = Stretch<Value>(examined: number)
        var index = number == 0 ? finished.count : finished.partitionPoint { $0.number >= number }
        let end = index - min(scanning, index)
        while index > end && stretch.found.count < limit {
            index -= 1
            let member = finished[index]
            if let value = value(member.slot) { stretch.found.append((member.number, value)) }
            stretch.examined = member.number
        }
        stretch.isLast = index == 0
        return stretch
    }

    func checkInvariants() {
        precondition(zip(finished, finished.dropFirst()).allSatisfy { $0.number < $1.number })
        precondition(index.count == entries.count && order.count == entries.count)
        var found = [Int](repeating: 0, count: 4)
        var (open, done) = (0, 0)
        for slot in entries.slots {
            let task = entries[slot].task
            precondition(index[task.id] == slot)
            precondition(task.status != .claimed || task.claimer != nil && task.claimedAt != nil)
            precondition(task.status != .pending || task.claimer == nil && task.claimedAt == nil)
            found[Int(task.status.rawValue)] += 1
            let isOpen = task.status == .pending || task.status == .claimed
            precondition(isOpen == (task.finishedAt == nil))
            if isOpen { open += task.bytes } else { done += task.bytes }
        }
        precondition(found == counts && open == openBytes && done == finishedBytes)
        precondition(finished.count == count(.completed) + count(.dead))
    }
}
