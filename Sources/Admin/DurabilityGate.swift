// What was read is told when it is on disk, and a disk that has stopped answering must not hold everybody who looks: they
// are told of that instead. Once somebody has waited in vain nobody else has to, until the disk takes something again.

import Coordination
import Synchronization

final class DurabilityGate: Sendable {
    private let coordinator: Coordinator
    private let patience: Duration
    /// What was durable when somebody had waited in vain.
    private let stuckAt = Mutex<Revision?>(nil)

    /// - Parameter patience: how long a disk may take.
    init(coordinator: Coordinator, patience: Duration) {
        self.coordinator = coordinator
        self.patience = patience
    }

    /// - Throws: what to say instead of what is based on this revision.
    func wait(for revision: Revision) async throws(Problem) {
        guard !coordinator.isDurable(revision) else { return }
        let isStuck = stuckAt.withLock { $0 == coordinator.durableRevision }
        if !isStuck, await comes(revision) { return }
        // The task of a client that has gone has not waited for so long.
        if !isStuck, !Task.isCancelled { stuckAt.withLock { $0 = coordinator.durableRevision } }
        throw Problem(
            status: .serviceUnavailable,
            text: "The disk has taken nothing for \(patience): what is not on it yet can't be told.")
    }

    private func comes(_ revision: Revision) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { [coordinator] in await coordinator.waitUntilDurable(revision) }
            group.addTask { [patience] in
                try? await Task.sleep(for: patience)
                return false
            }
            let isDurable = await group.next() ?? false
            group.cancelAll()
            return isDurable
        }
    }
}
