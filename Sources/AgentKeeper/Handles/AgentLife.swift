// The life of a registered agent: heartbeats, death, and perhaps another life.
//
// Two clocks count. The daemon takes an agent for dead when it has heard nothing for twice its ttl and half a second;
// we take it for dead, as far as what it holds is concerned, when nothing that we *sent* in the last twice its ttl,
// less a margin, was acknowledged. So we are always first to know, without a network. Otherwise the daemon's word
// comes by the answer to a heartbeat, or at once by the event of the death.

import RPC
import Synchronization

final class AgentLife: Dependent {
    /// What an agent's end does to what it holds.
    enum Loss: Sendable {
        case died(String)
        case unreachable(String)
        case clientClosed
    }

    let core: ClientCore
    let card: AgentCard
    let ttl: WholeSeconds
    private let whenDead: Agent.DeathPolicy
    let states: Broadcast<AgentState>

    private struct State {
        var id: AgentID
        /// Said with the reason when this life is over.
        var death = Once<String>()
        /// Just before the last heartbeat was sent that was acknowledged.
        var provenAt: ContinuousClock.Instant
        var holdings: [ObjectIdentifier: any Holding] = [:]
        var work: Task<Void, Never>?
        /// What it holds was given up because the daemon could not be reached.
        var isPresumedDead = false
    }

    private let state: Mutex<State>
    /// Said when it ended for good, and not by its owner's wish.
    let end = Once<AgentKeeperError>()

    init(
        core: ClientCore, card: AgentCard, ttl: WholeSeconds, whenDead: Agent.DeathPolicy, id: AgentID,
        provenAt: ContinuousClock.Instant
    ) {
        self.core = core
        self.card = card
        self.ttl = ttl
        self.whenDead = whenDead
        states = Broadcast(.alive(id))
        state = Mutex(State(id: id, provenAt: provenAt))
    }

    func begin() throws(AgentKeeperError) {
        try core.add(self)
        let work = Background.run { [self] in await run() }
        state.withLock { $0.work = work }
        // The client may have been closed meanwhile.
        if case .left = states.value { work.cancel() }
    }

    var id: AgentID { state.withLock { $0.id } }

    /// Until when nothing can have made the daemon take it for dead.
    var aliveUntil: ContinuousClock.Instant { aliveUntil(provenAt: state.withLock { $0.provenAt }) }

    private func aliveUntil(provenAt: ContinuousClock.Instant) -> ContinuousClock.Instant {
        provenAt + ttl.duration * 2 - safetyMargin(ttl.duration)
    }

    /// The id of the present life; waits for the next one if that is on its way.
    func identity() async throws(AgentKeeperError) -> AgentID {
        for await state in states.follow() {
            switch state {
            case .alive(let id), .unreachable(let id, _): return id
            case .dead(_, let reason) where whenDead == .giveUp: throw .agentDied(reason)
            case .dead: continue
            case .left: throw end.value ?? .agentDied("it was deregistered")
            }
        }
        if Task.isCancelled { throw .cancelled }
        throw end.value ?? .agentDied("it was deregistered")
    }

    // MARK: What it holds

    /// - Throws: when the agent is not the one any more that it was when the thing was had.
    func add(_ holding: any Holding, of id: AgentID) throws(AgentKeeperError) {
        let isCurrent = state.withLock { state in
            guard state.id == id, !state.isPresumedDead else { return false }
            switch states.value {
            case .alive, .unreachable: state.holdings[ObjectIdentifier(holding)] = holding
            case .dead, .left: return false
            }
            return true
        }
        guard isCurrent else { throw end.value ?? .agentDied("it died meanwhile") }
    }

    func remove(_ holding: any Holding) {
        _ = state.withLock { $0.holdings.removeValue(forKey: ObjectIdentifier(holding)) }
    }

    private func lose(_ loss: Loss) {
        let holdings = state.withLock { state in
            defer { state.holdings.removeAll() }
            return Array(state.holdings.values)
        }
        for holding in holdings { holding.agentLost(loss) }
    }

    // MARK: Lives

    private func run() async {
        while let reason = await live(), !Task.isCancelled {
            guard whenDead == .registerAnew else { return finish(.agentDied(reason)) }
            guard await registerAnew() else { return }
        }
    }

    /// Returns with the reason when the agent is dead; nil when it is over for another reason.
    private func live() async -> String? {
        let (id, death) = state.withLock { ($0.id, $0.death) }
        core.deaths.add(self, id, core)
        defer { core.deaths.remove(id) }
        return await withTaskGroup(of: String?.self) { group in
            group.addTask { [self] in
                await beat(id)
                return nil
            }
            group.addTask { await death.wait() }
            for await reason in group {
                group.cancelAll()
                if let reason { return reason }
            }
            return death.value
        }
    }

    /// The daemon has said so.
    func died(_ id: AgentID, _ reason: String) {
        let isNews = states.update { state in
            switch state {
            case .alive(id), .unreachable(id, _): .dead(id, reason: reason)
            default: nil
            }
        }
        guard isNews else { return }
        lose(.died(reason))
        state.withLock { $0.death }.say(reason)
    }

    /// Asks the daemon, out of turn.
    func check(_ id: AgentID) async {
        do throws(AgentKeeperError) {
            acknowledged(id, try await core.heartbeat(id, timeout: nil).sentAt)
        } catch {
            if case .rpc(.notFound, let message) = error { died(id, message) }
        }
    }

    // MARK: Heartbeats

    private func beat(_ id: AgentID) async {
        let interval = ttl.duration / 3
        let slice = (ttl.duration / 6).clamped(.milliseconds(100), core.configuration.callTimeout)
        var pause = slice / 4
        // The registration may have taken a while.
        var next = state.withLock { $0.provenAt } + interval.jittered(by: 0.1)
        while !Task.isCancelled {
            await Background.sleep(until: next)
            if Task.isCancelled { break }
            do throws(AgentKeeperError) {
                let answer = try await core.heartbeat(id, timeout: boundedByLimits(slice), retries: false)
                acknowledged(id, answer.sentAt)
                pause = slice / 4
                next = answer.sentAt + interval.jittered(by: 0.1)
            } catch {
                switch error {
                case .rpc(.notFound, let message):
                    return died(id, message)
                case .cancelled, .clientClosed:
                    return
                default:
                    failed(id, error)
                    next = .now + boundedByLimits(pause.jittered(by: 0.3))
                    pause = min(pause * 2, slice)
                }
            }
        }
    }

    /// No step may go past the moments at which the silence has to be told.
    private func boundedByLimits(_ duration: Duration) -> Duration {
        let provenAt = state.withLock { $0.provenAt }
        let now = ContinuousClock.now
        let limits = [provenAt + ttl.duration, aliveUntil(provenAt: provenAt)].filter { $0 > now }
        return max(.milliseconds(1), limits.reduce(duration) { min($0, $1 - now) })
    }

    private func acknowledged(_ id: AgentID, _ sentAt: ContinuousClock.Instant) {
        state.withLock { state in
            state.provenAt = max(state.provenAt, sentAt)
            state.isPresumedDead = false
        }
        states.update { state in
            if case .unreachable = state { .alive(id) } else { nil }
        }
    }

    private func failed(_ id: AgentID, _ error: AgentKeeperError) {
        let now = ContinuousClock.now
        let (provenAt, isNews) = state.withLock { state in
            let isDead = now >= aliveUntil(provenAt: state.provenAt)
            defer { state.isPresumedDead = state.isPresumedDead || isDead }
            return (state.provenAt, isDead && !state.isPresumedDead)
        }
        if now >= provenAt + ttl.duration {
            states.update { state in
                if case .alive = state { .unreachable(id, reason: error.description) } else { nil }
            }
        }
        if isNews { lose(.unreachable(error.description)) }
    }

    private func registerAnew() async -> Bool {
        var pause = Duration.milliseconds(50)
        while !Task.isCancelled {
            do throws(AgentKeeperError) {
                let answer = try await core.register(card, ttl, requestID: newRequestID(), timeout: nil)
                state.withLock { state in
                    state.id = answer.value
                    state.death = Once()
                    // The first attempt may be the one that made it.
                    state.provenAt = answer.firstSentAt
                    state.isPresumedDead = false
                }
                if states.update({ state in if case .left = state { nil } else { .alive(answer.value) } }) {
                    return true
                }
                // It was deregistered while it came back.
                _ = try? await core.deregister(answer.value, timeout: nil)
                return false
            } catch {
                if error == .clientClosed || error == .cancelled { return false }
                await Background.sleep(for: pause.jittered(by: 0.5))
                pause = min(pause * 2, .seconds(5))
            }
        }
        return false
    }

    // MARK: The end

    private func finish(_ reason: AgentKeeperError?) {
        if let reason { end.say(reason) }
        states.finish()
        core.remove(self)
        state.withLock { $0.work }?.cancel()
    }

    /// - Parameter timeout: nil for the configuration's.
    func leave(_ loss: Loss, timeout: Duration?) async throws(AgentKeeperError) {
        let id = self.id
        let isNews = states.update { state in
            switch state {
            case .alive, .unreachable: .left(id)
            // Another life may be on its way.
            case .dead where whenDead == .registerAnew: .left(id)
            case .dead, .left: nil
            }
        }
        guard isNews else { return }
        lose(loss)
        if case .clientClosed = loss { finish(.clientClosed) } else { finish(nil) }
        do throws(AgentKeeperError) {
            try await core.deregister(id, timeout: timeout)
        } catch {
            // A daemon that doesn't know it has nothing of it.
            guard error.code == .notFound else { throw error }
        }
    }

    func clientCloses() async {
        // A daemon that is not there will find out by itself.
        _ = try? await leave(.clientClosed, timeout: core.configuration.closeGrace)
    }
}

/// What an agent holds, and loses with its life.
protocol Holding: AnyObject, Sendable {
    func agentLost(_ loss: AgentLife.Loss)
}

/// By how much we are earlier than the daemon with every deadline: clocks of two machines drift apart by 100 ppm, and
/// whoever asks `isHeld` needs a moment to act on the answer.
func safetyMargin(_ ttl: Duration) -> Duration { (ttl / 20).clamped(.milliseconds(100), .seconds(30)) }
