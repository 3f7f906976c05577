// `/events`: everything that happens, from any place in the kept history on. Durable events only, like every watcher.
//
// A stream is asleep until `EventFeed` has something for it, and then takes it from there piece by piece.
//
// An event's id is its sequence behind the name of the history, so that a client that comes back to a daemon which has
// forgotten everything is told so, and isn't deceived by numbers that have grown past its own.

import Coordination
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
    private let feed: EventFeed
    private let start: EventStart
    private let peer: String
    private let rings: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    /// Nil before the beginning.
    private var id: EventFeed.ReaderID?
    /// How long to wait before the next look.
    private var rest = Duration.zero

    /// - Parameter peer: who asked.
    init(feed: EventFeed, start: EventStart, peer: String = "") {
        self.feed = feed
        self.start = start
        self.peer = peer
        (rings, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    mutating func next() async -> ByteBuffer? {
        guard let id else {
            let (id, hello) = await feed.join(start, from: peer, ring)
            self.id = id
            return hello
        }
        while true {
            if rest > .zero { try? await Task.sleep(for: rest) }
            guard !Task.isCancelled else { return nil }
            let look = await feed.look(for: id)
            rest = look.rest
            if look.piece.readableBytes > 0 { return look.piece }
            if look.isAtEnd {
                var iterator = rings.makeAsyncIterator()
                // Nil when the task is cancelled.
                guard await iterator.next() != nil else { return nil }
            }
        }
    }

    func end() {
        guard let id else { return }
        Task { [feed] in await feed.leave(id) }
    }
}
