// The clients: what they ask, drawn so that they meet, and what they believe, from what they were told alone.

import Coordination

/// Draws commands that are likely to meet: few names, and agents, leases and calls that were told of lately.
struct Clients {
    /// A lease that somebody was told he holds, and may act on until then.
    struct Belief {
        let agent: AgentID
        let token: UInt64
        var until: Int64
    }

    private var serial: UInt64 = 0
    private(set) var agents: [AgentID] = []
    private var tasks: [TaskID] = [TaskID("t")]
    private var leases: [Command.HeldLease] = []
    /// Requests whose replies were lost.
    private var retries: [Command] = []
    private var beliefs: [TaskID: Belief] = [:]
    /// The highest token that was shown to what each task protects.
    private var shown: [TaskID: UInt64] = [:]
    /// When an agent was last heard, and how long it may be silent.
    private var lives: [AgentID: (heardAt: Int64, limit: Int64)] = [:]
    /// When a lease was last renewed for a time that was named, whether or not anybody was told.
    private var renewed: [UInt64: Int64] = [:]
    /// When each token was given.
    private var given: [UInt64: Int64] = [:]
    /// When an agent was last made to give up a task, or everything.
    private var givenUp: [Work: Int64] = [:]

    /// Tasks that somebody failed, which may be DEAD: an operator soon looks after them.
    private var failed: [TaskID] = []
    /// When a task was last taken away by force, from whoever had it.
    private var takenAway: [TaskID: Int64] = [:]

    private struct Work: Hashable {
        let agent: AgentID
        let task: TaskID?
    }

    // MARK: What they believe

    /// The client sends a command that ends what it has, so it doesn't believe in it any more.
    mutating func sent(_ command: Command, at now: Int64) {
        switch command {
        case .releaseLease(let held): giveUp(held.agent, held.task, at: now)
        case .completeTask(let finish, _), .failTask(let finish, _): giveUp(finish.agent, finish.task, at: now)
        case .deregister(let agent), .forceDeregister(let agent): giveUp(agent, nil, at: now)
        // Its holder doesn't know, which is what tokens are for.
        case .forceRelease(let task, _), .forceRequeue(let task):
            takenAway[task] = now
            beliefs[task] = nil
        default: break
        }
    }

    private mutating func giveUp(_ agent: AgentID, _ task: TaskID?, at now: Int64) {
        givenUp[Work(agent: agent, task: task)] = now
        beliefs = beliefs.filter { $0.value.agent != agent || task != nil && $0.key != task }
    }

    mutating func executed(_ events: [Event], at now: Int64) {
        for event in events {
            if event.topic == .leaseAcquired, case .lease(let lease) = event.payload { given[lease.token.value] = now }
        }
    }

    /// A command was executed, which nobody has been told yet.
    mutating func executed(_ command: Command, _ outcome: Outcome, at now: Int64, limits: Limits) {
        switch (command, outcome) {
        case (.register(let request), .reply(.registered(let agent))) where request.newID == agent:
            let ttl = Int64(request.ttlSeconds == 0 ? limits.defaultAgentTTLSeconds : request.ttlSeconds)
            lives[agent] = (now, 2 * ttl * Model.second + limits.livenessSlack.nanoseconds)
        case (.failTask(let finish, _), .reply): failed = (failed + [finish.task]).suffix(3)
        case (_, .reply(.claimed(_, let lease))): given[lease.token.value] = now
        case (.heartbeat(let agent), .reply): lives[agent]?.heardAt = now
        case (.renewLease(let held, let ttl), .reply):
            // A lease may be shortened by that; that it was prolonged counts only when it is told.
            if ttl > 0 { renewed[held.token.value] = now }
            guard ttl > 0, let belief = beliefs[held.task], belief.token == held.token.value else { return }
            beliefs[held.task]?.until = min(belief.until, now + Int64(ttl) * Model.second)
        default: break
        }
    }

    /// A client is told what became of a command that was executed at `moment`.
    mutating func told(
        _ command: Command, _ outcome: Outcome, executedAt moment: Int64, ttl: (UInt32) -> UInt32
    ) throws(Violation) {
        guard case .reply(let reply) = outcome else { return }
        switch (command, reply) {
        case (_, .registered(let agent)): agents = (agents.filter { $0 != agent } + [agent]).suffix(8)
        case (_, .created(let task)): tasks = (tasks + [task.id]).suffix(8)
        case (.deregister(let agent), .done): if agents.count > 3 { agents.removeAll { $0 == agent } }
        case (.acquireLease(let request), .lease(let lease, acquired: true)):
            try won(lease, for: ttl(request.ttlSeconds), at: moment)
        case (_, .claimed(let task, let lease)): try won(lease, for: task.specification.ttlSeconds, at: moment)
        case (.renewLease(let held, let ttl), .lease):
            // A later one may have shortened it, even if its reply was lost.
            guard ttl > 0, beliefs[held.task]?.token == held.token.value, renewed[held.token.value] == moment
            else { return }
            beliefs[held.task]?.until = moment + Int64(ttl) * Model.second
        default: break
        }
    }

    private mutating func won(_ lease: Lease, for ttl: UInt32, at moment: Int64) throws(Violation) {
        let token = lease.token.value
        // A retry is told of it again, which prolongs nothing.
        let until = (given[token] ?? moment) + Int64(ttl) * Model.second
        if let other = beliefs[lease.task], other.token != token {
            let life = lives[other.agent] ?? (0, 0)
            try require(
                other.until <= moment || life.heardAt + life.limit <= moment, .oneHolderATask,
                "\(lease.holder) has \(lease.task) under \(token), and so has \(other.agent) under \(other.token) "
                    + "for \(other.until - moment) ns more.")
        }
        // What the task protects turns away whoever comes with a lower token than it has seen.
        try require(
            token >= shown[lease.task, default: 0], .tokensIncrease,
            "\(lease.holder) has \(lease.task) under \(token), after \(shown[lease.task, default: 0]).")
        if token == shown[lease.task] {
            try require(
                beliefs[lease.task].map { $0.agent == lease.holder } ?? true, .oneHolderATask,
                "Token \(token) of \(lease.task) was told to two agents.")
        }
        shown[lease.task] = token
        leases = (leases + [.init(task: lease.task, agent: lease.holder, token: lease.token)]).suffix(12)
        // It may have been given up before anybody was told of it.
        let ends = [
            givenUp[Work(agent: lease.holder, task: lease.task)], givenUp[Work(agent: lease.holder, task: nil)],
            takenAway[lease.task],
        ]
        guard ends.allSatisfy({ $0 ?? .min < moment }) else { return }
        beliefs[lease.task] = Belief(agent: lease.holder, token: token, until: until)
    }

    /// Its reply was lost, and it will ask again.
    mutating func lost(_ command: Command) { retries = (retries + [command]).suffix(6) }

    // MARK: What they ask

    mutating func command(_ random: inout SeededRandom) -> Command {
        serial += 1
        if !retries.isEmpty, random.chance(40) { return retry(retries.removeFirst()) }
        if !failed.isEmpty, random.chance(25) { return .forceRequeue(failed.removeFirst()) }
        // Few, and always some.
        guard agents.count > 1 || random.chance(30), let agent = agents.randomElement(using: &random) else {
            return register(&random)
        }
        let ttl = UInt32(random.number(0...8))
        let held = leases.isEmpty ? nil : random.pick(leases)
        switch random.number(0...99) {
        case 0..<7: return register(&random)
        case 7..<16: return .heartbeat(agent)
        case 16..<18: return .deregister(agent)
        case 18..<40:
            let wait: UInt32 = random.chance(50) ? UInt32(random.number(1...5_000)) : 0
            let task = random.chance(15) ? random.pick(tasks) : TaskID(random.pick(["t", "u", "v"]))
            return .acquireLease(
                .init(
                    task: task, agent: agent, ttlSeconds: ttl, waitMilliseconds: wait, requestID: requestID(&random)))
        case 40..<49: return held.map { .renewLease($0, ttlSeconds: ttl) } ?? .heartbeat(agent)
        case 49..<57: return held.map { .releaseLease($0) } ?? .heartbeat(agent)
        case 57..<63: return .campaign(GroupName(random.pick(["g", "h", "i", "j"])), agent)
        case 63..<66: return .resign(GroupName(random.pick(["g", "h", "i", "j"])), agent)
        case 66..<69:
            return .setPolicy(
                Policy(
                    id: PolicyID(random.pick(["p", "q", "r", "s"])), subject: random.pick(["a*", "ab", "*b"]),
                    action: random.pick(["*", "read"]), resource: "*", effect: random.chance(50) ? .allow : .deny))
        case 69: return .deletePolicy(PolicyID(random.pick(["p", "q", "r", "s"])))
        case 70..<79:
            return .createTask(
                .init(
                    newID: newTask, type: "w", input: [UInt8](repeating: 0, count: Int(ttl)),
                    requiredTools: tools(&random), maxRetries: ttl % 3, ttlSeconds: ttl, requestID: requestID(&random)))
        case 79..<88: return .claimTask(agent)
        case 88..<92: return held.map { .completeTask(finish($0, &random), output: [1]) } ?? .claimTask(agent)
        case 92..<96: return held.map { .failTask(finish($0, &random), reason: "r") } ?? .claimTask(agent)
        case 96: return held.map { .forceRelease($0.task, $0.token) } ?? .advance
        case 97: return .forceRequeue(random.pick(tasks))
        case 98:
            return random.chance(60)
                ? .forceDeregister(agent) : .forceDeletePolicy(PolicyID(random.pick(["p", "q", "r", "s"])))
        default: return .advance
        }
    }

    private func register(_ random: inout SeededRandom) -> Command {
        let card = AgentCard(name: "agent\(serial)", tools: tools(&random))
        return .register(
            .init(
                newID: newAgent, card: card, ttlSeconds: UInt32(random.number(0...8)), requestID: requestID(&random)))
    }

    private var newAgent: AgentID { AgentID(high: 7, low: serial) }
    private var newTask: TaskID { TaskID("task\(serial)") }

    /// The same request, with a fresh id for what it would make.
    private func retry(_ command: Command) -> Command {
        switch command {
        case .register(var request):
            request.newID = newAgent
            return .register(request)
        case .createTask(var request):
            request.newID = newTask
            return .createTask(request)
        default: return command
        }
    }

    private func finish(_ held: Command.HeldLease, _ random: inout SeededRandom) -> Command.FinishTask {
        .init(task: held.task, agent: held.agent, token: random.chance(50) ? held.token : nil)
    }

    private func requestID(_ random: inout SeededRandom) -> RequestID? {
        random.chance(40) ? RequestID(random.chance(50) ? random.pick(["1", "2", "3"]) : "request\(serial)") : nil
    }

    private func tools(_ random: inout SeededRandom) -> [String] {
        ["saw", "axe"].filter { _ in random.chance(30) }
    }
}

extension Command {
    var isAdvance: Bool { if case .advance = self { true } else { false } }

    /// Whether a client can ask again after it lost the reply, and is served once.
    var isRetriable: Bool {
        switch self {
        case .register(let request): request.requestID != nil
        case .createTask(let request): request.requestID != nil
        case .acquireLease(let request): request.requestID != nil
        case .releaseLease: true
        default: false
        }
    }
}

extension Limits {
    /// So tight that every one of them is met.
    static func tiny(_ random: inout SeededRandom) -> Limits {
        var limits = Limits()
        limits.defaultAgentTTLSeconds = 5
        limits.defaultLeaseTTLSeconds = 3
        limits.maxAgents = random.number(4...8)
        limits.maxAgentBytes = random.number(60...400)
        limits.maxSearchNumber = UInt32(random.number(3...20))
        limits.maxDeadAgents = random.number(1...4)
        limits.maxDeadAgentBytes = random.number(20...200)
        limits.deadAgentRetention = .seconds(UInt32(random.number(1...60)))
        limits.maxLeases = random.number(2...8)
        limits.maxElections = random.number(1...3)
        limits.maxCandidates = random.number(3...9)
        limits.maxPolicies = random.number(1...4)
        limits.maxOpenTasks = random.number(3...8)
        limits.maxTaskBytes = random.number(50...200)
        limits.maxToolSets = random.number(5...9)
        limits.maxWaiters = random.number(2...9)
        limits.maxFinishedTasks = random.number(1...5)
        limits.maxFinishedTaskBytes = random.number(30...200)
        limits.finishedTaskRetention = .seconds(UInt32(random.number(1...60)))
        limits.retryRetention = .seconds(UInt32(random.number(1...60)))
        limits.maxReleasedLeases = random.number(1...5)
        limits.maxRequestIDs = random.number(1...8)
        limits.maxEvents = random.number(1...40)
        limits.maxEventBytes = random.number(500...5_000)
        limits.eventRetention = .seconds(UInt32(random.number(1...60)))
        return limits
    }
}
