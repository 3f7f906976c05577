// Campaigning: a candidacy that outlives connections, and leadership that is known to be over in time.
//
// A leader falls when the daemon takes its agent for dead, resigns it, or forgets it. The first two come as events, and
// the first is also bounded by the local clock, exactly as a lease is: without an acknowledged heartbeat for twice the
// ttl, less a margin, we don't lead any more, whatever the network does. A term that is another than ours means that we
// fell and rose meanwhile: that is another leadership, and the work of the first must end.

import RPC
import Synchronization

/// Being the leader of a group, for one term.
public final class Leadership: Sendable {
    /// Which election.
    public let group: String
    /// The term, which is one higher at every change of leader: a fencing token for what leaders write.
    public let term: UInt64
    /// The agent that leads.
    public let agentID: AgentID

    let lost = Once<LeadershipLoss>()
    fileprivate let holding: LeadershipHolding
    private let life: AgentLife

    init(group: String, term: UInt64, agentID: AgentID, life: AgentLife) throws(AgentKeeperError) {
        self.group = group
        self.term = term
        self.agentID = agentID
        self.life = life
        holding = LeadershipHolding(lost)
        try life.add(holding, of: agentID)
    }

    deinit { life.remove(holding) }

    /// Whether nobody else can lead now, by the local clock and the agent's last acknowledged heartbeat.
    public var isLeading: Bool { remaining > .zero }

    /// For how long at least nobody else can lead, without any further heartbeat; zero when the agent leads no more.
    public var remaining: Duration { lost.value == nil ? max(.zero, life.aliveUntil - .now) : .zero }

    /// Why the agent leads no more; nil while it does.
    public var loss: LeadershipLoss? { lost.value }

    /// Waits for the loss.
    ///
    /// - Returns: the reason, at once when it is lost; nil when the waiting task is cancelled.
    public func waitUntilLost() async -> LeadershipLoss? { await lost.wait() }

    /// Runs `body` in a task that is cancelled as soon as leadership is lost.
    ///
    /// - Throws: ``AgentKeeperError/leadershipLost(_:)`` if it was lost before `body` was over, whatever `body` did;
    ///   else what `body` throws.
    @discardableResult
    public func whileLeading<Success: Sendable>(
        _ body: @escaping @Sendable () async throws -> Success
    ) async throws -> Success {
        let outcome = await guarded(by: lost, body)
        if let loss = outcome.loss ?? lost.value { throw AgentKeeperError.leadershipLost(loss) }
        return try outcome.result.get()
    }
}

private final class LeadershipHolding: Holding {
    private let lost: Once<LeadershipLoss>

    init(_ lost: Once<LeadershipLoss>) { self.lost = lost }

    func agentLost(_ loss: AgentLife.Loss) {
        switch loss {
        case .died(let reason): lost.say(.agentDied(reason))
        case .unreachable(let reason): lost.say(.unreachable(reason))
        case .clientClosed: lost.say(.clientClosed)
        }
    }
}

/// How a candidacy stands.
public enum CampaignState: Sendable {
    /// Another leads, or nobody yet; the agent waits in line.
    case waiting(ElectionState)
    /// The agent leads.
    case leading(Leadership)
    /// The agent led, and does so no more. It is still a candidate, unless the agent is dead for good.
    case lost(LeadershipLoss)
}

/// A candidacy: the states it goes through, until it is given up.
///
/// The agent is a candidate from the first iterator on, and until ``resign()``, or until the sequence and its iterators
/// are gone, as after a `break` out of a loop. Ends when the agent has left or is dead for good; a daemon that is away
/// is waited for, and a daemon that forgot the candidate gets it anew.
public final class Campaign: AsyncSequence, Sendable {
    /// How the candidacy stands.
    public typealias Element = CampaignState
    /// It ends, and doesn't fail.
    public typealias Failure = Never

    /// Which election.
    public let group: String
    private let agent: Agent
    private let states: AsyncStream<CampaignState>
    private let run: CampaignRun

    init(group: String, agent: Agent) {
        self.group = group
        self.agent = agent
        let (states, continuation) = AsyncStream.makeStream(of: CampaignState.self, bufferingPolicy: .unbounded)
        self.states = states
        let run = CampaignRun(group: group, agent: agent, continuation: continuation)
        self.run = run
        // Nobody listens any more.
        continuation.onTermination = { reason in
            guard case .cancelled = reason else { return }
            Background.run { try? await run.resign() }
        }
    }

    /// Reads the states.
    public struct Iterator: AsyncIteratorProtocol {
        /// Keeps the candidacy.
        private let campaign: Campaign
        private var states: AsyncStream<CampaignState>.Iterator

        fileprivate init(_ campaign: Campaign) {
            self.campaign = campaign
            states = campaign.states.makeAsyncIterator()
        }

        /// The next state.
        public mutating func next() async -> CampaignState? { await states.next() }

        /// As ``next()``.
        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> CampaignState? {
            await states.next(isolation: actor)
        }
    }

    /// Begins the candidacy. For one reader.
    public func makeAsyncIterator() -> Iterator {
        run.begin()
        return Iterator(self)
    }

    /// Gives the candidacy up: the next candidate leads at once, and the sequence ends.
    ///
    /// - Throws: when the daemon could not be told; then the agent may go on as a candidate that nobody listens to, until
    ///   it leaves.
    public func resign() async throws(AgentKeeperError) { try await run.resign() }
}

/// What a campaign does in the background.
private final class CampaignRun: Sendable {
    private let group: String
    private let agent: Agent
    private let continuation: AsyncStream<CampaignState>.Continuation

    private struct State {
        var work: Task<Void, Never>?
        var hasResigned = false
        var leadership: Leadership?
        var lastTold: ElectionState?
        var call: ClientCallHandle?
    }

    private let state = Mutex(State())

    init(group: String, agent: Agent, continuation: AsyncStream<CampaignState>.Continuation) {
        self.group = group
        self.agent = agent
        self.continuation = continuation
    }

    func begin() {
        state.withLock { state in
            guard state.work == nil, !state.hasResigned else { return }
            state.work = Background.run { await self.run() }
        }
    }

    func resign() async throws(AgentKeeperError) {
        let (work, leadership) = state.withLock { state in
            defer {
                state.hasResigned = true
                state.work = nil
                state.leadership = nil
            }
            return (state.work, state.leadership)
        }
        leadership?.lost.say(.resigned)
        work?.cancel()
        await work?.value
        continuation.finish()
        guard work != nil else { return }
        do throws(AgentKeeperError) {
            try await agent.client.resign(from: group, for: agent.id)
        } catch {
            // A daemon that doesn't know the agent has no candidate of it.
            guard error.code == .notFound else { throw error }
        }
    }

    private func run() async {
        var pause = Duration.milliseconds(50)
        while !Task.isCancelled {
            do throws(AgentKeeperError) {
                let id = try await agent.life.identity()
                try note(try await agent.client.core.campaign(group, id, timeout: nil), for: id)
                pause = .milliseconds(50)
                try await follow(id)
            } catch {
                switch error {
                case .agentDied, .clientClosed, .daemon, .rpc(.invalidArgument, _):
                    // The loss, which is sure by now, is told ahead of the end.
                    if let leadership = state.withLock({ $0.leadership }), await leadership.lost.wait() != nil {
                        forget(leadership)
                    }
                    return continuation.finish()
                case .cancelled:
                    return
                default:
                    await Background.sleep(for: pause.jittered(by: 0.5))
                    pause = min(pause * 2, .seconds(2))
                }
            }
        }
    }

    /// Follows the election until the stream breaks or the agent's life ends.
    private func follow(_ id: AgentID) async throws(AgentKeeperError) {
        let call = agent.client.core.stream(Remote.watchElection, waitsForReady: true) { request, arena in
            request.pointee.group = arena.string(group)
        }
        state.withLock { $0.call = call }
        let life = Background.run { [agent] in
            // A life that ends takes the candidacy with it, and the stream would not tell.
            for await state in agent.life.states.follow() {
                switch state {
                case .alive(id), .unreachable(id, _): continue
                default: return call.cancel()
                }
            }
            call.cancel()
        }
        defer { life.cancel() }
        do throws(CallFailure) {
            while let bytes = try await call.nextReply() {
                let event = try Remote.watchElection.response.read(bytes) { Event(wire: $0.pointee) }
                guard case .election(let election) = event.payload else { continue }
                let problem = Result { () throws(AgentKeeperError) in try note(election, for: id) }
                if case .failure(let error) = problem { throw error.failure }
            }
        } catch {
            throw agent.client.core.error(error)
        }
    }

    /// - Throws: when the candidacy has to be asked for anew: it was withdrawn, or the agent can't lead just now.
    private func note(_ election: ElectionState, for id: AgentID) throws(AgentKeeperError) {
        let (old, isKnown) = state.withLock { state in
            defer { state.lastTold = election }
            return (state.leadership, state.lastTold == election)
        }
        let leads = election.leader == id
        if let old, !leads || old.term != election.term || old.agentID != id {
            // Unless another reason was first.
            old.lost.say(.deposed(election))
            forget(old)
        }
        if leads {
            guard state.withLock({ $0.leadership == nil && !$0.hasResigned }) else { return }
            // Throws if the agent is dying, or thought to be dead: then there is nothing to lead.
            let new: Leadership
            do throws(AgentKeeperError) {
                new = try Leadership(group: group, term: election.term, agentID: id, life: agent.life)
            } catch {
                throw .rpc(.aborted, message: error.description)
            }
            state.withLock { $0.leadership = new }
            continuation.yield(.leading(new))
            Background.run { [weak self] in
                if await new.lost.wait() != nil { self?.forget(new) }
            }
        } else {
            if !isKnown || old != nil { continuation.yield(.waiting(election)) }
            // Who led and leads no more is no candidate any more.
            if old != nil { throw .rpc(.aborted, message: "the candidacy was withdrawn") }
        }
    }

    /// Tells of the loss, once, and sees to it that the candidacy is asked for anew: the stream may not know.
    private func forget(_ leadership: Leadership) {
        let (isNews, call) = state.withLock { state in
            guard state.leadership === leadership else { return (false, state.call) }
            state.leadership = nil
            state.lastTold = nil
            return (true, state.call)
        }
        guard isNews, let loss = leadership.lost.value else { return }
        continuation.yield(.lost(loss))
        if case .unreachable = loss { call?.cancel() }
    }
}

extension AgentKeeperError {
    /// For a place that throws what calls throw.
    fileprivate var failure: CallFailure { CallFailure(Status(.aborted, message)) }
}

extension Agent {
    /// Makes the agent a candidate, and tells how it goes.
    ///
    ///     for await state in agent.campaign(in: "planners") {
    ///         switch state {
    ///         case .waiting(let election): print("agent \(election.leader?.rawValue ?? "nobody") leads")
    ///         case .leading(let leadership): try? await leadership.whileLeading { try await plan(term: leadership.term) }
    ///         case .lost(let reason): print("leads no more: \(reason)")
    ///         }
    ///     }
    ///
    /// - Parameter group: which election, 1 to 1,024 bytes.
    public func campaign(in group: String) -> Campaign { Campaign(group: group, agent: self) }

    /// Waits until the agent leads, and runs `body` while it does; then gives the candidacy up. When leadership is lost,
    /// `body`'s task is cancelled at once.
    ///
    /// - Throws: ``AgentKeeperError/leadershipLost(_:)`` if leadership was lost before `body` was over, whatever `body`
    ///   did; ``AgentKeeperError/agentDied(_:)`` if the agent died while it waited; what `body` throws.
    @discardableResult
    public func withLeadership<Success: Sendable>(
        of group: String, _ body: @escaping @Sendable (Leadership) async throws -> Success
    ) async throws -> Success {
        // What is wrong with the group, the daemon says here.
        _ = try await client.campaign(in: group, for: try await life.identity())
        let campaign = campaign(in: group)
        let outcome: Result<Success, any Error>
        do {
            outcome = .success(try await lead(campaign, body))
        } catch {
            outcome = .failure(error)
        }
        // Also when this task is cancelled; a daemon that can't be told finds out with the agent's end.
        _ = await Background.run { try? await campaign.resign() }.value
        return try outcome.get()
    }

    private func lead<Success: Sendable>(
        _ campaign: Campaign, _ body: @escaping @Sendable (Leadership) async throws -> Success
    ) async throws -> Success {
        for await state in campaign {
            guard case .leading(let leadership) = state else { continue }
            return try await leadership.whileLeading { try await body(leadership) }
        }
        if Task.isCancelled { throw AgentKeeperError.cancelled }
        throw life.end.value ?? AgentKeeperError.agentDied("it was deregistered")
    }
}
