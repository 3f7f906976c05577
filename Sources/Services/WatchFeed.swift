// The watchers of one event loop, and what they are fed.
//
// Watchers that keep up are live: each new event is read once and encoded once, and goes to all who
// want it. One whose connection is full leaves the live group, with nothing queued for it but its place
// in the sequence, and is fed from the history whenever it has room, until it has caught up. So a slow
// watcher costs no memory and never holds up a writer; when the history has moved past it, it is ended
// and told the last sequence that it was sent.

import Coordination
import NIOCore
import RPC
import Synchronization

final class WatchFeed: EventListener, @unchecked Sendable {
    // All but the atomics is confined to the event loop.

    /// Events read, and so the lock held and the loop kept, in one go.
    private static let batch = 256
    /// Events looked at for one slow watcher in one go; most will not be its own.
    private static let scanBatch = 2_048
    private static let progressNanoseconds: Int64 = 5_000_000_000

    let eventLoop: any EventLoop
    private let coordinator: Coordinator
    private let wakeIsPending = Atomic<Bool>(false)

    private var watchers: [ObjectIdentifier: Watcher] = [:]
    private var live: [Watcher] = []
    /// The last event that the live watchers were fed.
    private var position = Sequence.zero
    /// When the feed last worked, in nanoseconds of the monotonic clock.
    private var now: Int64 = 0
    private var ticker: RepeatedTask?
    /// The last that were ended for their slowness, the oldest first.
    private var ended: [WatcherDetails] = []

    /// For metrics.
    let openWatchers = Atomic<Int>(0)
    let laggingWatchers = Atomic<Int>(0)
    let sentEvents = Atomic<UInt64>(0)
    let endedForLag = Atomic<UInt64>(0)
    /// The cursor of the watcher that is furthest behind, as of the last second; nil as `.max`.
    let slowestCursor = Atomic<UInt64>(.max)

    init(eventLoop: any EventLoop, coordinator: Coordinator) {
        self.eventLoop = eventLoop
        self.coordinator = coordinator
    }

    // MARK: Joining and leaving

    /// Takes in a watcher that has seen everything up to its cursor.
    func add(_ watcher: Watcher) {
        if watchers.isEmpty {
            coordinator.add(self)
            startTicker()
        }
        watchers[ObjectIdentifier(watcher)] = watcher
        openWatchers.store(watchers.count, ordering: .relaxed)
        laggingWatchers.add(1, ordering: .relaxed)
        watcher.call.onWritable = { [unowned self, unowned watcher] _ in pump(watcher) }
        watcher.call.onInterruption = { [unowned self, unowned watcher] _, _ in remove(watcher) }
        pump(watcher)
    }

    private func remove(_ watcher: Watcher) {
        leaveLive(watcher)
        laggingWatchers.subtract(1, ordering: .relaxed)
        watchers[ObjectIdentifier(watcher)] = nil
        openWatchers.store(watchers.count, ordering: .relaxed)
        if watchers.isEmpty {
            coordinator.remove(self)
            ticker?.cancel()
            ticker = nil
            slowestCursor.store(.max, ordering: .relaxed)
        }
    }

    private func joinLive(_ watcher: Watcher) {
        watcher.livePlace = live.count
        live.append(watcher)
        laggingWatchers.subtract(1, ordering: .relaxed)
    }

    private func leaveLive(_ watcher: Watcher) {
        guard let place = watcher.livePlace else { return }
        live.swapAt(place, live.count - 1)
        live[place].livePlace = place
        live.removeLast()
        watcher.livePlace = nil
        laggingWatchers.add(1, ordering: .relaxed)
    }

    private func end(_ watcher: Watcher, _ status: Status) {
        var details = watcher.details(position: position)
        details.toldOfGapAt = Clock.wallTime()
        if ended.count == WatcherList.maxEnded { ended.removeFirst() }
        ended.append(details)
        watcher.call.onInterruption = nil
        remove(watcher)
        endedForLag.add(1, ordering: .relaxed)
        watcher.call.finish(status)
    }

    /// The watchers of this loop, as they stand: looked at as often as somebody asks, at the cost of a tick.
    func list(_ query: WatcherQuery) -> EventLoopFuture<WatcherList> {
        eventLoop.submit { [self] in
            var list = WatcherList()
            list.total = watchers.count
            list.ended = ended.reversed()
            let wanted = watchers.values.filter { query.wants($0.number, isLive: $0.livePlace != nil) }
            list.open = wanted.sorted { $0.number < $1.number }.prefix(query.limit).map {
                $0.details(position: position)
            }
            return list
        }
    }

    // MARK: Live

    func eventsWereAdded() {
        guard !wakeIsPending.exchange(true, ordering: .acquiringAndReleasing) else { return }
        eventLoop.execute { [self] in
            wakeIsPending.store(false, ordering: .releasing)
            feedLive()
        }
    }

    private func feedLive() {
        guard !live.isEmpty else { return }
        switch read(after: position, EventFilter(), limit: Self.batch, scanning: Self.batch) {
        case .success(let (events, examined)):
            position = examined
            now = MonotonicClock.now()
            for event in events { deliver(event) }
            if events.count == Self.batch { eventsWereAdded() }
        case .failure:
            // This loop was held up for so long that the history has moved on: each watcher is told.
            for watcher in live {
                leaveLive(watcher)
                pump(watcher)
            }
        }
    }

    private func deliver(_ event: Event) {
        guard let resources = live.first?.call.resources else { return }
        resources.withArena { arena in
            var packed: UnsafeRawBufferPointer?
            var place = 0
            while place < live.count {
                let watcher = live[place]
                guard event.sequence > watcher.cursor, watcher.filter.matches(event) else {
                    place += 1
                    continue
                }
                guard watcher.call.isWritable else {
                    // Another takes its place in the list.
                    watcher.cursor = Sequence(event.sequence.value - 1)
                    leaveLive(watcher)
                    continue
                }
                let bytes = packed ?? arena.packed(event)
                packed = bytes
                send(bytes, event.sequence, to: watcher)
                // Unless the sending ended it, and another is in its place.
                if place < live.count, live[place] === watcher { place += 1 }
            }
        }
    }

    // MARK: From the history

    /// Feeds a watcher that is not live for as long as it has room.
    private func pump(_ watcher: Watcher) {
        guard watcher.livePlace == nil, watcher.call.isOpen, watcher.call.isWritable else { return }
        let start = watcher.cursor
        switch read(after: start, watcher.filter, limit: Self.batch, scanning: Self.scanBatch) {
        case .success(let (events, examined)):
            now = MonotonicClock.now()
            for event in events {
                guard watcher.call.isWritable else {
                    watcher.cursor = Sequence(event.sequence.value - 1)
                    return
                }
                watcher.call.resources.withArena { send($0.packed(event), event.sequence, to: watcher) }
            }
            watcher.cursor = examined
            if examined > start {
                // There may be more; others on this loop come first.
                let bound = NIOLoopBound(watcher, eventLoop: eventLoop)
                eventLoop.execute { [self] in pump(bound.value) }
            } else {
                // With nobody live, nothing before this concerns anybody. Else the live watchers may be
                // further back, and what comes to them up to its cursor this one has seen.
                if live.isEmpty { position = examined }
                joinLive(watcher)
            }
        case .failure(.historyGone(_, let oldest)):
            end(watcher, watcher.fellBehind(oldest: oldest))
        case .failure(let refusal):
            end(watcher, Status(refusal))
        }
    }

    private func read(
        after sequence: Sequence, _ filter: EventFilter, limit: Int, scanning: Int
    ) -> Result<(events: [Event], examined: Sequence), Refusal> {
        Result { () throws(Refusal) in
            try coordinator.events(
                after: sequence, matching: filter, limit: limit, scanning: scanning, at: Clock.now())
        }
    }

    // MARK: Sending

    private func send(_ bytes: UnsafeRawBufferPointer, _ sequence: Sequence, to watcher: Watcher) {
        watcher.cursor = sequence
        watcher.lastSent = sequence
        watcher.sentAt = now
        watcher.call.send(bytes)
        sentEvents.store(sentEvents.load(ordering: .relaxed) + 1, ordering: .relaxed)
    }

    /// Once a second: progress for the idle, and how far behind the slowest is.
    private func startTicker() {
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { [self] _ in tick() }
    }

    private func tick() {
        now = MonotonicClock.now()
        var slowest = position
        for watcher in watchers.values {
            // What a live watcher has not been sent, it did not want.
            if watcher.livePlace != nil { watcher.cursor = max(watcher.cursor, position) }
            slowest = min(slowest, watcher.cursor)
            if watcher.kind == .withProgress, watcher.livePlace != nil,
                now - watcher.sentAt >= Self.progressNanoseconds, watcher.call.isWritable
            {
                watcher.sentAt = now
                watcher.call.sendProgress(watcher.cursor)
            }
        }
        slowestCursor.store(slowest.value, ordering: .relaxed)
    }
}

extension Arena {
    /// The event as it is sent.
    fileprivate func packed(_ event: Event) -> UnsafeRawBufferPointer {
        let message = self.message(event)
        let size = packedSize(message)
        let bytes = allocate(size)
        pack(message, to: bytes)
        return UnsafeRawBufferPointer(start: bytes, count: size)
    }
}

extension ServerCall {
    /// Tells a watcher that it has missed nothing up to `sequence`.
    fileprivate func sendProgress(_ sequence: Sequence) {
        resources.withArena { arena in
            let message = Wire.event.make(in: arena)
            message.pointee.topic = arena.string("watch.progress")
            message.pointee.sequence_number = sequence.value
            message.pointee.occurred_at = arena.timestamp(Clock.wallTime())
            send(message: message)
        }
    }
}
