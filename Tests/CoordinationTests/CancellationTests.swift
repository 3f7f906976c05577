// A call that is cancelled while what it waits for is on its way to it.

import Coordination
import Synchronization
import Testing

@Suite struct CancellationTests {
    @Test func `A grant that crosses a cancellation is told, so that it can be given back`() {
        let coordinator = Coordinator(machine: Machine(tokensStartAbove: FencingToken(0)))
        let told = Mutex<[String]>([])
        func say(_ command: Command, at seconds: Int64) -> Outcome {
            let now = Moment(
                instant: Instant(nanoseconds: seconds * 1_000_000_000), wall: WallTime(nanoseconds: 0))
            return coordinator.perform(command, at: now) { outcome, _ in
                guard case .reply(let reply) = outcome else { return }
                told.withLock { $0.append(describe(reply)) }
            }.outcome
        }
        for agent in [a, b] {
            _ = say(.register(.init(newID: agent, card: card(agent.letter), ttlSeconds: 300)), at: 0)
        }
        _ = say(.create("t", ttl: 10), at: 0)
        _ = say(.claimTask(a), at: 0)
        guard case .waiting(let waiter) = say(.claimTask(b), at: 0) else {
            Issue.record("there was nothing to wait for")
            return
        }
        // The claim ran out, and nobody has noticed: the cancellation itself lets it happen, and comes too late.
        _ = say(.cancelWait(waiter), at: 11)
        #expect(told.withLock { $0 } == ["claimed t #2 until 10s"])
    }
}
