// Where the SDK's own work is done: one thread of its own for the whole process.
//
// Sockets, heartbeats and renewals run here and nowhere else. So an agent whose code blocks every thread of Swift's
// pool, as code around a language model likes to do, still beats and keeps its leases. Nothing here blocks, so one
// thread serves any number of clients. It lives as long as the process.

import NIOCore
import NIOPosix

enum Background {
    static let loop: any EventLoop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()
    private static let executor = LoopExecutor(loop)

    /// Begins work that belongs to no task.
    @discardableResult
    static func run<Success: Sendable>(
        _ work: @escaping @Sendable () async -> Success
    ) -> Task<Success, Never> {
        Task.detached(executorPreference: executor, operation: work)
    }

    /// Does work of the caller's here, so that what it begins is under way even while every thread of Swift's pool is
    /// blocked and the caller can't go on.
    static func perform<Success: Sendable>(
        _ work: @escaping @Sendable () async throws(AgentKeeperError) -> Success
    ) async throws(AgentKeeperError) -> Success {
        let task = run { () -> Result<Success, AgentKeeperError> in
            do throws(AgentKeeperError) {
                return .success(try await work())
            } catch {
                return .failure(error)
            }
        }
        return try await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }.get()
    }

    /// Returns after `duration`, or when the task is cancelled. Needs no thread of Swift's pool, as `Task.sleep` does.
    static func sleep(for duration: Duration) async {
        guard duration > .zero, !Task.isCancelled else { return }
        let (seconds, attoseconds) = duration.components
        let nanoseconds = min(seconds, 1 << 32) * 1_000_000_000 + attoseconds / 1_000_000_000
        let promise = loop.makePromise(of: Void.self)
        let timer = loop.scheduleTask(in: .nanoseconds(nanoseconds)) { promise.succeed() }
        await withTaskCancellationHandler {
            // It only ever succeeds.
            _ = try? await promise.futureResult.get()
        } onCancel: {
            timer.cancel()
            loop.execute { promise.succeed() }
        }
    }

    /// As above, to a time of the clock that counts while the machine sleeps, which the loop's timers do not: so it
    /// looks once a second.
    static func sleep(until time: ContinuousClock.Instant) async {
        while !Task.isCancelled {
            let left = time - .now
            guard left > .zero else { return }
            await sleep(for: min(left, .seconds(1)))
        }
    }
}

private final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

extension Duration {
    /// This, strayed by up to `part` of itself both ways, so that those who began together don't go on in step.
    func jittered(by part: Double) -> Duration {
        self * (1 + part * Double.random(in: -1...1))
    }

    func clamped(_ lower: Duration, _ upper: Duration) -> Duration { max(lower, min(self, upper)) }
}
