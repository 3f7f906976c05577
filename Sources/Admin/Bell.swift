// Wakes a stream when there are events, and every so often. Many events ring once: who is waking up anyhow is not rung
// at again, which keeps the cost of a page that is open away from whoever adds events.

import Coordination
import Synchronization

final class Bell: EventListener {
    enum Ring {
        case events
        case time
    }

    private let coordinator: Coordinator
    private let rings: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let clock: Task<Void, Never>
    private let hasEvents = Atomic(false)

    init(coordinator: Coordinator, every interval: Duration) {
        self.coordinator = coordinator
        let (rings, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        (self.rings, self.continuation) = (rings, continuation)
        clock = Task {
            while (try? await Task.sleep(for: interval)) != nil { continuation.yield() }
        }
        coordinator.add(self)
    }

    func eventsWereAdded() {
        if !hasEvents.exchange(true, ordering: .acquiringAndReleasing) { continuation.yield() }
    }

    /// Nil when the task is cancelled. What is looked at from then on includes every event that has rung.
    func next() async -> Ring? {
        var iterator = rings.makeAsyncIterator()
        guard await iterator.next() != nil else { return nil }
        return hasEvents.exchange(false, ordering: .acquiringAndReleasing) ? .events : .time
    }

    /// The coordinator keeps its listeners, so somebody must say when it is over.
    func end() {
        clock.cancel()
        coordinator.remove(self)
        continuation.finish()
    }
}
