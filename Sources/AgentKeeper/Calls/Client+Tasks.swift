// The task queue's calls, one by one. `Agent.tasks()` claims by itself, and `ClaimedTask` does the rest.

import CMessages
import RPC

/// A task that was claimed, and the claim, which is a lease on the task's id.
public struct Claim: Hashable, Sendable {
    /// What to do.
    public var task: TaskInfo
    /// Its token, and when it runs out unless renewed.
    public var lease: LeaseInfo

    /// A claim as it is told in tests of one's own code.
    public init(task: TaskInfo, lease: LeaseInfo) {
        self.task = task
        self.lease = lease
    }
}

extension AgentKeeperClient {
    /// Enters a task, which waits until an agent that has the tools claims it.
    ///
    /// - Parameters:
    ///   - type: what kind of work, 1 to 1,024 bytes.
    ///   - input: what to work on, at most 3.75 MiB.
    ///   - requiredTools: without which no agent is given the task.
    ///   - maxRetries: how often it may fail and be tried again.
    ///   - ttl: how long one claim may run unless renewed; rounded up to whole seconds, at most a week.
    ///   - requestID: the same id and content again, within 10 minutes, answer with the task that the first made. Nil:
    ///     a new task, and still only one if the call has to be tried again.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: INVALID_ARGUMENT (an empty type; something outside its bounds); ALREADY_EXISTS (the request id was
    ///   used with other content).
    @discardableResult
    public func createTask(
        _ type: String, input: [UInt8] = [], requiredTools: [String] = [], maxRetries: Int = 0,
        ttl: Duration = .seconds(60), requestID: String? = nil, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> TaskInfo {
        let ttl = try WholeSeconds(ttl)
        let retries = try wire(maxRetries, "maxRetries")
        let requestID = requestID ?? newRequestID()
        return try await core.call(Remote.createTask, timeout: timeout) { request, arena in
            request.pointee.type = arena.string(type)
            request.pointee.input = arena.bytes(input)
            (request.pointee.n_required_tools, request.pointee.required_tools) = arena.texts(requiredTools)
            request.pointee.max_retries = retries
            request.pointee.ttl_seconds = ttl.wire
            request.pointee.request_id = arena.string(requestID)
        } _: { response in
            response.pointee.task.map { TaskInfo(wire: $0.pointee) }
        }.found()
    }

    /// Waits until there is a task of which the agent has all required tools, and claims it. The oldest task goes
    /// first, and so does the agent that has waited longest. Giving up, by timeout or cancellation, loses no task.
    ///
    /// This is the bare call: nobody renews the claim. ``Agent/tasks()`` gives ``ClaimedTask``, which renews itself.
    ///
    /// - Parameters:
    ///   - agent: who wants to work.
    ///   - wait: how long to wait for a task; nil for as long as it takes.
    /// - Returns: nil when none came in time.
    /// - Throws: NOT_FOUND (the agent is unknown or dead, or dies while it waits).
    public func claimTask(
        for agent: AgentID, waitingUpTo wait: Duration? = nil
    ) async throws(AgentKeeperError) -> Claim? {
        try await core.claim(agent, wait: wait)?.value
    }

    /// The work is done. The same again, by the same agent, is fine.
    ///
    /// - Parameters:
    ///   - task: the task's id.
    ///   - agent: the claimer.
    ///   - output: the result, at most 3.75 MiB together with the input.
    ///   - token: the claim's; nil for any claim of this agent.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: NOT_FOUND (unknown task); PERMISSION_DENIED (another agent's task, or another claim's token);
    ///   FAILED_PRECONDITION (nobody has claimed it).
    public func completeTask(
        _ task: String, for agent: AgentID, token: FencingToken? = nil, output: [UInt8] = [], timeout: Duration? = nil
    ) async throws(AgentKeeperError) {
        try await core.call(Remote.completeTask, timeout: timeout) { request, arena in
            request.pointee.task_id = arena.string(task)
            request.pointee.agent_id = arena.string(agent.rawValue)
            request.pointee.output = arena.bytes(output)
            request.pointee.token = token.map { arena.message($0) }
        } _: { _ in
        }
    }

    /// The work has failed. With a retry left the task goes back to the queue, else it is dead.
    ///
    /// - Parameters:
    ///   - task: the task's id.
    ///   - agent: the claimer.
    ///   - reason: why, for people; at most 16 KiB.
    ///   - token: the claim's; nil for any claim of this agent.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: as ``completeTask(_:for:token:output:timeout:)``.
    public func failTask(
        _ task: String, for agent: AgentID, token: FencingToken? = nil, reason: String, timeout: Duration? = nil
    ) async throws(AgentKeeperError) {
        try await core.call(Remote.failTask, timeout: timeout) { request, arena in
            request.pointee.task_id = arena.string(task)
            request.pointee.agent_id = arena.string(agent.rawValue)
            request.pointee.reason = arena.string(reason)
            request.pointee.token = token.map { arena.message($0) }
        } _: { _ in
        }
    }

    /// One task, whatever its status. Finished ones are kept for a day, unless the daemon was told otherwise.
    ///
    /// - Throws: NOT_FOUND (unknown).
    public func task(_ id: String, timeout: Duration? = nil) async throws(AgentKeeperError) -> TaskInfo {
        try await core.call(Remote.getTask, timeout: timeout) { request, arena in
            request.pointee.task_id = arena.string(id)
        } _: { response in
            response.pointee.task.map { TaskInfo(wire: $0.pointee) }
        }.found()
    }

    /// All tasks, oldest first; read in as many parts as it takes.
    ///
    /// - Parameters:
    ///   - status: only these; nil for all.
    ///   - timeout: for the whole call; nil for the configuration's.
    public func tasks(_ status: TaskStatus? = nil, timeout: Duration? = nil) async throws(AgentKeeperError)
        -> [TaskInfo]
    {
        try await allPages { token throws(AgentKeeperError) in
            try await tasks(status, pageSize: 1_000, after: token, timeout: timeout)
        }
    }

    /// Some tasks, oldest first.
    ///
    /// - Parameters:
    ///   - status: only these; nil for all.
    ///   - pageSize: at most so many, up to 10,000; fewer may come, so that an answer stays below 4 MiB.
    ///   - token: the last page's ``Page/nextToken``; nil to begin.
    ///   - timeout: for the whole call; nil for the configuration's.
    /// - Throws: INVALID_ARGUMENT (a token that was never given out).
    public func tasks(
        _ status: TaskStatus? = nil, pageSize: Int, after token: String? = nil, timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> Page<TaskInfo> {
        let pageSize = try wire(pageSize, "pageSize")
        return try await core.call(Remote.listTasks, timeout: timeout) { request, arena in
            request.pointee.status = (status ?? .unknown).wire
            request.pointee.page_size = pageSize
            request.pointee.page_token = arena.string(token ?? "")
        } _: { response in
            Page(
                elements: list(response.pointee.tasks, count: response.pointee.n_tasks) { TaskInfo(wire: $0) },
                wireToken: response.pointee.next_page_token)
        }
    }
}

extension ClientCore {
    /// - Parameter wait: nil for as long as it takes.
    /// - Returns: nil when the wait ran out.
    func claim(_ agent: AgentID, wait: Duration?) async throws(AgentKeeperError) -> Answer<Claim>? {
        let forever = Duration.seconds(100 * 365 * 86_400)
        do throws(AgentKeeperError) {
            let answer = try await answer(Remote.claimTask, timeout: wait ?? forever, waits: true) {
                request, arena, _ in
                request.pointee.agent_id = arena.string(agent.rawValue)
            } _: { response -> Claim? in
                guard let task = response.pointee.task, let lease = response.pointee.lease else { return nil }
                return Claim(task: TaskInfo(wire: task.pointee), lease: LeaseInfo(wire: lease.pointee))
            }
            return Answer(value: try answer.value.found(), sentAt: answer.sentAt, firstSentAt: answer.firstSentAt)
        } catch {
            if wait != nil, error.code == .deadlineExceeded { return nil }
            throw error
        }
    }
}
