// `/events`: everything that happens, from any place in the kept history on. Durable events only, like every watcher.
//
// An event's id is its sequence behind the name of the history, so that a client that comes back to a daemon which has
// forgotten everything is told so, and isn't deceived by numbers that have grown past its own.

import Coordination
import JSON
import NIOCore

/// What is asked for, and from where on.
struct EventStart: Equatable, Sendable {
    var filter: EventFilter
    /// Nil for what is to come.
    var after: Sequence?
    /// The history that `after` belongs to; nil for whichever there is.
    var history: String?

    init(_ parameters: Parameters, lastID: String?) throws(Problem) {
        var parameters = parameters
        filter = try EventFilter(&parameters)
        after = try parameters.number("after", 0...UInt64.max).map { Sequence($0) }
        try parameters.end()
        // The header of a client that comes back wins over the address that it began with.
        guard let lastID, !lastID.isEmpty else { return }
        let parts = lastID.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let number = parts.last.flatMap({ UInt64($0) }) else {
            throw .invalid("Last-Event-ID must be an id that /events gave out, found \(quoted(lastID))")
        }
        after = Sequence(number)
        history = parts.count == 2 ? String(parts[0]) : nil
    }
}

struct EventStream: PieceSource {
    /// Events read, and so the lock held, in one go; and looked at, where the filter lets few through.
    private static let batch = 256
    private static let scanning = 2_000
    private static let progressInterval = Duration.seconds(5)

    private let reader: StateReader
    private let start: EventStart
    private let bell: Bell
    private let watch: EventWatch
    private var cursor = Sequence.zero
    private var hasBegun = false
    /// Whether the last look found everything.
    private var isAtEnd = false

    /// - Parameter peer: who asked.
    init(reader: StateReader, start: EventStart, peer: String) {
        self.reader = reader
        self.start = start
        watch = reader.watches.add(peer: peer, filter: start.filter, at: reader.sources.now().wall)
        bell = Bell(coordinator: reader.sources.coordinator, every: Self.progressInterval)
    }

    mutating func next() async -> ByteBuffer? {
        var piece = ByteBuffer()
        if !hasBegun {
            hasBegun = true
            piece = begin()
        }
        while piece.readableBytes == 0 {
            if isAtEnd {
                watch.hasCome(to: cursor, isLive: true)
                guard let ring = await bell.next() else { return nil }
                if await look(&piece) == 0, piece.readableBytes == 0, ring == .time {
                    let id = "\(reader.sources.daemon.history)-\(cursor.value)"
                    piece.writeEvent("progress", id: id, data: "{\"sequence\":\(cursor.value)}")
                }
            } else {
                _ = await look(&piece)
            }
        }
        // A live one has what is in this piece as soon as it has read it.
        watch.hasCome(to: cursor, isLive: isAtEnd)
        return piece
    }

    func end() {
        bell.end()
        reader.watches.remove(watch)
    }

    /// Finds out where to begin, and says so.
    private mutating func begin() -> ByteBuffer {
        let sources = reader.sources
        let coordinator = sources.coordinator
        let last = coordinator.lastTellableSequence(at: sources.now())
        let oldest = coordinator.read(at: sources.now()) { $0.oldestKeptSequence }.result
        var piece = ByteBuffer()
        piece.writeString("retry: 1000\n\n")
        piece.writeEvent(
            "hello",
            data: "{\"history\":\"\(sources.daemon.history)\",\"last_sequence\":\(last.value),"
                + "\"oldest_kept_sequence\":\(oldest.value)}")
        let isOther = start.history.map { $0 != sources.daemon.history } ?? false
        cursor = start.after ?? last
        if isOther || cursor > last {
            writeGap(&piece, oldest: oldest, historyChanged: true)
        } else if cursor == .zero, start.history == nil {
            // From the beginning, whatever that is.
            cursor = Sequence(oldest.value - 1)
        } else if cursor.value + 1 < oldest.value {
            writeGap(&piece, oldest: oldest, historyChanged: false)
        }
        return piece
    }

    private mutating func writeGap(_ piece: inout ByteBuffer, oldest: Sequence, historyChanged: Bool) {
        watch.wasToldOfGap(at: reader.sources.now().wall)
        piece.writeEvent(
            "gap",
            data: "{\"after\":\(cursor.value),\"oldest_kept_sequence\":\(oldest.value),"
                + "\"history_changed\":\(historyChanged)}")
        cursor = Sequence(oldest.value - 1)
    }

    /// Takes the next events; returns how many.
    private mutating func look(_ piece: inout ByteBuffer) async -> Int {
        let sources = reader.sources
        do throws(Refusal) {
            let (events, examined) = try sources.coordinator.events(
                after: cursor, matching: start.filter, limit: Self.batch, scanning: Self.scanning, at: sources.now())
            let items = await reader.json(events).fitting(AdminLimits.maxPageBytes)
            isAtEnd = examined == cursor
            cursor = items.count < events.count ? events[items.count - 1].sequence : examined
            for (event, json) in zip(events, items) {
                piece.writeEvent(id: "\(sources.daemon.history)-\(event.sequence.value)", data: json.line)
            }
            return events.count
        } catch {
            // The history has moved past a client that reads slowly.
            let oldest = sources.coordinator.read(at: sources.now()) { $0.oldestKeptSequence }.result
            writeGap(&piece, oldest: oldest, historyChanged: false)
            isAtEnd = false
            return 0
        }
    }
}

extension StateReader {
    func json(_ events: [Event]) -> [JSON] {
        guard !events.isEmpty else { return [] }
        var reads = Reads(sources)
        return reads.json(events)
    }
}
