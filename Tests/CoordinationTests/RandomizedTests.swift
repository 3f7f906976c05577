// Thousands of random commands with limits so tight that every one of them is met, all invariants checked
// after each, and a second machine that must say the same byte for byte.

import Coordination
import Testing

@Suite struct RandomizedTests {
    @Test func `Random commands keep every invariant, and the same commands give the same events`() {
        var topics: Set<String> = []
        for run in 0..<8 as Range<UInt64> {
            var random = SeededRandom(seed: testSeed &+ run)
            let limits = tinyLimits(using: &random)
            var deck = CommandDeck(random: random)
            var first = Transcript(limits: limits)
            var commands: [(Command, Moment)] = []
            for step in 0..<1500 {
                let (command, now) = deck.draw()
                commands.append((command, now))
                first.run(command, at: now)
                deck.learn(from: first.lastOutcome, and: first.lastSettled)
                #expect(first.faults == [], "seed \(testSeed), run \(run), step \(step)")
                if !first.faults.isEmpty { return }
            }
            var second = Transcript(limits: limits)
            for (command, now) in commands { second.run(command, at: now) }
            #expect(first.text == second.text, "seed \(testSeed), run \(run)")
            topics.formUnion(first.topics)
        }
        // Otherwise the commands were not random enough to mean anything.
        #expect(topics == Set(Topic.allCases.map(\.rawValue)), "seed \(testSeed)")
    }

    private func tinyLimits(using random: inout SeededRandom) -> Limits {
        var limits = Limits()
        limits.maxAgents = .random(in: 4...8, using: &random)
        limits.maxDeadAgents = .random(in: 1...4, using: &random)
        limits.deadAgentRetention = .seconds(.random(in: 1...60, using: &random))
        limits.maxLeases = .random(in: 2...8, using: &random)
        limits.maxElections = .random(in: 1...3, using: &random)
        limits.maxCandidates = .random(in: 3...9, using: &random)
        limits.maxPolicies = .random(in: 1...3, using: &random)
        limits.maxOpenTasks = .random(in: 3...8, using: &random)
        limits.maxTaskBytes = .random(in: 50...200, using: &random)
        limits.maxToolSets = .random(in: 5...9, using: &random)
        limits.maxWaiters = .random(in: 2...9, using: &random)
        limits.maxFinishedTasks = .random(in: 1...5, using: &random)
        limits.finishedTaskRetention = .seconds(.random(in: 1...60, using: &random))
        limits.retryRetention = .seconds(.random(in: 1...60, using: &random))
        limits.maxReleasedLeases = .random(in: 1...5, using: &random)
        limits.maxRequestIDs = .random(in: 1...5, using: &random)
        limits.maxEvents = .random(in: 1...40, using: &random)
        limits.maxEventBytes = .random(in: 500...5000, using: &random)
        return limits
    }
}

/// Runs commands and writes down all that came out of them.
private struct Transcript: ~Copyable {
    private var machine: Machine
    private var seen = Sequence.zero
    private var lastToken: UInt64 = 0
    private(set) var text: [String] = []
    private(set) var topics: Set<String> = []
    private(set) var faults: [String] = []
    private(set) var lastOutcome = Outcome.reply(.done)
    private(set) var lastSettled: [(waiter: WaiterID, outcome: Outcome)] = []

    init(limits: Limits) {
        machine = Machine(limits: limits, tokensStartAbove: FencingToken(0))
    }

    mutating func run(_ command: Command, at now: Moment) {
        lastOutcome = machine.apply(command, at: now)
        machine.checkInvariants()
        text.append("\(lastOutcome)")
        let hasSettled = machine.hasSettled
        lastSettled = machine.takeSettled()
        if hasSettled == lastSettled.isEmpty { faults.append("hasSettled was wrong") }
        for (waiter, outcome) in lastSettled { text.append("\(waiter): \(outcome)") }
        do throws(Refusal) {
            let (events, _) = try machine.events(after: seen, matching: EventFilter(), limit: .max, scanning: .max)
            check(events)
        } catch {
            faults.append("an event of this command is gone already: \(error)")
        }
        seen = machine.lastSequence
        if let next = machine.nextDeadline, next <= now.instant { faults.append("something due was left undone") }
    }

    /// The rules that can be seen from the events alone.
    private mutating func check(_ events: [Event]) {
        for event in events {
            topics.insert(event.topic.rawValue)
            text.append("\(event)")
            guard event.topic == .leaseAcquired, case .lease(let lease) = event.payload else { continue }
            if lease.token.value <= lastToken { faults.append("token \(lease.token) after \(lastToken)") }
            lastToken = lease.token.value
        }
    }
}

/// Draws commands that are likely to meet: few names, tokens and waiters that were given out lately.
private struct CommandDeck {
    private var random: SeededRandom
    private var now = Moment(instant: Instant(nanoseconds: 0), wall: WallTime(nanoseconds: 0))
    private var serial: UInt64 = 0
    private var agents: [AgentID] = [a]
    private var tasks: [TaskID] = ["t"]
    private var leases: [Command.HeldLease] = []
    private var waiters: [WaiterID] = []

    init(random: SeededRandom) {
        self.random = random
    }

    mutating func learn(from outcome: Outcome, and settled: [(waiter: WaiterID, outcome: Outcome)]) {
        for outcome in [outcome] + settled.map(\.outcome) {
            switch outcome {
            case .reply(.registered(let agent)): agents = (agents + [agent]).suffix(8)
            case .reply(.created(let task)): tasks = (tasks + [task.id]).suffix(8)
            case .reply(.lease(let lease, true)), .reply(.claimed(_, let lease)):
                let held = Command.HeldLease(task: lease.task, agent: lease.holder, token: lease.token)
                leases = (leases + [held]).suffix(12)
            case .waiting(let waiter): waiters = (waiters + [waiter]).suffix(8)
            default: break
            }
        }
    }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &random)]
    }

    private mutating func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &random) < percent
    }

    mutating func draw() -> (Command, Moment) {
        // Mostly small steps, sometimes a leap over many deadlines, now and then a clock that goes back.
        let step: Int64 = chance(1) ? 20_000 : chance(3) ? -500 : Int64.random(in: 0...400, using: &random)
        now.instant.nanoseconds += step * 1_000_000
        now.wall.nanoseconds = now.instant.nanoseconds &* 3
        serial += 1
        let current = Moment(instant: Instant(nanoseconds: max(0, now.instant.nanoseconds)), wall: now.wall)
        return (command(), current)
    }

    private mutating func command() -> Command {
        let agent = pick(agents)
        let ttl = UInt32.random(in: 0...20, using: &random)
        let held = leases.isEmpty ? nil : pick(leases)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<10:
            let id = AgentID(high: 0, low: 97 + serial % 26 + 256 * serial)
            let card = AgentCard(name: "agent", tools: tools())
            return .register(.init(newID: id, card: card, ttlSeconds: ttl + 5, requestID: requestID()))
        case 10..<30: return .heartbeat(agent)
        case 30..<32: return .deregister(agent)
        case 32..<46:
            let wait: UInt32 = chance(50) ? UInt32.random(in: 1...5000, using: &random) : 0
            let task = chance(20) ? pick(tasks) : pick(["t", "u", "v", "w"])
            return .acquireLease(
                .init(task: task, agent: agent, ttlSeconds: ttl, waitMilliseconds: wait, requestID: requestID()))
        case 46..<52: return held.map { .renewLease($0, ttlSeconds: ttl) } ?? .advance
        case 52..<57: return held.map { .releaseLease($0) } ?? .advance
        case 57..<62: return .campaign(pick(["g", "h", "i", "j"]), agent)
        case 62..<65: return .resign(pick(["g", "h", "i", "j"]), agent)
        case 65..<67:
            return .policy(pick(["p", "q", "r", "s"]), pick(["a*", "b"]), "c", "*", chance(50) ? .allow : .deny)
        case 67: return .deletePolicy(PolicyID(pick(["p", "q", "r", "s"])))
        case 68..<77:
            return .createTask(
                .init(
                    newID: TaskID("task\(serial)"), type: "w", input: [UInt8](repeating: 0, count: Int(ttl)),
                    requiredTools: tools(), maxRetries: ttl % 3, ttlSeconds: ttl, requestID: requestID()))
        case 77..<86: return .claimTask(agent)
        case 86..<90: return held.map { .completeTask(finish($0), output: [1]) } ?? .advance
        case 90..<94: return held.map { .failTask(finish($0), reason: "r") } ?? .advance
        case 94..<97: return waiters.isEmpty ? .advance : .cancelWait(pick(waiters))
        case 97..<99: return held.map { .returnGrant($0.task, $0.token) } ?? .advance
        default: return .advance
        }
    }

    private mutating func finish(_ held: Command.HeldLease) -> Command.FinishTask {
        .init(task: held.task, agent: held.agent, token: chance(50) ? held.token : nil)
    }

    private mutating func requestID() -> RequestID? {
        chance(20) ? RequestID(pick(["1", "2", "3", "4", "5"])) : nil
    }

    private mutating func tools() -> [String] {
        ["saw", "axe", "drill"].filter { _ in chance(35) }
    }
}
