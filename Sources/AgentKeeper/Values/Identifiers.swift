// Values that could be mistaken for one another have types of their own.

/// The id of a registered agent: 32 lowercase hexadecimal digits, chosen by the daemon.
///
/// An agent that registers anew gets another id, so an id names one life of an agent.
public struct AgentID: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible,
    ExpressibleByStringLiteral
{
    /// The digits, as the daemon sent them.
    public let rawValue: String

    /// Takes any text; the daemon answers one that is no agent's id with NOT_FOUND.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Takes any text; the daemon answers one that is no agent's id with NOT_FOUND.
    public init(_ text: String) { rawValue = text }

    /// Takes a literal, for tests and scripts.
    public init(stringLiteral value: String) { rawValue = value }

    /// Reads the digits as a plain string.
    public init(from decoder: any Decoder) throws {
        rawValue = try decoder.singleValueContainer().decode(String.self)
    }

    /// Writes the digits as a plain string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    /// The digits.
    public var description: String { rawValue }
}

/// The number of a lease, or of a claim: it grows with every one that the daemon gives out, over all tasks and over
/// restarts, and is never reused.
///
/// Pass it along with every write to whatever the lease protects, and let that refuse a token smaller than the
/// greatest it has seen. Then a holder that was replaced without knowing it can do no harm.
public struct FencingToken: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// Below 2^53, so that JSON and JavaScript keep it exact.
    public let value: UInt64

    /// A token that was passed on as a number.
    public init(_ value: UInt64) { self.value = value }

    /// Reads a plain number.
    public init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(UInt64.self)
    }

    /// Writes a plain number.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }

    /// Whether the left token is older.
    public static func < (left: FencingToken, right: FencingToken) -> Bool { left.value < right.value }

    /// The number, in decimal digits.
    public var description: String { String(value) }
}

/// A point in wall-clock time as the daemon tells it: for people to read, and never what a deadline is computed from.
public struct Timestamp: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// Whole seconds since 1970-01-01 00:00 UTC.
    public let seconds: Int64
    /// Nanoseconds after that, from 0 to 999,999,999.
    public let nanoseconds: Int32

    /// - Parameters:
    ///   - seconds: since 1970-01-01 00:00 UTC.
    ///   - nanoseconds: from 0 to 999,999,999.
    public init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Seconds since 1970 with their fraction, as `Foundation.Date(timeIntervalSince1970:)` takes them.
    public var timeIntervalSince1970: Double { Double(seconds) + Double(nanoseconds) / 1e9 }

    /// Whether the left time is earlier.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    /// RFC 3339 in UTC with milliseconds, as in `2026-11-27T07:02:20.123Z`.
    public var description: String {
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let second = seconds - days * 86_400
        let (year, month, day) = Self.civil(days: days)
        let time = [second / 3_600, second / 60 % 60, second % 60].map { Self.padded($0, 2) }.joined(separator: ":")
        let milliseconds = Self.padded(Int64(nanoseconds / 1_000_000), 3)
        return "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))T\(time).\(milliseconds)Z"
    }

    private static func padded(_ number: Int64, _ digits: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    /// The date of a day counted from 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms", `civil_from_days`).
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}
