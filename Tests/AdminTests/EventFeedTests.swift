import Coordination
import NIOCore
import Testing

@testable import Admin

/// What would wait for ever fails by the time limit.
@Suite(.timeLimit(.minutes(15))) struct EventFeedTests {
    private func stream(_ feed: EventFeed, _ query: String, lastID: String? = nil) throws -> EventStream {
        EventStream(feed: feed, start: try EventStart(try Parameters(query[...]), lastID: lastID))
    }

    /// Goes on where the stream is, in a task of its own.
    private func next(of stream: EventStream) -> Task<String?, Never> {
        Task {
            var stream = stream
            return await stream.next().map { String(buffer: $0) }
        }
    }

    private func setPolicy(_ core: TestCore, _ number: Int) {
        let id = PolicyID("p\(number)")
        core.perform(.setPolicy(Policy(id: id, subject: "a", action: "b", resource: "c", effect: .allow)))
    }

    @Test func `Streams that want nothing of what is new cost the core nothing`() async throws {
        let core = TestCore()
        let looks = Counter()
        var sources = core.sources()
        sources.now = {
            _ = looks.next()
            return core.now
        }
        let feed = EventFeed(sources: sources)
        var sleeping: [Task<String?, Never>] = []
        for _ in 1...60 {
            var stream = try stream(feed, "topic=leader.")
            #expect(await stream.next() != nil)
            sleeping.append(next(of: stream))
        }
        var awake = try stream(feed, "topic=policy.")
        #expect(await awake.next() != nil)
        for number in 1...50 {
            setPolicy(core, number)
            let piece = try #require(await awake.next())
            #expect(String(buffer: piece).contains("id: abc-\(number)\n"))
        }
        // For each event two looks for all, and one or two for the stream that wants it, in each of which the clock is read
        // four times; and sixty first looks.
        #expect(looks.next() < 1_000)
        for each in sleeping { each.cancel() }
        for each in sleeping { #expect(await each.value == nil) }
    }

    @Test func `Progress is told while nothing comes but what a stream doesn't want`() async throws {
        let core = TestCore()
        let feed = EventFeed(sources: core.sources())
        var quiet = try stream(feed, "topic=leader.")
        #expect(await quiet.next() != nil)
        let progress = next(of: quiet)
        let noise = Task {
            var number = 0
            while !Task.isCancelled {
                number += 1
                setPolicy(core, number)
                if number == 10 { core.pass(.seconds(5)) }
                try? await Task.sleep(for: .milliseconds(1))
            }
        }
        let piece = await withTaskCancellationHandler {
            await progress.value
        } onCancel: {
            progress.cancel()
        }
        noise.cancel()
        #expect(piece?.hasPrefix("event: progress\nid: abc-") == true)
    }

    @Test func `A stream finds all that it wants among what it doesn't`() async throws {
        let core = TestCore()
        let feed = EventFeed(sources: core.sources())
        var streams: [EventStream] = []
        for query in ["topic=agent.", "topic=policy.", "task=t7", "", "exclude=policy."] {
            streams.append(try stream(feed, query))
            #expect(await streams[streams.count - 1].next() != nil)
        }
        let anna = core.register(1, "anna")
        var found = streams.map { _ in "" }
        for round in 0..<20 {
            for number in 0..<100 { setPolicy(core, number) }
            core.register(UInt64(round + 2), "agent")
            _ = core.acquire("t\(round)", anna)
            await Task.yield()
        }
        core.perform(.deregister(anna))
        let last = core.coordinator.read(at: core.now) { $0.lastSequence }.result
        let all = try core.coordinator.events(
            after: .zero, matching: EventFilter(), limit: .max, scanning: .max, at: core.now
        ).events
        let filters = [
            EventFilter(topics: ["agent."]), EventFilter(topics: ["policy."]), EventFilter(task: TaskID("t7")),
            EventFilter(), EventFilter(excludedTopics: ["policy."]),
        ]
        #expect(all.last?.sequence == last)
        for (index, filter) in filters.enumerated() {
            let wanted = all.filter { filter.matches($0) }.map { "id: abc-\($0.sequence.value)" }
            while found[index].split(separator: "\n").count(where: { $0.hasPrefix("id: ") }) < wanted.count {
                found[index] += String(buffer: try #require(await streams[index].next()))
            }
            let ids = found[index].split(separator: "\n").filter { $0.hasPrefix("id: ") }.map(String.init)
            #expect(ids == wanted)
        }
        for stream in streams { stream.end() }
    }
}
