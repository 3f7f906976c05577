// Times as people and their tools read them: `2026-11-27T07:05:00.123456789Z`, which sorts as text and is read by
// SQLite's date functions.

extension WallTime {
    package var iso8601: String { iso8601(digits: 9) }

    /// - Parameter digits: of the second's fraction, 1 to 9; the rest is cut off.
    package func iso8601(digits: Int) -> String {
        let (seconds, nanoseconds) = nanoseconds.flooredDivision(by: 1_000_000_000)
        let (days, secondOfDay) = seconds.flooredDivision(by: 86_400)
        let (year, month, day) = CivilDate.date(ofDay: days)
        var text: [UInt8] = []
        text.reserveCapacity(30)
        func put(_ value: Int64, _ width: Int, _ separator: Unicode.Scalar) {
            var divisor: Int64 = 1
            for _ in 1..<width { divisor *= 10 }
            while divisor > 0 {
                text.append(UInt8(48 + value / divisor % 10))
                divisor /= 10
            }
            text.append(UInt8(separator.value))
        }
        put(year, 4, "-")
        put(month, 2, "-")
        put(day, 2, "T")
        put(secondOfDay / 3_600, 2, ":")
        put(secondOfDay / 60 % 60, 2, ":")
        put(secondOfDay % 60, 2, ".")
        var fraction = nanoseconds
        for _ in digits..<9 { fraction /= 10 }
        put(fraction, digits, "Z")
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads just what `iso8601` writes; nil for anything else.
    package init?(iso8601 text: String) {
        var text = text
        let nanoseconds = text.withUTF8 { bytes -> Int64? in
            guard bytes.count == 30 else { return nil }
            func number(_ range: Range<Int>, _ separator: Unicode.Scalar) -> Int64? {
                var value: Int64 = 0
                for index in range {
                    guard bytes[index] >= 48, bytes[index] <= 57 else { return nil }
                    value = value * 10 + Int64(bytes[index] - 48)
                }
                return bytes[range.upperBound] == UInt8(separator.value) ? value : nil
            }
            guard let year = number(0..<4, "-"), let month = number(5..<7, "-"), let day = number(8..<10, "T"),
                let hour = number(11..<13, ":"), let minute = number(14..<16, ":"), let second = number(17..<19, "."),
                let fraction = number(20..<29, "Z"), hour < 24, minute < 60, second < 60
            else { return nil }
            let date = CivilDate.day(of: year, month, day)
            // The thirtieth of February is another day.
            guard CivilDate.date(ofDay: date) == (year, month, day) else { return nil }
            let seconds = date * 86_400 + hour * 3_600 + minute * 60 + second
            // Before 1970 both have the same sign, so that the earliest time is read as well.
            let (whole, rest) = seconds < 0 ? (seconds + 1, fraction - 1_000_000_000) : (seconds, fraction)
            let (product, overflow) = whole.multipliedReportingOverflow(by: 1_000_000_000)
            let (sum, overflow2) = product.addingReportingOverflow(rest)
            return overflow || overflow2 ? nil : sum
        }
        guard let nanoseconds else { return nil }
        self.init(nanoseconds: nanoseconds)
    }
}

/// The Gregorian calendar in days since 1970-01-01. Years begin in March, so that the leap day is the last
/// (the method is Howard Hinnant's, "chrono-Compatible Low-Level Date Algorithms").
private enum CivilDate {
    static func date(ofDay day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (day + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let march = (5 * dayOfYear + 2) / 153
        let month = march < 10 ? march + 3 : march - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * march + 2) / 5 + 1)
    }

    static func day(of year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let (era, yearOfEra) = (month <= 2 ? year - 1 : year).flooredDivision(by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
