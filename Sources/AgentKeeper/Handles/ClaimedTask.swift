/// A task that this process has claimed: the claim renews itself until the task is completed or failed, or the claim is
/// lost.
///
/// Letting go of this object without either ends the renewals, and the task goes back to the queue when its ttl has
/// passed, with no retry spent.
public final class ClaimedTask: Sendable {
    /// As it was claimed.
    public let info: TaskInfo
    /// The claim, which is a lease on the task's id.
    public let claim: LeaseInfo

    private let tenure: Tenure
    private let client: AgentKeeperClient

    init(claim: Claim, tenure: Tenure, client: AgentKeeperClient) {
        info = claim.task
        self.claim = claim.lease
        self.tenure = tenure
        self.client = client
    }

    deinit { tenure.finish() }

    /// The task's id.
    public var id: String { info.id }

    /// What kind of work it is.
    public var type: String { info.type }

    /// What to work on.
    public var input: [UInt8] { info.input }

    /// The claim's token, to be passed along with every write.
    public var token: FencingToken { claim.token }

    /// Whether nobody else can have the task now, by the local clock alone.
    public var isHeld: Bool { tenure.remaining > .zero }

    /// Why the claim is lost; nil while it is held, and after completing or failing.
    public var loss: LeaseLoss? { tenure.loss.value }

    /// Waits for the loss of the claim.
    ///
    /// - Returns: the reason, at once when it is lost; nil when the waiting task is cancelled.
    public func waitUntilLost() async -> LeaseLoss? { await tenure.loss.wait() }

    /// Runs `body` in a task that is cancelled as soon as the claim is lost.
    ///
    /// - Throws: ``AgentKeeperError/leaseLost(_:)`` if it was lost before `body` was over, whatever `body` did; else
    ///   what `body` throws.
    @discardableResult
    public func whileHeld<Success: Sendable>(
        _ body: @escaping @Sendable () async throws -> Success
    ) async throws -> Success {
        let outcome = await guarded(by: tenure.loss, body)
        if let loss = outcome.loss ?? tenure.loss.value { throw AgentKeeperError.leaseLost(loss) }
        return try outcome.result.get()
    }

    /// The work is done. A second time is fine.
    ///
    /// - Parameter output: the result, at most 3.75 MiB together with the input.
    /// - Throws: ``AgentKeeperError/leaseLost(_:)`` if the claim was lost: another may have the task. INVALID_ARGUMENT
    ///   (too long an output): the claim goes on.
    public func complete(_ output: [UInt8] = []) async throws(AgentKeeperError) {
        try await end { () throws(AgentKeeperError) in
            try await client.completeTask(id, for: claim.holder, token: token, output: output)
        }
    }

    /// The work has failed. With a retry left the task goes back to the queue, else it is dead.
    ///
    /// - Parameter reason: why, for people; what is longer than 16 KiB is cut.
    /// - Throws: as ``complete(_:)``.
    public func fail(_ reason: String) async throws(AgentKeeperError) {
        try await end { () throws(AgentKeeperError) in
            try await client.failTask(id, for: claim.holder, token: token, reason: Self.bounded(reason))
        }
    }

    private func end(_ call: () async throws(AgentKeeperError) -> Void) async throws(AgentKeeperError) {
        if let loss = tenure.loss.value { throw .leaseLost(loss) }
        do throws(AgentKeeperError) {
            // Renewals go on until the daemon has answered.
            try await call()
            tenure.finish()
        } catch {
            switch error {
            case .rpc(.permissionDenied, let message), .rpc(.failedPrecondition, let message):
                tenure.lose(.taken(message))
            case .rpc(.notFound, let message):
                tenure.lose(.expired(message))
            default:
                throw error
            }
            throw .leaseLost(tenure.loss.value ?? .expired(error.message))
        }
    }

    /// The daemon keeps 16 KiB of a reason.
    static func bounded(_ reason: String) -> String {
        let most = 16_384
        guard reason.utf8.count > most else { return reason }
        var end = reason.utf8.index(reason.utf8.startIndex, offsetBy: most - 3)
        // Not in the middle of a character.
        while end.samePosition(in: reason) == nil { end = reason.utf8.index(before: end) }
        return reason[..<end] + "…"
    }
}

/// Tasks as they are claimed, one at a time: the next is claimed when it is asked for, so none lies about unworked.
///
/// Ends when its task is cancelled, when the agent has left or is dead for good, and when the client is closed;
/// ``Agent/state`` tells which. A daemon that is away is waited for.
public struct ClaimedTasks: AsyncSequence, Sendable {
    /// A task that is this process's now.
    public typealias Element = ClaimedTask
    /// It ends, and doesn't fail.
    public typealias Failure = Never

    fileprivate let agent: Agent

    /// Any number of iterators claim beside each other.
    public func makeAsyncIterator() -> Iterator { Iterator(agent: agent) }

    /// Claims one task after another.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let agent: Agent

        /// Waits for a task that the agent has the tools for.
        public mutating func next() async -> ClaimedTask? { await agent.taskInBackground() }

        /// As ``next()``.
        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> ClaimedTask? {
            await agent.taskInBackground()
        }
    }
}

extension Agent {
    /// The tasks that are meant for this agent, as they come.
    ///
    ///     for await task in agent.tasks() {
    ///         do {
    ///             let output = try await task.whileHeld { try await scrape("\(task.id)", token: task.token) }
    ///             try await task.complete(output)
    ///         } catch {
    ///             try? await task.fail("\(error)")
    ///         }
    ///     }
    public func tasks() -> ClaimedTasks { ClaimedTasks(agent: self) }

    /// Works on tasks until the surrounding task is cancelled, or the agent has left or is dead for good. What `body`
    /// returns completes the task; what it throws fails it, with the error's text as the reason. When a claim is lost,
    /// `body`'s task is cancelled at once, and what it did after that is not told.
    ///
    /// - Parameters:
    ///   - concurrency: how many tasks are worked on at once; at least 1.
    ///   - body: the work on one task; returns its output.
    public func work(
        concurrency: Int = 1, _ body: @escaping @Sendable (ClaimedTask) async throws -> [UInt8]
    ) async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<max(1, concurrency) {
                group.addTask {
                    for await task in self.tasks() { await Self.work(on: task, body) }
                }
            }
        }
    }

    private static func work(
        on task: ClaimedTask, _ body: @escaping @Sendable (ClaimedTask) async throws -> [UInt8]
    ) async {
        do {
            let output = try await task.whileHeld { try await body(task) }
            try await task.complete(output)
        } catch AgentKeeperError.leaseLost {
            // Another has it, or will.
        } catch {
            // Whoever is cancelled has not failed: the task goes back to the queue.
            if Task.isCancelled { return }
            // If that can't be told either, the claim runs out.
            try? await task.fail("\(error)")
        }
    }

    fileprivate func taskInBackground() async -> ClaimedTask? {
        // It throws nothing of its own.
        try? await Background.perform { () throws(AgentKeeperError) in await self.nextTask() }
    }

    private func nextTask() async -> ClaimedTask? {
        var pause = Duration.milliseconds(50)
        while !Task.isCancelled {
            do throws(AgentKeeperError) {
                let id = try await life.identity()
                guard let answer = try await client.core.claim(id, wait: nil) else { continue }
                if let task = try await keep(answer) { return task }
            } catch {
                switch error {
                case .agentDied, .cancelled, .clientClosed, .daemon: return nil
                default: break
                }
                // A daemon that doesn't know the agent any more: the next heartbeat settles it.
                await Background.sleep(for: pause.jittered(by: 0.5))
                pause = min(pause * 2, .seconds(2))
            }
        }
        return nil
    }

    /// - Returns: nil if the claim is lost already.
    private func keep(_ answer: ClientCore.Answer<Claim>) async throws(AgentKeeperError) -> ClaimedTask? {
        let claim = answer.value
        // The daemon made both times in one moment, from one clock.
        let ttl = Duration.seconds(
            max(
                1,
                (claim.lease.expiresAt.timeIntervalSince1970
                    - claim.lease.acquiredAt.timeIntervalSince1970).rounded()))
        var sentAt = answer.firstSentAt
        // After a wait we don't know since when it runs.
        if ContinuousClock.now - sentAt > ttl / 6 {
            do throws(AgentKeeperError) {
                sentAt = try await client.core.renew(
                    claim.lease.taskID, claim.lease.holder, claim.lease.token, timeout: ttl
                ).sentAt
            } catch {
                if error.code == .notFound || error.code == .permissionDenied { return nil }
                throw error
            }
        }
        let tenure = Tenure(life: life, lease: claim.lease, ttl: ttl, sentAt: sentAt)
        try tenure.begin()
        return ClaimedTask(claim: claim, tenure: tenure, client: client)
    }
}
