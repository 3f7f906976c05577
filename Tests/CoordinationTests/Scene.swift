// A machine on a stage: agents with names of one letter, a clock that the test turns, and everything that
// comes out as a line of text, so that a test reads as a table of what was said and what came of it.

import Coordination

final class Scene {
    private var machine: Machine
    private(set) var now = Moment(instant: Instant(nanoseconds: 0), wall: WallTime(nanoseconds: 0))
    private var seen = Sequence.zero
    private var settledBefore: [String] = []
    private var waiters: [WaiterID] = []

    /// Tokens begin with #1, and time with 0.
    init(limits: Limits = Limits()) {
        machine = Machine(limits: limits, tokensStartAbove: FencingToken(0))
    }

    // MARK: Doing

    /// Turns the clock, to seconds since the beginning; nothing is applied yet.
    func turn(to seconds: Double) {
        let nanoseconds = Int64((seconds * 1_000_000_000).rounded())
        now = Moment(instant: Instant(nanoseconds: nanoseconds), wall: WallTime(nanoseconds: nanoseconds))
    }

    /// Turns the clock, and lets happen what is due.
    func wait(until seconds: Double) {
        turn(to: seconds)
        _ = say(.advance)
    }

    /// - Parameter trace: of the call; by its number.
    @discardableResult
    func say(_ command: Command, trace: UInt64? = nil) -> String {
        let trace = trace.flatMap { TraceContext(traceHigh: 0, traceLow: $0, parent: 1, flags: 0) }
        let outcome = machine.apply(command, at: now, from: trace.map { Origin(trace: $0) })
        machine.checkInvariants()
        for (waiter, outcome) in machine.takeSettled() {
            settledBefore.append("\(name(waiter)): \(line(outcome))")
        }
        return line(outcome)
    }

    func register(_ agents: AgentID..., tools: [String] = [], ttl: UInt32 = 30) {
        for agent in agents {
            say(.register(.init(newID: agent, card: card(agent.letter, tools: tools), ttlSeconds: ttl)))
        }
    }

    func read<Result, Failure: Error>(
        _ body: (borrowing Machine) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        _ = machine.apply(.advance, at: now)
        return try body(machine)
    }

    // MARK: Looking

    /// The events since the last look.
    var events: [String] { newEvents?.map(describe) ?? ["the history is gone"] }

    /// The same, each with why it happened, and the number of the trace of the call that it answers.
    var stories: [String] {
        newEvents?.map { event in
            describe(event) + (event.reason == .none ? "" : ": \(event.reason.text)")
                + (event.trace.map { " /\($0.traceLow)" } ?? "")
        } ?? ["the history is gone"]
    }

    private var newEvents: [Event]? {
        guard let (new, _) = try? machine.events(after: seen, matching: EventFilter(), limit: .max, scanning: .max)
        else { return nil }
        seen = machine.lastSequence
        return new
    }

    /// The waits that ended since the last look.
    var settled: [String] {
        defer { settledBefore = [] }
        return settledBefore
    }

    /// The waiting call that was announced as `waiting NUMBER`.
    func waiter(_ number: Int) -> WaiterID { waiters[number - 1] }

    private func name(_ waiter: WaiterID) -> String {
        if let known = waiters.firstIndex(of: waiter) { return "\(known + 1)" }
        waiters.append(waiter)
        return "\(waiters.count)"
    }

    private func line(_ outcome: Outcome) -> String {
        switch outcome {
        case .reply(let reply): describe(reply)
        case .refused(let refusal): describe(refusal)
        case .waiting(let waiter): "waiting \(name(waiter))"
        }
    }
}

// MARK: Words

let (a, b, c, d) = (AgentID(letter: "a"), AgentID(letter: "b"), AgentID(letter: "c"), AgentID(letter: "d"))

extension AgentID {
    init(letter: Character) {
        self.init(high: 0, low: UInt64(letter.asciiValue!))
    }

    var letter: String { String(UnicodeScalar(UInt8(truncatingIfNeeded: low))) }
}

extension TaskID: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) { self.init(text) }
}

extension GroupName: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) { self.init(text) }
}

func card(_ name: String, tools: [String] = []) -> AgentCard {
    AgentCard(name: name, description: "an agent", tools: tools)
}

extension Command {
    static func acquire(
        _ task: TaskID, _ agent: AgentID, ttl: UInt32 = 60, waitMilliseconds: UInt32 = 0, id: String? = nil
    ) -> Command {
        .acquireLease(
            .init(
                task: task, agent: agent, ttlSeconds: ttl, waitMilliseconds: waitMilliseconds,
                requestID: id.map { RequestID($0) }))
    }

    static func renew(_ task: TaskID, _ agent: AgentID, _ token: UInt64, ttl: UInt32 = 0) -> Command {
        .renewLease(.init(task: task, agent: agent, token: FencingToken(token)), ttlSeconds: ttl)
    }

    static func release(_ task: TaskID, _ agent: AgentID, _ token: UInt64) -> Command {
        .releaseLease(.init(task: task, agent: agent, token: FencingToken(token)))
    }

    static func create(
        _ task: TaskID, tools: [String] = [], retries: UInt32 = 0, ttl: UInt32 = 60, input: String = "",
        id: String? = nil
    ) -> Command {
        .createTask(
            .init(
                newID: task, type: "work", input: Array(input.utf8), requiredTools: tools, maxRetries: retries,
                ttlSeconds: ttl, requestID: id.map { RequestID($0) }))
    }

    static func complete(_ task: TaskID, _ agent: AgentID, token: UInt64? = nil, output: String = "") -> Command {
        .completeTask(
            .init(task: task, agent: agent, token: token.map { FencingToken($0) }), output: Array(output.utf8))
    }

    static func fail(_ task: TaskID, _ agent: AgentID, token: UInt64? = nil, reason: String = "broken") -> Command {
        .failTask(.init(task: task, agent: agent, token: token.map { FencingToken($0) }), reason: reason)
    }

    static func policy(
        _ id: String, _ subject: String, _ action: String, _ resource: String, _ effect: Policy.Effect
    ) -> Command {
        .setPolicy(
            Policy(id: PolicyID(id), subject: subject, action: action, resource: resource, effect: effect))
    }
}

func seconds(_ time: WallTime) -> String {
    let (whole, rest) = time.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return rest == 0 ? "\(whole)s" : "\(Double(time.nanoseconds) / 1e9)s"
}

func describe(_ lease: Lease) -> String {
    "\(lease.task) \(lease.holder.letter) #\(lease.token.value) until \(seconds(lease.expiresAt))"
}

func describe(_ state: ElectionState) -> String {
    "\(state.group) \(state.leader?.letter ?? "nobody") term \(state.term.value)"
}

func describe(_ task: QueuedTask) -> String {
    var text = "\(task.id) \(task.status)"
    if let claimer = task.claimer { text += " \(claimer.letter)" }
    if task.retryCount > 0 { text += " retry \(task.retryCount)" }
    return text
}

func describe(_ reply: Reply) -> String {
    switch reply {
    case .done: "done"
    case .registered(let agent): "registered \(agent.letter)"
    case .lease(let lease, let acquired): (acquired ? "has " : "held ") + describe(lease)
    case .election(let state): describe(state)
    case .policy(let policy): "policy \(policy.id)"
    case .forced(let sequence): "done by force: event \(sequence.value)"
    case .created(let task): describe(task)
    case .claimed(let task, let lease): "claimed \(task.id) #\(lease.token.value) until \(seconds(lease.expiresAt))"
    }
}

func describe(_ refusal: Refusal) -> String {
    switch refusal {
    case .invalid(let text): "invalid: \(text)"
    case .unknownAgent(let agent): "unknown agent \(agent.letter)"
    case .deadAgent(let agent): "dead agent \(agent.letter)"
    case .noLease(let task): "no lease \(task)"
    case .heldByAnother(let task, let holder, let caller): "\(task) is held by \(holder.letter), not \(caller.letter)"
    case .staleToken(let task, let given, let current): "stale token \(task) #\(given.value), now #\(current.value)"
    case .unknownPolicy(let id): "unknown policy \(id)"
    case .unknownTask(let task): "unknown task \(task)"
    case .notClaimer(let task, let claimer, let caller): "\(task) is with \(claimer.letter), not \(caller.letter)"
    case .notClaimed(let task, let status): "\(task) is \(status)"
    case .notRequeuable(let task, let status): "\(task) is \(status), not to be put back"
    case .leaseOnFinishedTask(let task, let holder): "\(task) is the name of a lease of \(holder.letter)"
    case .leaseOnQueuedTask(let task, let status): "\(task) is queued, \(status)"
    case .releaseOfClaim(let task): "\(task) is a claim"
    case .requestIDReused(let id): "reused \(id)"
    case .limitReached(let text): "limit: \(text)"
    case .historyGone(let after, let oldest): "gone after \(after.value), oldest \(oldest.value)"
    case .futureSequence(let given, let last): "future \(given.value), last \(last.value)"
    }
}

func describe(_ event: Event) -> String {
    let subject =
        switch event.payload {
        case .agent(let agent): "\(agent.id.letter) \(agent.status)"
        case .lease(let lease): describe(lease)
        case .election(let state): describe(state)
        case .policy(let policy): "\(policy.id)"
        case .task(let task): describe(task)
        }
    let isNamed = subject.split(separator: " ").contains { $0 == event.agent?.letter ?? "" }
    return "\(event.topic.rawValue) \(subject)" + (event.agent == nil || isNamed ? "" : " (\(event.agent!.letter))")
}
