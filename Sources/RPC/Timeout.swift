// `grpc-timeout`: one to eight digits and a unit (gRPC over HTTP/2, "Timeout").

enum Timeout {
    /// The unit letters with their nanoseconds, longest first.
    private static let units: [(letter: UInt8, nanoseconds: Int64)] = [
        (0x48, 3_600_000_000_000), (0x4d, 60_000_000_000), (0x53, 1_000_000_000),
        (0x6d, 1_000_000), (0x75, 1_000), (0x6e, 1),
    ]

    /// Nanoseconds, or nil for what is no timeout. Longer than a hundred years counts as that.
    static func parse(_ value: UnsafeBufferPointer<UInt8>) -> Int64? {
        guard value.count >= 2, value.count <= 9 else { return nil }
        var number: Int64 = 0
        for byte in value.dropLast() {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            number = number * 10 + Int64(byte - 0x30)
        }
        guard let unit = units.first(where: { $0.letter == value[value.count - 1] }) else { return nil }
        return min(number, 3_155_760_000_000_000_000 / unit.nanoseconds) * unit.nanoseconds
    }

    /// The header value for a timeout: the finest unit that eight digits can say, rounded down, so that
    /// the server never works longer than the client waits.
    static func format(_ nanoseconds: Int64) -> String {
        let nanoseconds = max(0, nanoseconds)
        for unit in units.reversed() where nanoseconds / unit.nanoseconds <= 99_999_999 {
            return "\(nanoseconds / unit.nanoseconds)\(Character(Unicode.Scalar(unit.letter)))"
        }
        return "99999999H"
    }
}
