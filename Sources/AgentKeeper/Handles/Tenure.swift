// Holding on to a lease, or to a claim, which is one: renewing it, and knowing when it is lost.
//
// The deadline is our own: the last acknowledged renewal's *sending*, plus the ttl, less a margin. The daemon counts
// from when it received that renewal, so its deadline is later than ours, whatever the network did meanwhile, and no
// clock is compared with another machine's. The clock counts while the machine sleeps. Within that deadline renewals
// are tried again and again; what the daemon says against it ends the tenure at once.

import Synchronization

final class Tenure: Holding {
    private let life: AgentLife
    private let taskID: String
    private let holder: AgentID
    private let token: FencingToken
    private let ttl: Duration

    private struct State {
        var deadline: ContinuousClock.Instant
        var renewedAt: ContinuousClock.Instant
        var isOver = false
        var work: Task<Void, Never>?
    }

    private let state: Mutex<State>
    /// Said when it is lost, and never when it is given back.
    let loss = Once<LeaseLoss>()

    /// - Parameter sentAt: just before the request was sent that the daemon has acknowledged.
    init(life: AgentLife, lease: LeaseInfo, ttl: Duration, sentAt: ContinuousClock.Instant) {
        self.life = life
        taskID = lease.taskID
        holder = lease.holder
        token = lease.token
        self.ttl = ttl
        state = Mutex(State(deadline: sentAt + ttl - safetyMargin(ttl), renewedAt: sentAt))
    }

    /// - Throws: when the agent has died meanwhile.
    func begin() throws(AgentKeeperError) {
        try life.add(self, of: holder)
        let work = Background.run { [self] in await renew() }
        state.withLock { state in
            if state.isOver { work.cancel() } else { state.work = work }
        }
    }

    /// What is left, by the local clock alone; zero when it is over.
    var remaining: Duration {
        let deadline: ContinuousClock.Instant? = state.withLock { $0.isOver ? nil : $0.deadline }
        guard let deadline else { return .zero }
        return max(.zero, min(deadline, life.aliveUntil) - .now)
    }

    /// It is given back, or the work is done: nothing is lost any more.
    func finish() { _ = stop() }

    func lose(_ reason: LeaseLoss) {
        if stop() { loss.say(reason) }
    }

    func agentLost(_ loss: AgentLife.Loss) {
        switch loss {
        case .died(let reason): lose(.agentDied(reason))
        case .unreachable(let reason): lose(.unreachable(reason))
        case .clientClosed: lose(.clientClosed)
        }
    }

    /// - Returns: whether it was still held.
    private func stop() -> Bool {
        let (wasHeld, work) = state.withLock { state in
            defer {
                state.isOver = true
                state.work = nil
            }
            return (!state.isOver, state.work)
        }
        guard wasHeld else { return false }
        work?.cancel()
        life.remove(self)
        return true
    }

    // MARK: Renewing

    private func renew() async {
        let slice = (ttl / 6).clamped(.milliseconds(100), life.core.configuration.callTimeout)
        var pause = slice / 4
        var next = state.withLock { $0.renewedAt } + (ttl / 3).jittered(by: 0.1)
        var lastFailure = "no renewal was due"
        while !Task.isCancelled {
            await Background.sleep(until: min(next, state.withLock { $0.deadline }))
            let left = state.withLock { $0.deadline } - .now
            if Task.isCancelled { return }
            guard left > .zero else { return lose(.unreachable(lastFailure)) }
            do throws(AgentKeeperError) {
                let answer = try await life.core.renew(
                    taskID, holder, token, timeout: min(slice, left), retries: false)
                state.withLock { state in
                    state.renewedAt = answer.sentAt
                    state.deadline = max(state.deadline, answer.sentAt + ttl - safetyMargin(ttl))
                }
                pause = slice / 4
                next = answer.sentAt + (ttl / 3).jittered(by: 0.1)
            } catch {
                switch error {
                case .rpc(.notFound, let message): return lose(.expired(message))
                case .rpc(.permissionDenied, let message): return lose(.taken(message))
                case .clientClosed: return lose(.clientClosed)
                case .cancelled: return
                default:
                    lastFailure = error.description
                    next = .now + pause.jittered(by: 0.3)
                    pause = min(pause * 2, slice)
                }
            }
        }
    }
}
