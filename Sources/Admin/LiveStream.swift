// `/api/v1/live`: some addresses, each answered anew whenever its answer changes.
//
// The first event after a quiet half second is looked at as it comes, and what follows within the next half second at its
// end, all together: so what happens is seen at once, and the cost doesn't grow with what the daemon has to do. Once a
// second there is a look in any case, since not all that shows is an event. That makes two looks a second at the most,
// over any time. A page holds one such stream, and asks for nothing itself.

import Coordination
import JSON
import NIOCore

/// One of the addresses.
enum LiveQuestion: Equatable, Sendable {
    case resource(Resource)
    case problem(Problem)

    static let most = 8

    static func all(_ parameters: Parameters) throws(Problem) -> [LiveQuestion] {
        var parameters = parameters
        let texts = try parameters.texts("q", most: most)
        try parameters.end()
        guard !texts.isEmpty else { throw .invalid("q must be given: an address such as agents?status=alive") }
        return texts.map { text in
            do throws(Problem) {
                let target = Target("/" + text)
                return .resource(try Resource(segments: try target.segments(), parameters: try target.parameters()))
            } catch {
                return .problem(error)
            }
        }
    }
}

struct LiveStream: PieceSource {
    /// Between two looks for the sake of events.
    static let interval = Duration.milliseconds(500)
    /// After a look, until the next for the sake of what is no event: a heartbeat, a call that waits, the charts.
    private static let quietInterval = Duration.seconds(1)
    private static let signOfLife = Duration.seconds(2)

    let reader: StateReader
    let questions: [LiveQuestion]
    private let rings: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private var attendance: EventFeed.LookerID?
    /// The last event that was looked for.
    private var seen = Sequence.zero
    /// What each was last answered.
    private var last: [Reading.Digest?]
    /// The next question of this look.
    private var place = 0
    private var lookedAt: ContinuousClock.Instant?
    private var lookedForEventsAt: ContinuousClock.Instant?
    private var saidAt = ContinuousClock.now

    init(reader: StateReader, questions: [LiveQuestion]) {
        self.reader = reader
        self.questions = questions
        (rings, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        last = questions.map { _ in nil }
    }

    mutating func next() async -> ByteBuffer? {
        if attendance == nil {
            attendance = await reader.feed.attend(ring)
            seen = await reader.feed.position
        }
        while true {
            let isFirst = lookedAt == nil
            if place == 0 {
                if !isFirst, await !waitUntilDue() { return nil }
                lookedAt = .now
            }
            var piece = ByteBuffer()
            if isFirst { piece.writeString("retry: 1000\n\n") }
            await look(&piece)
            if piece.readableBytes == 0, saidAt.duration(to: .now) >= Self.signOfLife {
                piece.writeEvent("alive", data: "{\"clock_ms\":\(reader.clockMilliseconds)}")
            }
            if piece.readableBytes > 0 {
                saidAt = .now
                return piece
            }
        }
    }

    func end() {
        guard let attendance else { return }
        Task { [feed = reader.feed] in await feed.attendNoMore(attendance) }
    }

    /// False when the client has gone away.
    private mutating func waitUntilDue() async -> Bool {
        var iterator = rings.makeAsyncIterator()
        // Nil when the task is cancelled.
        while await iterator.next() != nil {
            let position = await reader.feed.position
            if position > seen {
                seen = position
                if let before = lookedForEventsAt {
                    guard (try? await Task.sleep(until: before + Self.interval)) != nil else { return false }
                }
                lookedForEventsAt = .now
                return true
            }
            if let lookedAt, lookedAt.duration(to: .now) >= Self.quietInterval { return true }
        }
        return false
    }

    /// A piece that is full ends early, and the next one goes on at once.
    private mutating func look(_ piece: inout ByteBuffer) async {
        while place < questions.count, piece.readableBytes < AdminLimits.maxPieceBytes {
            let index = place
            place += 1
            // A wrong address has been said so once.
            if case .problem = questions[index], last[index] != nil { continue }
            let reading =
                switch questions[index] {
                case .resource(let resource):
                    await reader.read(resource, pageBytes: AdminLimits.maxLivePageBytes)
                case .problem(let problem): Reading(problem)
                }
            let digest = reading.digest
            if last[index] == digest { continue }
            last[index] = digest
            piece.writeEvent(
                "answer", data: "{\"q\":\(index),\"status\":\(reading.status.code),\"body\":\(reading.text)}")
        }
        if place == questions.count { place = 0 }
    }
}

extension StateReader {
    var clockMilliseconds: Int64 {
        var reads = Reads(sources)
        _ = reads.read { $0.lastSequence }
        return reads.clock.nanoseconds / 1_000_000
    }
}
