// Tells the agents of a client that the daemon took them for dead, at once.
//
// One stream of deaths for all of a client's agents, however many: a connection has so many streams and no more.
// Nothing depends on it, since the next heartbeat would tell as well. Whenever the subscription begins, and after a
// gap, each agent asks for itself, so what happened before it is not missed.

import Synchronization

final class DeathWatch: Sendable {
    private struct State {
        var lives: [AgentID: AgentLife] = [:]
        var work: Task<Void, Never>?
        var isInForce = false
    }

    private let state = Mutex(State())

    func add(_ life: AgentLife, _ id: AgentID, _ core: ClientCore) {
        let isInForce = state.withLock { state in
            state.lives[id] = life
            if state.work == nil { state.work = Background.run { [weak core] in await self.watch(core) } }
            return state.isInForce
        }
        // Else the subscription's beginning will ask.
        if isInForce { Background.run { await life.check(id) } }
    }

    func remove(_ id: AgentID) {
        state.withLock { state in
            state.lives[id] = nil
            guard state.lives.isEmpty else { return }
            state.work?.cancel()
            state.work = nil
            state.isInForce = false
        }
    }

    private func watch(_ core: ClientCore?) async {
        guard let core else { return }
        let filter = WatchFilter(topics: ["agent.died"])
        let stream = EventStream(core: core, filter: filter, after: nil, reportsProgress: false)
        do throws(AgentKeeperError) {
            try await stream.begin(timeout: .seconds(100 * 365 * 86_400))
            if Task.isCancelled { return }
            state.withLock { $0.isInForce = true }
            checkAll()
            var iterator = stream.makeAsyncIterator()
            while let element = try await iterator.next() {
                switch element {
                case .event(let event):
                    guard case .agent(let info) = event.payload else { continue }
                    let life = state.withLock { $0.lives[info.id] }
                    life?.died(info.id, "the daemon took it for dead, or somebody deregistered it")
                case .gap:
                    checkAll()
                case .progress:
                    continue
                }
            }
        } catch {
            // A daemon that has no such call, or no room for another watcher: the heartbeats tell.
        }
    }

    private func checkAll() {
        let lives = state.withLock { $0.lives }
        for (id, life) in lives { Background.run { await life.check(id) } }
    }
}
