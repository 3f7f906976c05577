/// A lease that this process holds: it renews itself every third of its ttl until it is released or lost.
///
/// ``isHeld`` needs no network: it is computed from the local clock and from when the last acknowledged renewal was
/// sent, less a margin, so it turns false before the daemon could give the lease to another. Letting go of this object
/// releases nothing, since Swift may do that while the work still goes on; ``release()`` does, and so do the end of a
/// ``Agent/withLease(on:ttl:waitingUpTo:_:)``, of the agent, and of the client.
///
/// Pass ``token`` along with every write to what the lease protects.
public final class Lease: Sendable {
    /// As it was acquired.
    public let info: LeaseInfo
    /// How long it runs from each renewal.
    public let ttl: Duration

    let tenure: Tenure
    private let client: AgentKeeperClient

    init(info: LeaseInfo, ttl: Duration, tenure: Tenure, client: AgentKeeperClient) {
        self.info = info
        self.ttl = ttl
        self.tenure = tenure
        self.client = client
    }

    /// What the lease is on.
    public var taskID: String { info.taskID }

    /// What proves that one holds it, to be passed along with every write.
    public var token: FencingToken { info.token }

    /// Whether nobody else can hold it now.
    public var isHeld: Bool { tenure.remaining > .zero }

    /// For how long at least nobody else can hold it, without any further renewal; zero when it is not held.
    public var remaining: Duration { tenure.remaining }

    /// Why it is not held any more; nil while it is, and after a release.
    public var loss: LeaseLoss? { tenure.loss.value }

    /// Waits for the loss.
    ///
    /// - Returns: the reason, at once when it is lost; nil when the waiting task is cancelled. A lease that is released
    ///   is never lost.
    public func waitUntilLost() async -> LeaseLoss? { await tenure.loss.wait() }

    /// Returns if the lease is held.
    ///
    /// - Throws: ``AgentKeeperError/leaseLost(_:)`` if not: to be asked before each step that must not happen twice.
    public func checkHeld() throws(AgentKeeperError) {
        guard !isHeld else { return }
        throw .leaseLost(loss ?? .expired("it was released, or its deadline has passed"))
    }

    /// Runs `body` in a task that is cancelled as soon as the lease is lost.
    ///
    /// - Throws: ``AgentKeeperError/leaseLost(_:)`` if the lease was lost before `body` was over, whatever `body` did;
    ///   else what `body` throws.
    @discardableResult
    public func whileHeld<Success: Sendable>(
        _ body: @escaping @Sendable () async throws -> Success
    ) async throws -> Success {
        let outcome = await guarded(by: tenure.loss, body)
        if let loss = outcome.loss ?? tenure.loss.value { throw AgentKeeperError.leaseLost(loss) }
        return try outcome.result.get()
    }

    /// Gives the lease back: the next in line has it at once. Renewing ends in any case. A second time is fine.
    ///
    /// - Throws: ``AgentKeeperError/leaseLost(_:)`` if it had been lost: somebody else may have worked meanwhile;
    ///   UNAVAILABLE if the daemon could not be told, and the lease runs out by itself.
    public func release() async throws(AgentKeeperError) {
        if let loss = tenure.loss.value { throw .leaseLost(loss) }
        tenure.finish()
        do throws(AgentKeeperError) {
            try await client.core.release(info.taskID, info.holder, info.token, timeout: nil)
        } catch {
            switch error {
            case .rpc(.notFound, let message): throw .leaseLost(.expired(message))
            case .rpc(.permissionDenied, let message): throw .leaseLost(.taken(message))
            default: throw error
            }
        }
    }
}

extension Agent {
    /// Takes the lease on a task.
    ///
    /// - Parameters:
    ///   - task: whatever the callers call it, 1 to 1,024 bytes.
    ///   - ttl: for how long the task stays locked if this process ends by accident; rounded up to whole seconds, at
    ///     most a week. It is renewed every third of it.
    ///   - wait: how long to wait for a lease that is held: first come, first served. Cancelling the task ends the wait
    ///     and leaves no trace.
    /// - Throws: ``AgentKeeperError/leaseHeld(_:)`` if it is held, by whomever, this agent itself included, and was not
    ///   free in time; ``AgentKeeperError/agentDied(_:)``; FAILED_PRECONDITION (the task is one of the queue).
    public func acquireLease(
        on task: String, ttl: Duration = .seconds(60), waitingUpTo wait: Duration = .zero
    ) async throws(AgentKeeperError) -> Lease {
        let ttl = try WholeSeconds(ttl)
        switch try await Background.perform({ () throws(AgentKeeperError) in try await self.acquire(task, ttl, wait) })
        {
        case .success(let lease): return lease
        case .failure(let holder): throw .leaseHeld(holder.lease)
        }
    }

    /// As ``acquireLease(on:ttl:waitingUpTo:)``, but nil if the lease is held and was not free in time.
    public func acquireLeaseIfFree(
        on task: String, ttl: Duration = .seconds(60), waitingUpTo wait: Duration = .zero
    ) async throws(AgentKeeperError) -> Lease? {
        let ttl = try WholeSeconds(ttl)
        switch try await Background.perform({ () throws(AgentKeeperError) in try await self.acquire(task, ttl, wait) })
        {
        case .success(let lease): return lease
        case .failure: return nil
        }
    }

    /// Runs `body` while holding the lease on a task, and releases it afterwards, whatever happens. If the lease is
    /// lost, `body`'s task is cancelled at once.
    ///
    /// - Throws: ``AgentKeeperError/leaseLost(_:)`` if the lease was lost before `body` was over, whatever `body` did;
    ///   what `body` throws; as ``acquireLease(on:ttl:waitingUpTo:)``.
    @discardableResult
    public func withLease<Success: Sendable>(
        on task: String, ttl: Duration = .seconds(60), waitingUpTo wait: Duration = .zero,
        _ body: @escaping @Sendable (Lease) async throws -> Success
    ) async throws -> Success {
        try await hold(try await acquireLease(on: task, ttl: ttl, waitingUpTo: wait), body)
    }

    /// As ``withLease(on:ttl:waitingUpTo:_:)``, but nil, and `body` does not run, if the lease is held and was not free
    /// in time.
    @discardableResult
    public func withLeaseIfFree<Success: Sendable>(
        on task: String, ttl: Duration = .seconds(60), waitingUpTo wait: Duration = .zero,
        _ body: @escaping @Sendable (Lease) async throws -> Success
    ) async throws -> Success? {
        guard let lease = try await acquireLeaseIfFree(on: task, ttl: ttl, waitingUpTo: wait) else { return nil }
        return try await hold(lease, body)
    }

    private func hold<Success: Sendable>(
        _ lease: Lease, _ body: @escaping @Sendable (Lease) async throws -> Success
    ) async throws -> Success {
        let outcome: Result<Success, any Error>
        do {
            outcome = .success(try await lease.whileHeld { try await body(lease) })
        } catch {
            outcome = .failure(error)
        }
        // Also when this task is cancelled.
        let release = await Background.run { () -> AgentKeeperError? in
            do throws(AgentKeeperError) {
                try await lease.release()
                return nil
            } catch {
                return error
            }
        }.value
        // The work was over while the lease was held; a daemon that can't be told lets it run out. But if the daemon
        // says that it was not held, something is wrong: it forgot, or somebody released it.
        if case .success = outcome, case .leaseLost = release { throw release! }
        return try outcome.get()
    }

    /// The holder of a lease that was not free.
    private struct Held: Error {
        let lease: LeaseInfo
    }

    private func acquire(
        _ task: String, _ ttl: WholeSeconds, _ wait: Duration
    ) async throws(AgentKeeperError) -> Result<Lease, Held> {
        let deadline = ContinuousClock.now + wait.clamped(.zero, .seconds(100 * 365 * 86_400))
        while true {
            let id = try await life.identity()
            let requestID = newRequestID()
            let answer: ClientCore.Answer<LeaseAnswer>
            do throws(AgentKeeperError) {
                answer = try await client.core.acquire(
                    task, id, ttl, wait: max(.zero, deadline - .now), requestID: requestID, timeout: nil)
            } catch {
                giveBack(task, id, ttl, requestID, after: error)
                throw error
            }
            guard case .acquired(let info) = answer.value else {
                // A wait is bounded on the wire; ours may be longer.
                if deadline - .now > .seconds(1) { continue }
                return .failure(Held(lease: answer.value.lease))
            }
            guard let lease = try await keep(info, ttl, firstSentAt: answer.firstSentAt) else { continue }
            return .success(lease)
        }
    }

    /// - Returns: nil if the lease was lost before anything could be done with it.
    private func keep(
        _ info: LeaseInfo, _ ttl: WholeSeconds, firstSentAt: ContinuousClock.Instant
    ) async throws(AgentKeeperError) -> Lease? {
        var sentAt = firstSentAt
        // After a wait, or a first attempt that was lost, we don't know since when it runs.
        if ContinuousClock.now - firstSentAt > ttl.duration / 6 {
            do throws(AgentKeeperError) {
                sentAt = try await client.core.renew(info.taskID, info.holder, info.token, timeout: nil).sentAt
            } catch {
                if error.code == .notFound || error.code == .permissionDenied { return nil }
                giveBack(info)
                throw error
            }
        }
        let tenure = Tenure(life: life, lease: info, ttl: ttl.duration, sentAt: sentAt)
        do throws(AgentKeeperError) {
            try tenure.begin()
        } catch {
            giveBack(info)
            throw error
        }
        return Lease(info: info, ttl: ttl.duration, tenure: tenure, client: client)
    }

    private func giveBack(_ info: LeaseInfo) {
        Background.run { [core = client.core] in
            // Else it runs out by itself.
            _ = try? await core.release(info.taskID, info.holder, info.token, timeout: nil)
        }
    }

    /// A request that was given up may have won, unheard: then the lease would stay taken for its ttl. The same request
    /// again tells, and if it wins only now, nothing is harmed either.
    private func giveBack(
        _ task: String, _ id: AgentID, _ ttl: WholeSeconds, _ requestID: String, after error: AgentKeeperError
    ) {
        guard error.code == .cancelled || error.code == .unavailable || error.code == .deadlineExceeded,
            error != .clientClosed
        else { return }
        Background.run { [core = client.core] in
            let answer = try? await core.acquire(task, id, ttl, wait: .zero, requestID: requestID, timeout: nil)
            guard case .acquired(let info) = answer?.value else { return }
            _ = try? await core.release(task, id, info.token, timeout: nil)
        }
    }
}
