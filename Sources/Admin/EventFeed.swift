// What is new, looked at once for all streams of events.
//
// The core's lock is taken for everybody together, and a stream that wants nothing of what is new sleeps on: so many
// streams cost the calls of the first listener what one does. The first event after quiet is looked at at once; those
// that follow gather for a moment. A stream that wants something reads it from the kept history by itself, from its own
// place on, as one does that has just come or whose client reads slowly; so none has a queue.
//
// To write events as JSON costs far more than to make them. All streams together get a part of one core for it, and what
// they don't get through falls out of the history, of which they are told.

import Coordination
import JSON
import NIOCore
import Synchronization

actor EventFeed {
    /// The number that it has among all who watch.
    typealias ReaderID = UInt64
    typealias LookerID = UInt64

    /// What one look brought.
    struct Look {
        var piece = ByteBuffer()
        /// Whether there is nothing more to look at: the next ring tells of it.
        var isAtEnd = false
        /// How long to wait before the next look, so that all streams together take no more than their part.
        var rest = Duration.zero
    }

    /// How long events gather after a look. When events come as fast as the core can make them, the history that is kept
    /// by default covers 60 ms.
    fileprivate static let gathering = Duration.milliseconds(20)
    /// New events read, and so the lock held, in one go; those that nobody wants are not copied, only passed.
    private static let scoutBatch = 500
    private static let scoutScanning = 2_000
    /// The same for one stream.
    private static let batch = 256
    private static let scanning = 2_000
    private static let progressInterval = Span.seconds(5)
    fileprivate static let tickInterval = Duration.milliseconds(500)
    /// Looks for streams take one part in so many of one core's time, once they have taken more than the burst.
    private static let shares: Int64 = 5
    private static let burst = Span.milliseconds(10)

    /// A stream. Its place is the last event that it was told of or doesn't want.
    private final class Reader {
        let peer: String
        let openedAt: WallTime
        let filter: EventFilter
        var cursor: Sequence
        /// When it was told that events which it wanted are gone.
        var toldOfGapAt: WallTime?
        /// When it was last told anything.
        var toldAt: Instant
        let ring: AsyncStream<Void>.Continuation

        init(
            filter: EventFilter, cursor: Sequence, from peer: String, at now: Moment,
            ring: AsyncStream<Void>.Continuation
        ) {
            self.peer = peer
            self.filter = filter
            self.cursor = cursor
            self.ring = ring
            openedAt = now.wall
            toldAt = now.instant
        }

        /// Passes by what it doesn't want of these events, which are all that anybody might want of those after `start` and
        /// up to `end`; rings where something is left. One whose place is before them is reading by itself, or will be.
        func pass(_ events: [Event], topics: UInt32, after start: Sequence, upTo end: Sequence) {
            guard cursor >= start, cursor < end else { return }
            var next: Event?
            if filter.topicBits & topics != 0 {
                next = events.first { $0.sequence > cursor && filter.matches($0) }
            }
            cursor = next.map { Sequence($0.sequence.value - 1) } ?? end
            if next != nil { ring.yield() }
        }
    }

    private let sources: AdminSources
    private var readers: [ReaderID: Reader] = [:]
    /// Those who look at something else whenever anything happens.
    private var lookers: [LookerID: AsyncStream<Void>.Continuation] = [:]
    private var lastLooker: LookerID = 0
    /// What all of them together might want.
    private var wanted = EventFilter(topicsOf: [EventFilter]())
    /// The last event that was looked at for all.
    private(set) var position = Sequence.zero
    /// Until when the looks so far are paid for.
    private var paidUntil = Instant(nanoseconds: 0)
    /// While there is anybody.
    private var bell: Bell?

    init(sources: AdminSources) {
        self.sources = sources
    }

    // MARK: Readers

    /// Finds out where to begin, and says so.
    ///
    /// - Parameter peer: who asked.
    func join(
        _ start: EventStart, from peer: String, _ ring: AsyncStream<Void>.Continuation
    ) -> (ReaderID, hello: ByteBuffer) {
        let coordinator = sources.coordinator
        listen()
        let now = sources.now()
        let last = coordinator.lastTellableSequence(at: now)
        let oldest = coordinator.read(at: now) { $0.oldestKeptSequence }.result
        let reader = Reader(filter: start.filter, cursor: start.after ?? last, from: peer, at: now, ring: ring)
        var piece = ByteBuffer()
        piece.writeString("retry: 1000\n\n")
        let isOther = start.history.map { $0 != sources.daemon.history } ?? false
        let isNew = isOther || reader.cursor > last
        if !isNew, reader.cursor == .zero, start.history == nil {
            // From the beginning, whatever that is.
            reader.cursor = Sequence(oldest.value - 1)
        }
        let hasGap = isNew || reader.cursor.value + 1 < oldest.value
        // A client that is cut off before the first event comes back to the same place. Where it is to be told of a gap,
        // that is its new place only when it has been.
        piece.writeEvent(
            "hello", id: hasGap ? nil : eventID(reader.cursor),
            data: "{\"history\":\"\(sources.daemon.history)\",\"last_sequence\":\(last.value),"
                + "\"oldest_kept_sequence\":\(oldest.value)}")
        if hasGap { writeGap(&piece, reader, oldest: oldest, historyChanged: isNew) }
        let id = coordinator.nextWatcherNumber()
        readers[id] = reader
        wanted = EventFilter(topicsOf: readers.values.map(\.filter))
        return (id, piece)
    }

    func leave(_ id: ReaderID) {
        readers[id] = nil
        wanted = EventFilter(topicsOf: readers.values.map(\.filter))
        listenNoMore()
    }

    /// Rings whenever events have come, which then are those up to `position`, and every half second.
    func attend(_ ring: AsyncStream<Void>.Continuation) -> LookerID {
        listen()
        lastLooker += 1
        lookers[lastLooker] = ring
        return lastLooker
    }

    func attendNoMore(_ id: LookerID) {
        lookers[id] = nil
        listenNoMore()
    }

    private func listen() {
        guard bell == nil else { return }
        // In this order: what comes in between rings.
        bell = Bell(feed: self, sources.coordinator)
        position = sources.coordinator.lastTellableSequence(at: sources.now())
    }

    private func listenNoMore() {
        guard readers.isEmpty, lookers.isEmpty else { return }
        bell?.end()
        bell = nil
    }

    private func writeGap(_ piece: inout ByteBuffer, _ reader: Reader, oldest: Sequence, historyChanged: Bool) {
        let after = reader.cursor
        reader.cursor = Sequence(oldest.value - 1)
        reader.toldOfGapAt = sources.now().wall
        piece.writeEvent(
            "gap", id: eventID(reader.cursor),
            data: "{\"after\":\(after.value),\"oldest_kept_sequence\":\(oldest.value),"
                + "\"history_changed\":\(historyChanged)}")
    }

    // MARK: Who they are

    var count: Int { readers.count }

    /// They watch as the gRPC port's watchers do, and are listed with them.
    func list(_ query: WatcherQuery) -> WatcherList {
        if bell != nil { scout() }
        var list = WatcherList()
        list.total = readers.count
        let all = readers.lazy.map { [position] id, reader in
            WatcherDetails(
                number: id, peer: reader.peer, call: "/events", openedAt: reader.openedAt, filter: reader.filter,
                cursor: reader.cursor, isLive: reader.cursor >= position, toldOfGapAt: reader.toldOfGapAt)
        }
        list.open = Array(
            all.filter { query.wants($0.number, isLive: $0.isLive) }.sorted { $0.number < $1.number }
                .prefix(query.limit))
        return list
    }

    // MARK: For all

    /// Looks at what is new.
    fileprivate func scout() {
        let before = position
        defer { if position > before { for ring in lookers.values { ring.yield() } } }
        do throws(Refusal) {
            while true {
                let (events, examined) = try sources.coordinator.events(
                    after: position, matching: wanted, limit: Self.scoutBatch, scanning: Self.scoutScanning,
                    at: sources.now())
                guard examined > position else { return }
                let topics = events.reduce(0 as UInt32) { $0 | 1 << $1.topic.index }
                for reader in readers.values { reader.pass(events, topics: topics, after: position, upTo: examined) }
                position = examined
            }
        } catch {
            // The history has moved past all that slept: each finds out for itself.
            position = sources.coordinator.lastTellableSequence(at: sources.now())
            for reader in readers.values { reader.ring.yield() }
        }
    }

    /// Wakes those to whom nothing was said for long, and whoever looks at what is no event.
    fileprivate func tick() {
        for ring in lookers.values { ring.yield() }
        let now = sources.now().instant
        for reader in readers.values where now - reader.toldAt >= Self.progressInterval { reader.ring.yield() }
    }

    // MARK: For one

    func look(for id: ReaderID) -> Look {
        var look = Look()
        guard let reader = readers[id] else { return look }
        let began = sources.now().instant
        take(reader, &look)
        let now = sources.now().instant
        if look.piece.readableBytes == 0, now - reader.toldAt >= Self.progressInterval {
            look.piece.writeEvent(
                "progress", id: eventID(reader.cursor), data: "{\"sequence\":\(reader.cursor.value)}")
        }
        if look.piece.readableBytes > 0 { reader.toldAt = now }
        paidUntil = max(paidUntil, began) + (now - began) * Self.shares
        let debt = paidUntil - now
        if debt > Self.burst { look.rest = .nanoseconds(debt.nanoseconds) }
        return look
    }

    private func eventID(_ sequence: Sequence) -> String { "\(sources.daemon.history)-\(sequence.value)" }

    /// Takes the next events.
    private func take(_ reader: Reader, _ look: inout Look) {
        do throws(Refusal) {
            let (events, examined) = try sources.coordinator.events(
                after: reader.cursor, matching: reader.filter, limit: Self.batch, scanning: Self.scanning,
                at: sources.now())
            var items: [JSON] = []
            if !events.isEmpty {
                var reads = Reads(sources)
                items = reads.json(events).fitting(AdminLimits.maxPieceBytes)
            }
            look.isAtEnd = examined == reader.cursor
            reader.cursor = items.count < events.count ? events[items.count - 1].sequence : examined
            for (event, json) in zip(events, items) {
                look.piece.writeEvent(id: eventID(event.sequence), data: json.line)
            }
        } catch {
            // The history has moved past a client that reads slowly.
            let oldest = sources.coordinator.read(at: sources.now()) { $0.oldestKeptSequence }.result
            writeGap(&look.piece, reader, oldest: oldest, historyChanged: false)
        }
    }
}

/// Wakes a feed when there are events, at once and then at most once in a while, and every so often.
private final class Bell: EventListener {
    private let coordinator: Coordinator
    private let isRung = Atomic(false)
    private let rings: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let tasks = Mutex<[Task<Void, Never>]>([])

    init(feed: EventFeed, _ coordinator: Coordinator) {
        self.coordinator = coordinator
        (rings, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        coordinator.add(self)
        let events = Task { [self] in
            for await _ in rings {
                isRung.store(false, ordering: .sequentiallyConsistent)
                await feed.scout()
                try? await Task.sleep(for: EventFeed.gathering)
            }
        }
        let time = Task {
            while (try? await Task.sleep(for: EventFeed.tickInterval)) != nil { await feed.tick() }
        }
        tasks.withLock { $0 = [events, time] }
    }

    /// By whoever made the events: all that come until the next look cost it one comparison.
    func eventsWereAdded() {
        if !isRung.exchange(true, ordering: .sequentiallyConsistent) { ring.yield() }
    }

    /// The coordinator keeps its listeners, so somebody must say when it is over.
    func end() {
        coordinator.remove(self)
        ring.finish()
        for task in tasks.withLock({ $0 }) { task.cancel() }
    }
}
