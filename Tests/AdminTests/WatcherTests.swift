// Who watches, as the second port tells it. The gRPC port's watchers are the contract tests' matter; here are the streams
// of this port, and how both are put together.

import Coordination
import Foundation
import Testing

@testable import Admin

/// What would wait for ever fails by the time limit.
@Suite(.timeLimit(.minutes(15))) struct WatcherTests {
    private func watchers(_ port: Int, _ query: String = "") throws -> [String: Any] {
        let reply = try RawClient(port: port).get("/api/v1/watchers" + query)
        #expect(reply.status == 200, "\(reply)")
        return try #require(try JSONSerialization.jsonObject(with: Data(reply.body.utf8)) as? [String: Any])
    }

    private func items(_ body: [String: Any], _ name: String = "items") throws -> [[String: Any]] {
        try #require(body[name] as? [[String: Any]])
    }

    /// The only watcher, once the condition holds.
    private func watcher(
        _ port: Int, _ query: String = "", when condition: ([String: Any]) -> Bool
    ) throws -> [String: Any] {
        for _ in 0..<2_000 {
            if let one = try items(watchers(port, query)).first, condition(one) { return one }
            usleep(10_000)
        }
        throw Fault("it never came to that: \(try watchers(port))")
    }

    @Test func `A stream of events is listed with what it wants for as long as it is open`() async throws {
        let core = TestCore()
        let anna = core.register(1, "anna")
        try await withServer(core: core) { port in
            let query = "?topic=lease.&exclude=lease.renewed&agent=\(anna)&task=a&group=b"
            var stream: StreamClient? = try StreamClient(port: port, "/events" + query)
            _ = try stream?.next()
            let one = try watcher(port) { _ in true }
            #expect(one["peer"] as? String != nil && (one["peer"] as? String)?.hasPrefix("127.0.0.1:") == true)
            #expect(one["call"] as? String == "/events" && one["status"] as? String == "live")
            #expect(one["topics"] as? [String] == ["lease."] && one["exclude"] as? [String] == ["lease.renewed"])
            #expect(one["agent_id"] as? String == "\(anna)" && one["task_id"] as? String == "a")
            #expect(one["group"] as? String == "b" && one["opened_at"] as? String == "2026-01-01T12:00:01.000Z")
            #expect(one["events_behind"] as? Int == 0 && one["behind_since"] is NSNull && one["gap"] is NSNull)
            stream = nil
            for _ in 0..<2_000 {
                if try items(watchers(port)).isEmpty { break }
                usleep(5_000)
            }
            #expect(try watchers(port)["total"] as? Int == 0)
        }
    }

    /// Its connection asks for the next piece only when the one before is in the socket: this one never asks again.
    @Test func `One that does not read falls behind, and is slow after a while, or when it will miss something`()
        async throws
    {
        var limits = Limits()
        limits.maxEvents = 30
        let core = TestCore(limits: limits)
        let reader = StateReader(sources: core.sources(), recent: Recent())
        let start = try EventStart(Target("/events?topic=agent.").parameters(), lastID: nil)
        var stream = EventStream(feed: reader.feed, start: start, peer: "127.0.0.1:5")
        defer { stream.end() }
        func register(_ numbers: ClosedRange<UInt64>) {
            for number in numbers { core.register(number, "agent", ttl: 3_600) }
        }
        func listed(_ states: [WatcherStanding.State]) async throws -> [[String: Any]] {
            let text = await reader.read(.watchers(states, Resource.Page(after: 0, limit: 10))).text
            return try items(try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]))
        }
        _ = await stream.next()
        register(1...3)
        _ = await stream.next()
        #expect(try await listed([.live]).first?["sent_sequence"] as? Int == 3)
        core.pass(.seconds(1))
        register(4...8)
        #expect(try await listed([.live, .slow]).isEmpty)
        let behind = try #require(try await listed([.behind]).first)
        #expect(behind["events_behind"] as? Int == 5 && behind["gap"] is NSNull)
        #expect(behind["behind_since"] as? String == "2026-01-01T12:00:02.000Z")
        // Nothing more happens, but it stays where it is.
        core.pass(.seconds(60))
        #expect(try await listed([.slow]).first?["behind_since"] as? String == behind["behind_since"] as? String)
        register(9...34)
        let slow = try #require(try await listed([.slow]).first)
        #expect(slow["events_behind"] as? Int == 31 && slow["gap"] as? String == "coming")
        let overview = await reader.read(.overview).text
        let found = try JSONSerialization.jsonObject(with: Data(overview.utf8)) as? [String: Any]
        let entry = try #require(
            (found?["attention"] as? [[String: Any]])?.first { $0["kind"] as? String == "watchers_slow" })
        #expect(entry["count"] as? Int == 1 && entry["severity"] as? String == "warning")
        #expect(try items(entry).first?["peer"] as? String == "127.0.0.1:5")
        // It reads on, and is told.
        while try await listed([.live]).isEmpty { _ = await stream.next() }
        #expect(try await listed([.live]).first?["gap"] as? String == "told")
    }

    @Test func `One that was told of a gap and goes on is live, and it stays known`() async throws {
        var limits = Limits()
        limits.maxEvents = 3
        let core = TestCore(limits: limits)
        for number in 1...8 { core.register(UInt64(number), "agent \(number)") }
        try await withServer(core: core) { port in
            let stream = try StreamClient(port: port, "/events", fields: "Last-Event-ID: abc-2\r\n")
            while try stream.next().id != "abc-8" {}
            let told = try watcher(port) { $0["status"] as? String == "live" }
            #expect(told["gap"] as? String == "told" && told["sent_sequence"] as? Int == 8)
            #expect(told["gap_told_at"] as? String == "2026-01-01T12:00:01.000Z")
        }
    }

    @Test func `Both ports' watchers are one list, read page by page in the order of age`() async throws {
        let core = TestCore()
        var sources = core.sources()
        let numbers = Array(1...25).map { _ in core.coordinator.nextWatcherNumber() }
        sources.watchers = { query in
            var list = WatcherList()
            list.total = numbers.count
            list.open = numbers.filter { query.wants($0, isLive: $0 % 2 == 0) }.prefix(query.limit).map { number in
                WatcherDetails(
                    number: number, peer: "", call: "", openedAt: WallTime(nanoseconds: 0), filter: EventFilter(),
                    cursor: .zero, isLive: number % 2 == 0)
            }
            list.ended = [list.open, list.open].flatMap { $0 }.enumerated().map { index, watcher in
                var watcher = watcher
                watcher.toldOfGapAt = WallTime(nanoseconds: Int64(index) * 1_000_000_000)
                return watcher
            }
            return list
        }
        core.register(1, "anna")
        try await withServer(from: sources) { port in
            let streams = try (0..<3).map { _ in try StreamClient(port: port, "/events") }
            for stream in streams { _ = try stream.next() }
            func ids(_ query: String) throws -> [Int] {
                var found: [Int] = []
                var next: String? = ""
                while let page = next {
                    let body = try watchers(port, "?limit=10&page=\(page)\(query)")
                    #expect(body["total"] as? Int == 28)
                    found += try items(body).compactMap { $0["watcher_id"] as? Int }
                    next = body["next"] as? String
                }
                return found
            }
            #expect(try ids("") == Array(1...28))
            #expect(try ids("&status=behind") == (1...25).filter { $0 % 2 == 1 })
            let ended = try items(watchers(port), "ended").compactMap { $0["gap_told_at"] as? String }
            #expect(ended.count == WatcherList.maxEnded && ended == ended.sorted(by: >))
        }
    }
}
