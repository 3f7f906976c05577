import Testing

@testable import Coordination

@Suite struct ReadableTimeTests {
    private let second: Int64 = 1_000_000_000

    @Test func `A time is written as ISO 8601 in UTC, down to the nanosecond`() {
        for (nanoseconds, text): (Int64, String) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1, "1970-01-01T00:00:00.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (1_795_763_100_123_456_789, "2026-11-27T07:05:00.123456789Z"),
            (951_782_400 * second, "2000-02-29T00:00:00.000000000Z"),
            (951_868_799 * second, "2000-02-29T23:59:59.000000000Z"),
            (951_868_800 * second, "2000-03-01T00:00:00.000000000Z"),
            (1_709_164_800 * second, "2024-02-29T00:00:00.000000000Z"),
            (4_107_542_400 * second, "2100-03-01T00:00:00.000000000Z"),
            (-2_203_977_600 * second, "1900-02-28T00:00:00.000000000Z"),
            (-2_203_891_200 * second, "1900-03-01T00:00:00.000000000Z"),
            (.max, "2262-04-11T23:47:16.854775807Z"),
            (.min, "1677-09-21T00:12:43.145224192Z"),
        ] {
            #expect(WallTime(nanoseconds: nanoseconds).iso8601 == text)
            #expect(WallTime(iso8601: text) == WallTime(nanoseconds: nanoseconds), "\(text)")
        }
    }

    @Test func `Every day of four centuries is read as it was written`() {
        // 1680 to 2080, each day at another time of the day.
        let first: Int64 = -105_922
        for day in first..<first + 146_097 {
            let time = WallTime(nanoseconds: (day * 86_400 + (day & 0xffff)) * second + (day & 0xff))
            let read = WallTime(iso8601: time.iso8601)
            if read != time { Issue.record("day \(day): \(time.iso8601)") }
        }
    }

    @Test func `SQLite's own calendar says the same`() throws {
        let database = try Database((":memory:", nil), .readWrite)
        let calendar = try database.prepare("SELECT strftime('%Y-%m-%dT%H:%M:%S', ?, 'unixepoch'), unixepoch(?)")
        // A step of a little over ten days, so that the time of the day moves too.
        for seconds in stride(from: Int64(-9_000_000_000), to: 9_000_000_000, by: 900_001) {
            let text = WallTime(nanoseconds: seconds * second).iso8601
            calendar.bind([.integer(seconds), .text(text)])
            #expect(try calendar.step())
            #expect(try calendar.value(0) == .text(String(text.dropLast(11))))
            #expect(try calendar.value(1) == .integer(seconds))
            calendar.reset()
        }
    }

    @Test func `Text sorts as time does`() {
        let times: [Int64] = [.min, -second, -1, 0, 1, second, 86_400 * second, .max]
        let texts = times.map { WallTime(nanoseconds: $0).iso8601 }
        #expect(texts == texts.sorted())
    }

    @Test func `What was never written is no time`() {
        for text in [
            "", "2026-11-27", "2026-11-27T07:05:00Z", "2026-11-27T07:05:00.123Z", "2026-11-27 07:05:00.123456789Z",
            "2026-11-27T07:05:00.123456789", "2026-11-27T07:05:00.123456789z", "2026-11-27T07:05:00.12345678 Z",
            "2026-13-27T07:05:00.123456789Z", "2026-00-27T07:05:00.123456789Z", "2026-11-00T07:05:00.123456789Z",
            "2026-11-31T07:05:00.123456789Z", "2025-02-29T07:05:00.123456789Z", "1900-02-29T07:05:00.123456789Z",
            "2026-11-27T24:05:00.123456789Z", "2026-11-27T07:60:00.123456789Z", "2026-11-27T07:05:60.123456789Z",
            "-026-11-27T07:05:00.123456789Z", "1677-09-21T00:12:43.145224191Z", "2262-04-11T23:47:16.854775808Z",
            "9999-12-31T23:59:59.999999999Z", "0000-01-01T00:00:00.000000000Z", "２026-11-27T07:05:00.123456789",
        ] {
            #expect(WallTime(iso8601: text) == nil, "\(text)")
        }
    }
}
