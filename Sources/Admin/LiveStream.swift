// `/api/v1/live`: some addresses, each answered anew whenever its answer changes.
//
// Looked at twice a second, and not at every event: then the cost doesn't grow with what the daemon has to do, and what
// isn't an event, a heartbeat, shows too. A page holds one such stream, and asks for nothing itself.

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
    static let interval = Duration.milliseconds(500)
    /// After so many looks that found nothing new, a sign of life: every 2 s.
    private static let quietLooks = 4

    let reader: StateReader
    let questions: [LiveQuestion]
    /// What each was last answered.
    private var last: [Reading.Digest?]
    /// The next question of this look.
    private var place = 0
    private var quiet = 0
    private var isFirst = true

    init(reader: StateReader, questions: [LiveQuestion]) {
        self.reader = reader
        self.questions = questions
        last = questions.map { _ in nil }
    }

    mutating func next() async -> ByteBuffer? {
        while true {
            if place == 0, !isFirst {
                do { try await Task.sleep(for: Self.interval) } catch { return nil }
            }
            var piece = ByteBuffer()
            if isFirst { piece.writeString("retry: 1000\n\n") }
            isFirst = false
            // A piece that is full ends early, and the next one goes on at once.
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
            quiet = piece.readableBytes == 0 ? quiet + 1 : 0
            if quiet == Self.quietLooks {
                quiet = 0
                piece.writeEvent("alive", data: "{\"clock_ms\":\(reader.clockMilliseconds)}")
            }
            if piece.readableBytes > 0 { return piece }
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
