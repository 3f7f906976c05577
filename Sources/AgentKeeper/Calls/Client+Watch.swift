// Watching: an endless sequence that outlives its connections.
//
// The iterator remembers the last sequence that it dealt with, progress included, and resumes after it. Two things
// make a gap that nobody can close: a history that has moved on, and a daemon that started anew with another history.
// Sequences alone can't tell the second (the new daemon may have counted as far), so the daemon names its history in
// the response's metadata. Either way the watcher is told, and the stream goes on with the oldest event that there is.

import CMessages
import RPC
import Synchronization

/// What to watch. All parts that are set must hold for an event to be sent.
public struct WatchFilter: Hashable, Sendable {
    /// Prefixes of topics: `agent.` for all that happens to agents, `lease.expired` for that one. None: every topic.
    public var topics: [String]
    /// Prefixes of topics to leave out. They win over ``topics``.
    public var excludedTopics: [String]
    /// Only events that concern this agent: its own, and those of its leases, claims and elections.
    public var agent: AgentID?
    /// Only events of this task: `task.*`, and `lease.*` of the leases on it.
    public var task: String?
    /// Only `leader.changed` of this election.
    public var group: String?

    /// A filter; without any part it lets everything through.
    public init(
        topics: [String] = [], excludedTopics: [String] = [], agent: AgentID? = nil, task: String? = nil,
        group: String? = nil
    ) {
        self.topics = topics
        self.excludedTopics = excludedTopics
        self.agent = agent
        self.task = task
        self.group = group
    }
}

extension AgentKeeperClient {
    /// Events as they happen. When this returns, the subscription is in force: what is done from now on is seen.
    ///
    ///     for try await element in try await keeper.watch(WatchFilter(topics: ["task."])) {
    ///         switch element {
    ///         case .event(let event): print(event.topic, event.sequence)
    ///         case .gap(let gap): print("events were missed, read the state anew: \(gap.reason)")
    ///         case .progress: break
    ///         }
    ///     }
    ///
    /// A connection that breaks is made anew, and the stream resumes after the last sequence that was seen, with no gap
    /// and no repeat. It ends when its task is cancelled (with nil) or when the client is closed (with an error).
    ///
    /// - Parameters:
    ///   - filter: what to watch; everything unless told otherwise.
    ///   - sequence: resume after this event; 0 means from the oldest that is kept. Nil: from now on.
    ///   - reportsProgress: whether ``WatchElement/progress(_:)`` is sent in silence, at most every 5 seconds.
    ///   - timeout: how long to wait for the daemon at first.
    /// - Throws: INVALID_ARGUMENT (a filter is too long); NOT_FOUND (the agent's id is none); RESOURCE_EXHAUSTED (too
    ///   many watchers).
    public func watch(
        _ filter: WatchFilter = WatchFilter(), after sequence: UInt64? = nil, reportsProgress: Bool = false,
        timeout: Duration? = nil
    ) async throws(AgentKeeperError) -> EventStream {
        let stream = EventStream(core: core, filter: filter, after: sequence, reportsProgress: reportsProgress)
        try await stream.begin(timeout: timeout ?? core.configuration.callTimeout)
        return stream
    }
}

/// Events of one watch, for one reader.
public struct EventStream: AsyncSequence, Sendable {
    /// An event, or what is to be known about missing ones.
    public typealias Element = WatchElement
    /// What ends the stream, when it is not the reader.
    public typealias Failure = AgentKeeperError

    private let watch: Watch

    init(core: ClientCore, filter: WatchFilter, after sequence: UInt64?, reportsProgress: Bool) {
        watch = Watch(core: core, filter: filter, after: sequence, reportsProgress: reportsProgress)
    }

    func begin(timeout: Duration) async throws(AgentKeeperError) {
        try await watch.begin(timeout: timeout)
    }

    /// The last sequence that was dealt with, events that the filter left out included: what to resume after in
    /// another process. Nil before the first is known.
    public var lastSequence: UInt64? { watch.position }

    /// Goes on where the last iterator stopped: a stream is read once.
    public func makeAsyncIterator() -> Iterator { Iterator(watch: watch) }

    /// Reads the stream.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let watch: Watch

        /// The next element; nil when the task is cancelled.
        ///
        /// - Throws: when the client is closed, or the daemon refuses to go on.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(AgentKeeperError) -> WatchElement? {
            try await watch.next()
        }

        /// As ``next(isolation:)``.
        public mutating func next() async throws(AgentKeeperError) -> WatchElement? {
            try await watch.next()
        }
    }
}

/// One watch over all its connections. Read by one task at a time.
private final class Watch: Sendable {
    /// What the daemon says in the response's metadata.
    private static let historyKey = "agentkeeper-history"
    private static let startKey = "agentkeeper-sequence"
    private static let progressTopic = "watch.progress"

    private struct State {
        var call: ClientCallHandle?
        /// The last sequence that was dealt with.
        var position: UInt64?
        /// Which history that is counted in.
        var history: String?
        var pending: [WatchElement] = []
        var pause = Duration.milliseconds(20)
    }

    private let core: ClientCore
    private let filter: WatchFilter
    private let reportsProgress: Bool
    private let state: Mutex<State>

    init(core: ClientCore, filter: WatchFilter, after sequence: UInt64?, reportsProgress: Bool) {
        self.core = core
        self.filter = filter
        self.reportsProgress = reportsProgress
        state = Mutex(State(position: sequence))
    }

    var position: UInt64? { state.withLock { $0.position } }

    func begin(timeout: Duration) async throws(AgentKeeperError) {
        let deadline = ContinuousClock.now + timeout
        let outcome = await withTaskGroup(of: Result<Void, AgentKeeperError>?.self) { group in
            group.addTask { [self] in
                do throws(AgentKeeperError) {
                    return .success(try await connect(isFirst: true))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                await Background.sleep(until: deadline)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
        if Task.isCancelled { throw .cancelled }
        guard let outcome else {
            throw .rpc(.deadlineExceeded, message: "the watch did not begin within \(timeout)")
        }
        try outcome.get()
    }

    func next() async throws(AgentKeeperError) -> WatchElement? {
        while !Task.isCancelled {
            if let element = state.withLock({ $0.pending.isEmpty ? nil : $0.pending.removeFirst() }) { return element }
            guard let call = state.withLock({ $0.call }) else {
                try await connect(isFirst: false)
                continue
            }
            do throws(CallFailure) {
                guard let bytes = try await call.nextReply() else {
                    // No stream of events ends with OK.
                    state.withLock { $0.call = nil }
                    continue
                }
                let event = try Remote.watch.response.read(bytes) { Event(wire: $0.pointee) }
                if let element = take(event) { return element }
            } catch {
                state.withLock { $0.call = nil }
                try await recover(core.error(error))
            }
        }
        return nil
    }

    private func take(_ event: Event) -> WatchElement? {
        state.withLock { state in
            state.position = event.sequence
            state.pause = .milliseconds(20)
        }
        guard event.topic == Self.progressTopic else { return .event(event) }
        return reportsProgress ? .progress(event.sequence) : nil
    }

    /// Returns with a subscription in force.
    private func connect(isFirst: Bool) async throws(AgentKeeperError) {
        while !Task.isCancelled {
            let after = state.withLock { $0.position }
            let waits = !isFirst || core.configuration.waitsForReady
            let call = core.stream(Remote.watch, waitsForReady: waits) { request, arena in
                (request.pointee.n_topics, request.pointee.topics) = arena.texts(filter.topics)
                (request.pointee.n_exclude_topics, request.pointee.exclude_topics) = arena.texts(filter.excludedTopics)
                request.pointee.agent_id = arena.string(filter.agent?.rawValue ?? "")
                request.pointee.task_id = arena.string(filter.task ?? "")
                request.pointee.group = arena.string(filter.group ?? "")
                if let after {
                    request.pointee.start_case = AGENTKEEPER__V1__WATCH_EVENTS_REQUEST__START_AFTER_SEQUENCE
                    request.pointee.after_sequence = after
                }
            }
            do throws(CallFailure) {
                let metadata = try await call.metadata()
                // Of a call that failed at once the metadata is empty, and the first reply says why.
                if joined(metadata, after: after, isFirst: isFirst) {
                    state.withLock { $0.call = call }
                    return
                }
            } catch {
                let failure = core.error(error)
                if isFirst, !core.configuration.waitsForReady { throw failure }
                try await recover(failure)
            }
        }
        throw .cancelled
    }

    /// Takes note of where the stream begins.
    ///
    /// - Returns: false when it is another history, in which the position means nothing.
    private func joined(_ metadata: Metadata, after: UInt64?, isFirst: Bool) -> Bool {
        let history = metadata[Self.historyKey]
        let start = metadata[Self.startKey].flatMap { UInt64($0) }
        return state.withLock { state in
            defer { state.history = history }
            if let known = state.history, known != history {
                state.pending.append(
                    .gap(EventGap(after: state.position, reason: "the daemon started anew, with another history")))
                state.position = 0
                return false
            }
            if after == nil, !isFirst {
                // The connection broke before anything told where we were.
                state.pending.append(
                    .gap(EventGap(after: nil, reason: "the connection broke before the first sequence was known")))
            }
            if state.position == nil || state.position == 0 { state.position = start ?? state.position }
            return true
        }
    }

    /// Waits before the next attempt, or takes note of a gap.
    ///
    /// - Throws: what another attempt would not mend.
    private func recover(_ failure: AgentKeeperError) async throws(AgentKeeperError) {
        switch failure {
        case .rpc(.outOfRange, let message):
            state.withLock { state in
                state.pending.append(.gap(EventGap(after: state.position, reason: message)))
                state.position = 0
                // One gap is enough, should it be another history as well.
                state.history = nil
            }
        case .rpc(.unavailable, _), .rpc(.internal, _), .rpc(.unknown, _), .rpc(.deadlineExceeded, _),
            .rpc(.aborted, _), .rpc(.resourceExhausted, _), .rpc(.cancelled, _):
            let pause = state.withLock { state in
                defer { state.pause = min(state.pause * 2, .seconds(2)) }
                return state.pause
            }
            await Background.sleep(for: pause.jittered(by: 0.5))
        case .cancelled:
            return
        default:
            throw failure
        }
    }
}
