// What can be read under `/api/v1/`: the table of its addresses, each with its parameters. The interface itself is
// described in the catalog, Admin.docc/Interface.md.

import Coordination

enum Resource: Equatable, Sendable {
    case index
    case status
    case overview
    case agents(AgentFilter, Page)
    /// Ranked, as Find does it; all on one page.
    case search(query: String, tools: [String], limit: UInt32)
    case agent(AgentID)
    case leases(LeaseFilter, Page)
    case lease(TaskID)
    case elections(prefix: String, candidate: AgentID?, Page)
    case election(GroupName)
    case tasks(TaskFilter, TaskOrder, Page)
    case task(TaskID)
    case policies(subjectPrefix: String, after: PolicyID?, limit: Int)
    case policy(PolicyID)
    case check(subject: String, action: String, resource: String)
    case watchers([WatcherStanding.State], Page)
    case events(EventFilter, EventPage)

    /// A part of a list.
    struct Page: Equatable, Sendable {
        static let limits: ClosedRange<UInt64> = 1...1_000
        static let defaultLimit = 100

        var after: UInt64
        var limit: Int
    }

    struct EventPage: Equatable, Sendable {
        enum Direction: Equatable, Sendable {
            case after(Sequence)
            case before(Sequence)
            case latest
        }

        var direction: Direction
        var limit: Int
    }

    /// Whether there may be megabytes of it.
    var isList: Bool {
        switch self {
        case .agents, .search, .leases, .elections, .tasks, .policies, .events: true
        case .index, .status, .overview, .watchers, .agent, .lease, .election, .task, .policy, .check: false
        }
    }

    /// What `index` says: each address, what it is, its parameters.
    static let addresses: [(address: String, about: String, parameters: [String])] = [
        ("status", "the daemon", []),
        ("overview", "counts, the last five minutes, what needs attention", []),
        ("agents", "agents, the oldest first", ["status", "tool", "name_prefix", "query", "limit", "page"]),
        ("agents/ID", "an agent, and what it holds", []),
        ("leases", "leases, the oldest first", ["holder", "task_prefix", "kind", "limit", "page"]),
        ("leases/TASK", "a lease, and who waits for it", []),
        ("elections", "elections, the oldest first", ["group_prefix", "candidate", "limit", "page"]),
        ("elections/GROUP", "an election, and its candidates", []),
        (
            "tasks", "tasks of the queue, the oldest first, or those last finished first",
            ["status", "type", "order", "limit", "page"]
        ),
        ("tasks/ID", "a task, its claim, and how many agents could do it", []),
        ("policies", "policies by id", ["subject_prefix", "limit", "page"]),
        ("policies/ID", "a policy", []),
        ("watchers", "who watches the events, the oldest first", ["status", "limit", "page"]),
        ("check", "may the subject do the action on the resource?", ["subject", "action", "resource"]),
        (
            "events", "the kept events",
            ["after", "before", "topic", "exclude", "agent", "task", "group", "limit"]
        ),
        ("live", "up to 8 of these, kept up to date as server-sent events", ["q"]),
        ("session", "whether this page may act, and its token", []),
    ]

    /// - Parameter segments: of the path, behind `/api/v1`.
    init(segments: [String], parameters: Parameters) throws(Problem) {
        var parameters = parameters
        let name = segments.count > 1 ? segments[1] : nil
        guard segments.count <= 2, name?.isEmpty != true else { throw .unknownAddress }
        switch (segments.first ?? "", name) {
        case ("", nil): self = .index
        case ("status", nil): self = .status
        case ("overview", nil): self = .overview
        case ("agents", nil): self = try Self.agents(&parameters)
        case ("agents", let id?): self = .agent(try AgentID(parameter: id, "the agent's id"))
        case ("leases", nil):
            let filter = LeaseFilter(
                holder: try parameters.agent("holder"), taskPrefix: try parameters.text("task_prefix") ?? "",
                claims: try parameters.value("kind", [("lease", false), ("claim", true)]))
            self = .leases(filter, try Page(&parameters))
        case ("leases", let task?): self = .lease(TaskID(task))
        case ("elections", nil):
            self = .elections(
                prefix: try parameters.text("group_prefix") ?? "", candidate: try parameters.agent("candidate"),
                try Page(&parameters))
        case ("elections", let group?): self = .election(GroupName(group))
        case ("tasks", nil):
            let statuses = QueuedTask.Status.allCases.map { ($0.name, $0) }
            let filter = TaskFilter(
                statuses: try parameters.values("status", statuses), type: try parameters.text("type"))
            let order = try parameters.value("order", [("created", TaskOrder.created), ("finished", .finished)])
            self = .tasks(filter, order ?? .created, try Page(&parameters))
        case ("tasks", let id?): self = .task(TaskID(id))
        case ("policies", nil):
            self = .policies(
                subjectPrefix: try parameters.text("subject_prefix") ?? "",
                after: try parameters.text("page").map { PolicyID($0) },
                limit: Int(try parameters.number("limit", Page.limits) ?? UInt64(Page.defaultLimit)))
        case ("policies", let id?): self = .policy(PolicyID(id))
        case ("watchers", nil):
            let states = try parameters.values(
                "status", WatcherStanding.State.ofOpen.map { ($0.rawValue, $0) })
            self = .watchers(states, try Page(&parameters))
        case ("check", nil):
            self = .check(
                subject: try parameters.text("subject") ?? "", action: try parameters.text("action") ?? "",
                resource: try parameters.text("resource") ?? "")
        case ("events", nil): self = .events(try EventFilter(&parameters), try EventPage(&parameters))
        default: throw .unknownAddress
        }
        try parameters.end()
    }

    private static func agents(_ parameters: inout Parameters) throws(Problem) -> Resource {
        let tools = try parameters.texts("tool").filter { !$0.isEmpty }
        let query = try parameters.text("query")
        let filter = AgentFilter(
            statuses: try parameters.values("status", AgentStatus.allCases.map { ($0.name, $0) }), tools: tools,
            namePrefix: try parameters.text("name_prefix") ?? "")
        let page = try Page(&parameters)
        guard let query else { return .agents(filter, page) }
        guard filter.statuses.isEmpty, filter.namePrefix.isEmpty, page.after == 0 else {
            throw .invalid("query ranks the ALIVE agents on one page: not with status, name_prefix or page")
        }
        return .search(query: query, tools: tools, limit: UInt32(page.limit))
    }
}

extension AgentID {
    init(parameter text: String, _ name: String) throws(Problem) {
        guard let id = AgentID(text) else {
            throw .invalid("\(name) must be 32 lowercase hex digits, found \(quoted(text))")
        }
        self = id
    }
}

extension Resource.Page {
    fileprivate init(_ parameters: inout Parameters) throws(Problem) {
        limit = Int(try parameters.number("limit", Self.limits) ?? UInt64(Self.defaultLimit))
        after = try parameters.number("page", 0...UInt64.max) ?? 0
    }
}

extension Resource.EventPage {
    fileprivate init(_ parameters: inout Parameters) throws(Problem) {
        limit = Int(
            try parameters.number("limit", Resource.Page.limits) ?? UInt64(Resource.Page.defaultLimit))
        let after = try parameters.number("after", 0...UInt64.max)
        let before = try parameters.number("before", 0...UInt64.max)
        switch (after, before) {
        case (let after?, nil): direction = .after(Sequence(after))
        case (nil, let before?): direction = .before(Sequence(before))
        case (nil, nil): direction = .latest
        case (_?, _?): throw .invalid("after and before exclude each other")
        }
    }
}

extension Parameters {
    fileprivate mutating func agent(_ name: String) throws(Problem) -> AgentID? {
        guard let text = try text(name) else { return nil }
        return try AgentID(parameter: text, name)
    }
}

extension EventFilter {
    init(_ parameters: inout Parameters) throws(Problem) {
        self.init(
            topics: try parameters.texts("topic").filter { !$0.isEmpty },
            excludedTopics: try parameters.texts("exclude").filter { !$0.isEmpty },
            agent: try parameters.agent("agent"), task: try parameters.text("task").map { TaskID($0) },
            group: try parameters.text("group").map { GroupName($0) })
    }
}
