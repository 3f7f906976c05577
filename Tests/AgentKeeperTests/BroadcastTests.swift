// A state and its followers, who come and go while it changes.

import Testing

@testable import AgentKeeper

@Suite struct BroadcastTests {
    /// A follower's cancellation runs under a lock of its task, and a change resumes that task: the two must not wait for
    /// each other.
    @Test(.timeLimit(.minutes(15)))
    func `A follower who leaves during a change holds up nobody`() async {
        let broadcast = Broadcast(0)
        let changes = Task.detached {
            while !Task.isCancelled {
                for _ in 0..<64 { broadcast.update { $0 + 1 } }
                await Task.yield()
            }
        }
        for _ in 0..<3_000 {
            let follower = Task.detached { for await _ in broadcast.follow() {} }
            await Task.yield()
            follower.cancel()
            await follower.value
        }
        changes.cancel()
        await changes.value
    }

    @Test func `A follower hears the value as it is, each change in order, and the end`() async {
        let broadcast = Broadcast(1)
        let stream = broadcast.follow()
        for value in 2...5 { broadcast.update { _ in value } }
        broadcast.finish()
        var heard: [Int] = []
        for await value in stream { heard.append(value) }
        #expect(heard == [1, 2, 3, 4, 5])
    }
}
