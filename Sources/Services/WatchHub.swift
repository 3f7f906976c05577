// The calls that stream events, and the feeds behind them: one for each event loop.

import CMessages
import Coordination
import NIOCore
import RPC

package final class WatchHub: Sendable {
    static let name = "agentkeeper.v1.WatchService"
    private static let shortName = "WatchService.Watch"
    /// Watchers at once; each costs about 2 KiB.
    private static let maxWatchers = 20_000
    /// Prefixes of one kind in one request: there are eighteen topics.
    private static let maxPrefixes = 64
    /// A filter's text, in bytes: no name is longer.
    private static let maxTextBytes = Limits().maxNameBytes

    private static let watchRequest = MessageType(agentkeeper__v1__watch_request__init)
    private static let eventsRequest = MessageType(agentkeeper__v1__watch_events_request__init)
    private static let electionRequest = MessageType(agentkeeper__v1__watch_election_request__init)

    private let coordinator: Coordinator
    private let feeds: [WatchFeed]

    /// Names the history that sequence numbers are counted in; nil for one that outlives the process.
    private let history: String?

    package init(coordinator: Coordinator, group: any EventLoopGroup, history: String? = nil) {
        self.coordinator = coordinator
        self.history = history
        feeds = group.makeIterator().map { WatchFeed(eventLoop: $0, coordinator: coordinator) }
    }

    var methods: [Method] {
        [
            .waiting("/\(RegistryService.name)/Watch", Self.watchRequest, streamsReplies: true) {
                [self] call, request, _ throws(Status) in
                let topics = try prefixes(request.pointee.topics, request.pointee.n_topics, "topics")
                try begin(call, "RegistryService.Watch", EventFilter(topics: topics), .plain, after: nil)
            },
            .waiting("/\(ElectionService.name)/WatchElection", Self.electionRequest, streamsReplies: true) {
                [self] call, request, _ throws(Status) in
                try watchElection(call, GroupName(try text(request.pointee.group, "group")))
            },
            .waiting("/\(Self.name)/Watch", Self.eventsRequest, streamsReplies: true) {
                [self] call, request, _ throws(Status) in
                try watchEvents(call, request.pointee)
            },
        ]
    }

    private func watchEvents(_ call: ServerCall, _ request: Agentkeeper__V1__WatchEventsRequest) throws(Status) {
        let task = try text(request.task_id, "task_id")
        let group = try text(request.group, "group")
        var filter = EventFilter(
            topics: try prefixes(request.topics, request.n_topics, "topics"),
            excludedTopics: try prefixes(request.exclude_topics, request.n_exclude_topics, "exclude_topics"),
            task: task.isEmpty ? nil : TaskID(task), group: group.isEmpty ? nil : GroupName(group))
        // An id that is no agent's by its form is NOT_FOUND: events for it could never come.
        if request.agent_id.pointee != 0 { filter.agent = try AgentID(wire: request.agent_id) }
        guard request.start_case == AGENTKEEPER__V1__WATCH_EVENTS_REQUEST__START_AFTER_SEQUENCE else {
            return try begin(call, Self.shortName, filter, .withProgress, after: nil)
        }
        let start = Sequence(request.after_sequence)
        let after = coordinator.read(at: call.moment) { $0.start(start) }.result
        do throws(Refusal) {
            _ = try coordinator.events(after: after, matching: filter, limit: 0, scanning: 0, at: call.moment)
        } catch {
            throw Status(error)
        }
        try begin(call, Self.shortName, filter, .withProgress, after: after)
    }

    /// The state as it is, if the group exists, then every change.
    private func watchElection(_ call: ServerCall, _ group: GroupName) throws(Status) {
        guard !group.isEmpty else { throw Status(.invalidArgument, "group must not be empty") }
        let (first, last) = ServiceContext(coordinator: coordinator).read(call) { machine in
            let election = machine.election(group)
            let event = election.map { election in
                // The event itself, with its reason, if it is still kept.
                let kept = try? machine.events(
                    after: Sequence(election.changedBy.value - 1), matching: EventFilter(), limit: 1, scanning: 1
                ).events.first
                return kept
                    ?? Event(
                        sequence: election.changedBy, topic: .leaderChanged, occurredAt: election.changedAt,
                        payload: .election(election.state), agent: election.state.leader)
            }
            return (event, machine.lastSequence)
        }
        let filter = EventFilter(topics: [Topic.leaderChanged.rawValue], group: group)
        try begin(call, "ElectionService.WatchElection", filter, .plain, after: last) { call in
            guard let first else { return }
            call.resources.withArena { call.send(message: $0.message(first)) }
        }
    }

    /// - Parameters:
    ///   - name: of what was called.
    ///   - sequence: events after this one are sent; nil for those from now on.
    ///   - greet: sends what comes before any event.
    private func begin(
        _ call: ServerCall, _ name: String, _ filter: EventFilter, _ kind: Watcher.Kind, after sequence: Sequence?,
        greet: (ServerCall) -> Void = { _ in }
    ) throws(Status) {
        guard openWatchers < Self.maxWatchers else {
            throw Status(.resourceExhausted, "\(Self.maxWatchers) watchers are open already, the most that may")
        }
        guard let feed = feeds.first(where: { $0.eventLoop === call.eventLoop }) else {
            preconditionFailure("a call on an event loop of another group")
        }
        let start = sequence ?? coordinator.lastTellableSequence(at: call.moment)
        call.sendHeaders(kind == .withProgress ? metadata(start) : Metadata())
        greet(call)
        feed.add(
            Watcher(
                call: call, name: name, number: coordinator.nextWatcherNumber(), filter: filter, kind: kind,
                after: start))
    }

    /// Where the stream begins, so that a watcher whose connection breaks before the first event knows what to resume
    /// after; and in which history, so that one who comes back to a daemon that forgot everything is not deceived by
    /// sequence numbers that have grown past its own.
    private func metadata(_ start: Sequence) -> Metadata {
        var metadata = Metadata()
        metadata.add("agentkeeper-sequence", String(start.value))
        if let history { metadata.add("agentkeeper-history", history) }
        return metadata
    }

    private func prefixes(
        _ pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, _ count: Int, _ field: StaticString
    ) throws(Status) -> [String] {
        guard count <= Self.maxPrefixes else {
            throw Status(.invalidArgument, "\(field) must have at most \(Self.maxPrefixes) entries, found \(count)")
        }
        var prefixes: [String] = []
        for index in 0..<count { prefixes.append(try text(pointers![index]!, field)) }
        return prefixes
    }

    private func text(_ pointer: UnsafePointer<CChar>, _ field: StaticString) throws(Status) -> String {
        let text = String(wire: pointer)
        guard text.utf8.count <= Self.maxTextBytes else {
            throw Status(
                .invalidArgument,
                "\(field) must be at most \(Self.maxTextBytes) bytes, found \(text.utf8.count): \(quoted(text))")
        }
        return text
    }

    /// Who watches.
    package func list(_ query: WatcherQuery) async -> WatcherList {
        var all = WatcherList()
        for feed in feeds {
            // A loop that has ended has nobody any more.
            if let list = try? await feed.list(query).get() { all.add(list, limit: query.limit) }
        }
        return all
    }

    // MARK: Metrics

    package var openWatchers: Int { feeds.reduce(0) { $0 + $1.openWatchers.load(ordering: .relaxed) } }

    package struct Snapshot: Sendable {
        package var open = 0
        package var lagging = 0
        package var sentEvents: UInt64 = 0
        package var endedForLag: UInt64 = 0
        /// How many events the slowest watcher is behind, as of the last second.
        package var maxLag: UInt64 = 0
    }

    package func snapshot(last: Sequence) -> Snapshot {
        var snapshot = Snapshot()
        snapshot.open = openWatchers
        for feed in feeds {
            snapshot.lagging += feed.laggingWatchers.load(ordering: .relaxed)
            snapshot.sentEvents += feed.sentEvents.load(ordering: .relaxed)
            snapshot.endedForLag += feed.endedForLag.load(ordering: .relaxed)
            let cursor = feed.slowestCursor.load(ordering: .relaxed)
            if cursor < last.value { snapshot.maxLag = max(snapshot.maxLag, last.value - cursor) }
        }
        return snapshot
    }
}

extension Machine {
    /// Where a watcher begins that asks for what comes after `sequence`: 0 means with the oldest event
    /// that is kept.
    fileprivate borrowing func start(_ sequence: Sequence) -> Sequence {
        sequence == .zero ? Sequence(oldestKeptSequence.value - 1) : sequence
    }
}
