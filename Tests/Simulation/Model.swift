// What an observer makes of everything that was asked and everything that happened: who lives, holds, leads and works,
// by rules of its own that are much simpler than the core's. An event that these rules don't allow is a violation.
//
// It is a value: one is kept for each revision that may be what a crash leaves, to go on from.

import Coordination

/// Two readings of how long the daemon has run. A restart may forget how late it was, so what counts towards "not too
/// early" goes on through it, and what counts towards "not too late" goes back to the last change that is on disk.
struct Uptime {
    var whole: Int64 = 0
    var durable: Int64 = 0

    /// Whether a span has passed since, beyond doubt and at all events.
    func hasPassed(_ span: Int64, since start: Uptime) -> Bool { whole - start.whole >= span }
    func mustHavePassed(_ span: Int64, since start: Uptime) -> Bool { durable - start.durable >= span }
}

struct Model {
    struct Agent {
        var status: AgentStatus
        var ttl: Int64
        var tools: Set<String>
        var heard: Uptime
    }

    struct Holding: Equatable {
        var agent: AgentID
        var token: UInt64?
        var ttl: UInt32
        var since: Uptime
        var isClaim: Bool
        var isRetriable = false

        static func == (left: Holding, right: Holding) -> Bool {
            left.agent == right.agent && left.token == right.token && left.isClaim == right.isClaim
        }
    }

    struct Election {
        var term: UInt64 = 0
        var leader: AgentID?
    }

    struct Work {
        var serial: Int
        var status: QueuedTask.Status
        var claimer: AgentID?
        var token: UInt64?
        var tools: Set<String>
        var retries: UInt32
        var maxRetries: UInt32
        var ttl: UInt32
        var failedBy: AgentID?
    }

    struct Request: Equatable {
        enum Made: Equatable {
            case agent(AgentID)
            case lease(TaskID, UInt64)
            case task(TaskID)
        }
        var made: Made
        var at: Uptime
        var number: Int

        static func == (left: Request, right: Request) -> Bool { left.made == right.made }
    }

    let limits: Limits
    var agents: [AgentID: Agent] = [:]
    var buried: Set<AgentID> = []
    var leases: [TaskID: Holding] = [:]
    var lastToken: UInt64
    /// Of leases that were released, by token.
    var released: [UInt64: Command.HeldLease] = [:]
    var releases: [(token: UInt64, at: Uptime)] = []
    var elections: [GroupName: Election] = [:]
    var candidates: [GroupName: [AgentID]] = [:]
    var policies: [PolicyID: Policy] = [:]
    var work: [TaskID: Work] = [:]
    var finished: Set<TaskID> = []
    var lastWork = 0
    var requests: [RequestID: Request] = [:]
    var lastRequest = 0
    var lastSequence: UInt64 = 0
    /// Calls that wait, in the order in which they came; a crash ends them all.
    var waiting: [Wait] = []

    struct Wait {
        var call: Int
        var command: Command
        var since: Uptime
    }

    init(limits: Limits, lastToken: UInt64) {
        self.limits = limits
        self.lastToken = lastToken
    }

    /// The trace that a call comes with: most have one.
    static func trace(ofCall call: Int) -> TraceContext? {
        call % 3 == 0 ? nil : TraceContext(traceHigh: 0, traceLow: UInt64(call), parent: 1, flags: UInt8(call % 2))
    }

    /// The daemon was away or stopped: no agent's silence counts, and those who waited are gone if it was away.
    mutating func awaken(at now: Uptime) {
        for id in agents.keys { agents[id]?.heard = now }
    }

    func isAlive(_ agent: AgentID) -> Bool { agents[agent] != nil }

    static let second: Int64 = 1_000_000_000
    /// How late anything may be.
    static let bound: Int64 = 500_000_000

    func unreachableAfter(_ agent: Agent) -> Int64 { agent.ttl + limits.livenessSlack.nanoseconds }
    func deadAfter(_ agent: Agent) -> Int64 { 2 * agent.ttl + limits.livenessSlack.nanoseconds }

    func ttl(_ given: UInt32) -> UInt32 { given == 0 ? limits.defaultLeaseTTLSeconds : given }

    /// Whether a request id is surely still remembered.
    func surelyRemembers(_ request: Request, at now: Uptime) -> Bool {
        !now.hasPassed(limits.retryRetention.nanoseconds, since: request.at)
            && lastRequest - request.number < limits.maxRequestIDs
    }

    func surelyRemembersRelease(of token: UInt64, at now: Uptime) -> Bool {
        guard let place = releases.lastIndex(where: { $0.token == token }) else { return false }
        return releases.count - place <= limits.maxReleasedLeases
            && !now.hasPassed(limits.retryRetention.nanoseconds, since: releases[place].at)
    }

    mutating func remember(_ id: RequestID?, _ made: Request.Made, at now: Uptime) {
        guard let id else { return }
        lastRequest += 1
        requests[id] = Request(made: made, at: now, number: lastRequest)
    }

    func verdict(subject: String, action: String, resource: String) -> Verdict {
        let matching = policies.values.filter {
            matches($0.subject, subject) && matches($0.action, action) && matches($0.resource, resource)
        }
        func first(_ effect: Policy.Effect) -> PolicyID? { matching.filter { $0.effect == effect }.map(\.id).min() }
        if let id = first(.deny) { return .denied(by: id) }
        if let id = first(.allow) { return .allowed(by: id) }
        return .noMatch
    }
}

/// The simplest way to match `*`: every split is tried.
func matches(_ pattern: String, _ text: String) -> Bool {
    func match(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        if first == UInt8(ascii: "*") {
            return (text.startIndex...text.endIndex).contains { match(pattern.dropFirst(), text[$0...]) }
        }
        return text.first == first && match(pattern.dropFirst(), text.dropFirst())
    }
    return match(Array(pattern.utf8)[...], Array(text.utf8)[...])
}
