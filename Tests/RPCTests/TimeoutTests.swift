// `grpc-timeout`, read and written.

import Testing

@testable import RPC

struct TimeoutTests {
    private func parse(_ text: String) -> Int64? {
        Array(text.utf8).withUnsafeBufferPointer { Timeout.parse($0) }
    }

    @Test(
        "Every unit is read",
        arguments: [
            ("1H", 3_600_000_000_000), ("2M", 120_000_000_000), ("3S", 3_000_000_000), ("4m", 4_000_000),
            ("5u", 5_000), ("6n", 6), ("0n", 0), ("00000001S", 1_000_000_000), ("99999999n", 99_999_999),
        ] as [(String, Int64)])
    func units(text: String, nanoseconds: Int64) {
        #expect(parse(text) == nanoseconds)
    }

    @Test(
        "What is no timeout is refused",
        arguments: ["", "1", "S", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "1SS", "٣S"])
    func malformed(text: String) {
        #expect(parse(text) == nil)
    }

    @Test("The longest timeout does not overflow")
    func longest() throws {
        let nanoseconds = try #require(parse("99999999H"))
        #expect(nanoseconds > 0 && nanoseconds <= 3_155_760_000_000_000_000)
    }

    @Test(
        "A timeout is written in the finest unit that eight digits can say, and never longer than it is",
        arguments: [
            (0, "0n"), (-5, "0n"), (99_999_999, "99999999n"), (100_000_000, "100000u"), (1_500_000_001, "1500000u"),
            (3_600_000_000_000, "3600000m"), (Int64.max, "2562047H"),
        ] as [(Int64, String)])
    func written(nanoseconds: Int64, text: String) {
        #expect(Timeout.format(nanoseconds) == text)
    }
}
