// Sets of tools by number. What a task requires and what an agent has are kept once each, however many
// tasks and agents share them, so that "has all of" compares small numbers.
//
// A set counts its users and goes with the last; a tool counts the sets it is in. The empty set is
// always there, for all the tasks that require nothing.

typealias ToolSetSlot = Slot<ToolSets.Entry>

struct ToolSets: ~Copyable, Sendable {
    struct Tool: Name {
        let text: String
        init(_ text: String) { self.text = text }
    }

    struct ToolEntry: Sendable {
        let tool: Tool
        var sets: Int
    }

    struct Entry: Sendable {
        /// By number, each once.
        let tools: [Slot<ToolEntry>]
        fileprivate(set) var users: Int
    }

    private var tools = Slab<ToolEntry>()
    private var toolIndex: [Tool: Slot<ToolEntry>] = [:]
    private var entries = Slab<Entry>()
    private var index: [[Slot<ToolEntry>]: ToolSetSlot] = [:]
    let empty: ToolSetSlot

    init() {
        empty = entries.insert(Entry(tools: [], users: 1))
        index[[]] = empty
    }

    var count: Int { entries.count }

    subscript(slot: ToolSetSlot) -> Entry {
        @inline(__always) _read { yield entries[slot] }
    }

    /// The set of these names, which now has one user more.
    mutating func use(_ names: [String]) -> ToolSetSlot {
        guard !names.isEmpty else {
            entries[empty].users += 1
            return empty
        }
        var isNew = false
        var numbers: [Slot<ToolEntry>] = []
        for name in names {
            if let slot = toolIndex[Tool(name)] {
                numbers.append(slot)
            } else {
                isNew = true
                let slot = tools.insert(ToolEntry(tool: Tool(name), sets: 0))
                toolIndex[Tool(name)] = slot
                numbers.append(slot)
            }
        }
        numbers.sort { $0.index < $1.index }
        let key = ToolSets.unique(numbers)
        if let slot = index[key] {
            assert(!isNew)
            entries[slot].users += 1
            return slot
        }
        for tool in key { tools[tool].sets += 1 }
        let slot = entries.insert(Entry(tools: key, users: 1))
        index[key] = slot
        return slot
    }

    private static func unique(_ sorted: [Slot<ToolEntry>]) -> [Slot<ToolEntry>] {
        var result: [Slot<ToolEntry>] = []
        for slot in sorted where result.last != slot { result.append(slot) }
        return result
    }

    /// Whether only one is left who uses it.
    func hasOneUser(_ slot: ToolSetSlot) -> Bool { entries[slot].users == 1 }

    /// One user less; the set is gone when it was the last.
    mutating func release(_ slot: ToolSetSlot) {
        entries[slot].users -= 1
        guard entries[slot].users == 0 else { return }
        precondition(slot != empty)
        let key = entries[slot].tools
        entries.remove(slot)
        index[key] = nil
        for tool in key {
            tools[tool].sets -= 1
            if tools[tool].sets == 0 {
                toolIndex[tools[tool].tool] = nil
                tools.remove(tool)
            }
        }
    }

    /// Whether `other` has all of the tools of `set`.
    func isSubset(_ set: ToolSetSlot, of other: ToolSetSlot) -> Bool {
        if set == other || set == empty { return true }
        let needed = entries[set].tools
        var index = 0
        for tool in entries[other].tools where tool == needed[index] {
            index += 1
            if index == needed.count { return true }
        }
        return false
    }

    func checkInvariants(users: Int) {
        precondition(index.count == entries.count && toolIndex.count == tools.count)
        var found = 0
        for slot in entries.slots {
            precondition(entries[slot].users > 0 && index[entries[slot].tools] == slot)
            found += entries[slot].users
        }
        // The empty set's one more is the table's own.
        precondition(found == users + 1, "a tool set is used by nobody, or freed too early")
    }
}
