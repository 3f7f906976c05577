// Times as people say them: how long ago, how long until, and `90s`, `30m`, `24h` on the command line.

import AgentKeeper
import ArgumentParser
import Glibc

/// A length of time in its two largest units at most, as in `2m 5s`: short, and good enough.
func spoken(_ milliseconds: UInt64) -> String {
    let seconds = milliseconds / 1_000
    switch seconds {
    case 0: return milliseconds == 0 ? "0s" : "\(milliseconds)ms"
    case ..<60: return "\(seconds)s"
    case ..<3_600: return pair(seconds / 60, "m", seconds % 60, "s")
    case ..<86_400: return pair(seconds / 3_600, "h", seconds / 60 % 60, "m")
    default: return pair(seconds / 86_400, "d", seconds / 3_600 % 24, "h")
    }
}

private func pair(_ first: UInt64, _ unit: String, _ second: UInt64, _ smaller: String) -> String {
    second == 0 ? "\(first)\(unit)" : "\(first)\(unit)\(second)\(smaller)"
}

extension Timestamp {
    /// `5s ago`; by this machine's clock, which may differ from the daemon's a little.
    var ago: String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let milliseconds =
            (Int64(now.tv_sec) - seconds) * 1_000 + (Int64(now.tv_nsec) - Int64(nanoseconds)) / 1_000_000
        return milliseconds < 1_000 ? "now" : "\(spoken(UInt64(milliseconds))) ago"
    }

    /// The time of day here, as in `14:03:07.123`.
    var timeOfDay: String {
        var time = time_t(seconds)
        var parts = tm()
        localtime_r(&time, &parts)
        let fields = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { padded(Int($0), 2) }
        return fields.joined(separator: ":") + "." + padded(Int(nanoseconds) / 1_000_000, 3)
    }
}

func padded(_ number: Int, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}

/// A length of time as an argument: `90s`, `30m`, `24h`, `7d`, `500ms`; a number alone is seconds.
struct TimeArgument: ExpressibleByArgument {
    let duration: Duration

    init?(argument: String) {
        let units: [(String, Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("", 1)]
        for (unit, seconds) in units where argument.hasSuffix(unit) {
            let digits = argument.dropLast(unit.count)
            guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2e }),
                let number = Double(digits), number * seconds <= 10 * 365 * 86_400
            else { return nil }
            duration = .milliseconds(Int64((number * seconds * 1_000).rounded()))
            return
        }
        return nil
    }
}

extension Duration {
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }
}
