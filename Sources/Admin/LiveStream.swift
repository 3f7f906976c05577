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
                let target = try Target("/" + text)
                return .resource(try Resource(segments: target.segments, parameters: target.parameters))
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
    private let bell: Bell
    private var last: [Reading?]
    private var lookedAt: ContinuousClock.Instant?
    private var lookedForEventsAt: ContinuousClock.Instant?
    private var saidAt = ContinuousClock.now

    init(reader: StateReader, questions: [LiveQuestion]) {
        self.reader = reader
        self.questions = questions
        bell = Bell(coordinator: reader.sources.coordinator, every: .milliseconds(250))
        last = questions.map { _ in nil }
    }

    mutating func next() async -> ByteBuffer? {
        while true {
            let isFirst = lookedAt == nil
            if !isFirst, await !waitUntilDue() { return nil }
            var piece = ByteBuffer()
            if isFirst { piece.writeString("retry: 1000\n\n") }
            lookedAt = .now
            await look(&piece)
            if piece.readableBytes == 0, saidAt.duration(to: .now) >= Self.signOfLife {
                piece.writeEvent("alive", data: "{\"clock_ms\":\(await reader.clockMilliseconds)}")
            }
            if piece.readableBytes > 0 {
                saidAt = .now
                return piece
            }
        }
    }

    func end() { bell.end() }

    /// False when the client has gone away.
    private mutating func waitUntilDue() async -> Bool {
        while let ring = await bell.next() {
            switch ring {
            case .events:
                if let before = lookedForEventsAt {
                    let due = before + Self.interval
                    guard (try? await Task.sleep(until: due)) != nil else { return false }
                }
                lookedForEventsAt = .now
                return true
            case .time:
                if let lookedAt, lookedAt.duration(to: .now) >= Self.quietInterval { return true }
            }
        }
        return false
    }

    private mutating func look(_ piece: inout ByteBuffer) async {
        for index in questions.indices {
            // A wrong address has been said so once.
            if case .problem = questions[index], last[index] != nil { continue }
            let reading =
                switch questions[index] {
                case .resource(let resource): await reader.read(resource)
                case .problem(let problem): Reading(problem)
                }
            if let before = last[index], before.isSame(as: reading) { continue }
            last[index] = reading
            piece.writeEvent(
                "answer", data: "{\"q\":\(index),\"status\":\(reading.status.code),\"body\":\(reading.text)}")
        }
    }
}

extension StateReader {
    var clockMilliseconds: Int64 {
        var reads = Reads(sources)
        _ = reads.read { $0.lastSequence }
        return reads.clock.nanoseconds / 1_000_000
    }
}
