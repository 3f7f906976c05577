// Brings tasks that nobody works on together with agents that wait for work: the oldest task first, the
// longest-waiting claimer first, and only where the agent has all the tools that the task requires.
//
// Both sides stand in one line for each set of tools, in order of age. A claim compares the heads of the
// lines whose tools the agent has; a task those of the lines whose agents have its tools; neither ever
// looks at the rest of a line. To find the lines, a set of required tools is filed under one of its
// tools, the one with the fewest filed so far, and a set of agents' tools under each of its own.
//
// Between commands no task stands in a line while an ALIVE agent that could take it stands in another;
// so a newcomer on either side takes what it finds and overtakes nobody.

struct Matchmaker: ~Copyable, Sendable {
    typealias Claimers = IndexedHeap<WaitSlot>

    /// A waiting claimer's places: in the line of its tools, and in that of all claimers.
    struct Standing: Sendable {
        fileprivate let own: Claimers.Handle
        fileprivate let common: Claimers.Handle
    }

    /// Of one set of tools.
    fileprivate struct Line: Sendable {
        /// Tasks that require just these, by the order of their creation.
        var tasks = IndexedHeap<TaskSlot>()
        /// Claimers that have just these, by the order of waiting.
        var claimers = Claimers()
        var isWanted = false
        var isOffered = false
    }

    private let limits: SharedLimits
    private(set) var sets = ToolSets()
    private var lines: ContiguousArray<Line> = []
    /// For each tool the sets filed under it: of required tools, and of agents' tools.
    private var wanted: ContiguousArray<[ToolSetSlot]> = []
    private var offered: ContiguousArray<[ToolSetSlot]> = []
    /// All claimers, for the tasks that anybody can do.
    private var everyone = Claimers()

    init(limits: SharedLimits) {
        self.limits = limits
    }

    var setCount: Int { sets.count }

    // MARK: Sets of tools

    func checkRoom() throws(Refusal) {
        guard sets.count < limits.values.maxToolSets else {
            throw .limitReached("there are \(limits.values.maxToolSets) different sets of tools, the most there may be")
        }
    }

    mutating func use(_ tools: [String]) -> ToolSetSlot {
        let set = sets.use(tools)
        while lines.count <= Int(set.index) { lines.append(Line()) }
        for tool in sets[set].tools {
            while wanted.count <= Int(tool.index) {
                wanted.append([])
                offered.append([])
            }
        }
        return set
    }

    mutating func release(_ set: ToolSetSlot) {
        if sets.hasOneUser(set) {
            precondition(lines[set].tasks.isEmpty && lines[set].claimers.isEmpty)
            // A set is filed when it is first needed, and stays so for as long as it lives.
            for tool in sets[set].tools {
                if lines[set].isWanted { wanted[Int(tool.index)].removeAll { $0 == set } }
                if lines[set].isOffered { offered[Int(tool.index)].removeAll { $0 == set } }
            }
            lines[set] = Line()
        }
        sets.release(set)
    }

    // MARK: Tasks

    mutating func add(_ task: TaskSlot, requiring set: ToolSetSlot, serial: UInt64) {
        if !lines[set].isWanted {
            lines[set].isWanted = true
            let rarest = sets[set].tools.min { wanted[Int($0.index)].count < wanted[Int($1.index)].count }
            if let rarest { wanted[Int(rarest.index)].append(set) }
        }
        _ = lines[set].tasks.insert(task, key: Int64(serial))
    }

    /// The task is the oldest that requires these tools: whoever takes one takes the oldest.
    mutating func take(_ task: TaskSlot, requiring set: ToolSetSlot) {
        guard let first = lines[set].tasks.first else { preconditionFailure("a task that stands in no line") }
        precondition(lines[set].tasks[first.handle] == task, "a task was taken out of turn")
        lines[set].tasks.remove(first.handle)
    }

    /// The oldest task that an agent with these tools can do.
    func oldestTask(for tools: ToolSetSlot) -> TaskSlot? {
        var best = lines[sets.empty].tasks.first
        var line = sets.empty
        for tool in sets[tools].tools {
            for set in wanted[Int(tool.index)] {
                guard let first = lines[set].tasks.first, first.key < best?.key ?? .max else { continue }
                guard sets.isSubset(set, of: tools) else { continue }
                (best, line) = (first, set)
            }
        }
        return best.map { lines[line].tasks[$0.handle] }
    }

    /// The oldest task of all, whoever can do it. Looks at the head of every line.
    func oldestTask() -> TaskSlot? {
        var best: (key: Int64, task: TaskSlot)?
        for line in lines {
            guard let first = line.tasks.first, first.key < best?.key ?? .max else { continue }
            best = (first.key, line.tasks[first.handle])
        }
        return best?.task
    }

    // MARK: Claimers

    mutating func add(_ wait: WaitSlot, offering set: ToolSetSlot, id: WaiterID) -> Standing {
        if !lines[set].isOffered {
            lines[set].isOffered = true
            for tool in sets[set].tools { offered[Int(tool.index)].append(set) }
        }
        return Standing(
            own: lines[set].claimers.insert(wait, key: Int64(id.value)),
            common: everyone.insert(wait, key: Int64(id.value)))
    }

    mutating func remove(_ standing: Standing, offering set: ToolSetSlot) {
        lines[set].claimers.remove(standing.own)
        everyone.remove(standing.common)
    }

    /// The claimer that has waited longest of those with all the tools that a task requires.
    func longestWaiting(for required: ToolSetSlot) -> WaitSlot? {
        let needed = sets[required].tools
        let rarest = needed.min { offered[Int($0.index)].count < offered[Int($1.index)].count }
        guard let rarest else { return everyone.firstPayload }
        var best: (key: Int64, wait: WaitSlot)?
        for set in offered[Int(rarest.index)] {
            guard let first = lines[set].claimers.first, first.key < best?.key ?? .max else { continue }
            guard sets.isSubset(required, of: set) else { continue }
            best = (first.key, lines[set].claimers[first.handle])
        }
        return best?.wait
    }

    func checkInvariants(tasks: Int, claimers: Int, users: Int) {
        sets.checkInvariants(users: users)
        everyone.checkInvariants()
        precondition(lines.reduce(0) { $0 + $1.tasks.count } == tasks)
        precondition(everyone.count == claimers && lines.reduce(0) { $0 + $1.claimers.count } == claimers)
        for line in lines {
            line.tasks.checkInvariants()
            line.claimers.checkInvariants()
        }
    }
}

extension ContiguousArray where Element == Matchmaker.Line {
    fileprivate subscript(slot: ToolSetSlot) -> Element {
        @inline(__always) _read { yield self[Int(slot.index)] }
        @inline(__always) _modify { yield &self[Int(slot.index)] }
    }
}
