import Coordination
import Dispatch
import NIOCore
import Testing

@testable import Admin

/// A thread for a task that waits. The threads of all other tasks are as many as there are cores, so two tests that each
/// held one up would hold up everything.
private final class OwnThread: TaskExecutor {
    private let queue = DispatchQueue(label: "waiting")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// What would wait for ever fails by the time limit.
@Suite(.timeLimit(.minutes(15))) struct LiveBudgetTests {
    private func largeCards(_ core: TestCore, _ count: Int) {
        for number in 1...count {
            let card = AgentCard(name: "agent-\(number)", description: String(repeating: "d", count: 60_000))
            core.perform(.register(.init(newID: AgentID(high: 0, low: UInt64(number)), card: card, ttlSeconds: 30)))
        }
    }

    @Test func `However much is asked for, a piece of a live stream is bounded and none left out`() async throws {
        let core = TestCore()
        largeCards(core, 100)
        let reader = StateReader(sources: core.sources(), recent: Recent())
        let query = Array(repeating: "q=agents%3Flimit%3D1000", count: LiveQuestion.most).joined(separator: "&")
        let questions = try LiveQuestion.all(try Parameters(query[...]))
        var stream = LiveStream(reader: reader, questions: questions)
        var answered: [Int] = []
        while answered.count < LiveQuestion.most {
            let piece = try #require(await stream.next())
            #expect(piece.readableBytes < AdminLimits.maxPieceBytes + AdminLimits.maxLivePageBytes + 1_000)
            for line in String(buffer: piece).split(separator: "\n") where line.hasPrefix("data: ") {
                let number = line.dropFirst(#"data: {"q":"#.count).prefix { $0 != "," }
                answered.append(try #require(Int(number)))
                #expect(line.contains("\"next\":\""))
            }
        }
        #expect(answered == Array(0..<LiveQuestion.most))
    }

    @Test func `An answer is told from any other, and not from itself at another time`() {
        let reading = { (fields: String, clock: Int64) in
            var reading = Reading([], at: Instant(nanoseconds: clock))
            reading.fields = fields
            return reading
        }
        let one = reading("\"a\":1", 1)
        #expect(one.digest == reading("\"a\":1", 2).digest)
        #expect(one.digest != reading("\"a\":2", 1).digest && one.digest != reading("", 1).digest)
        var failed = one
        failed.status = .serviceUnavailable
        #expect(one.digest != failed.digest)
    }

    @Test func `What is quickly told does not wait for long lists`() async throws {
        let core = TestCore()
        let reader = StateReader(sources: core.sources(), recent: Recent())
        let isBusy = DispatchSemaphore(value: 0)
        let goOn = DispatchSemaphore(value: 0)
        let list = Task(executorPreference: OwnThread()) {
            await reader.lists.make {
                isBusy.signal()
                goOn.wait()
            }
        }
        try await blocking { isBusy.wait() }
        let behind = Task { await reader.read(.policies(subjectPrefix: "", after: nil, limit: 1)) }
        await withTaskCancellationHandler {
            #expect(await reader.read(.status).status == .ok)
            #expect(await reader.read(.agent(AgentID(high: 0, low: 1))).status == .notFound)
            #expect(await reader.read(.overview).status == .ok)
            goOn.signal()
        } onCancel: {
            goOn.signal()
        }
        await list.value
        #expect(await behind.value.status == .ok)
    }
}
