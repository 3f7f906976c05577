// Log lines: for a person, or one JSON object a line for a program.

import Glibc
import JSON
import Logging

enum LogFormat: String, Sendable {
    case text
    case json
}

struct LineLogHandler: LogHandler {
    /// A field that is no field, but when the line's event happened, in nanoseconds since 1970.
    static let timeKey = "\u{0}time"
    /// Text of a client's in a field, in Unicode scalars.
    private static let maxText = 200

    static func cut(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard let end = scalars.index(scalars.startIndex, offsetBy: maxText, limitedBy: scalars.endIndex),
            end != scalars.endIndex
        else { return text }
        return String(scalars[..<end]) + "…"
    }

    private let format: LogFormat
    private let patience: StandardError.Patience
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(format: LogFormat, level: Logger.Level, patience: StandardError.Patience) {
        self.format = format
        self.patience = patience
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let line = line(event.level, event.message, metadata.merging(event.metadata ?? [:]) { _, own in own })
        StandardError.write(line, patience: patience) { lost in
            self.line(.warning, "nobody read standard error: lines are missing here", ["count": "\(lost)"])
        }
    }

    private func line(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) -> String {
        var fields = metadata
        let timestamp = timestamp(fields.removeValue(forKey: Self.timeKey).flatMap { Int64($0.description) })
        let sorted = fields.sorted { $0.key < $1.key }
        switch format {
        case .text:
            var line = "\(timestamp) \(level.rawValue.uppercased()) \(singleLine(message.description))"
            for (key, value) in sorted { line += " \(key)=\(textValue(value.description))" }
            return line + "\n"
        case .json:
            var line = "{\"time\":\"\(timestamp)\",\"level\":\"\(level.rawValue)\""
            line += ",\"message\":\(jsonString(message.description))"
            for (key, value) in sorted { line += ",\(jsonString(key)):\(jsonString(value.description))" }
            return line + "}\n"
        }
    }

    /// RFC 3339 in UTC, with milliseconds.
    private func timestamp(_ nanoseconds: Int64?) -> String {
        var time = timespec()
        if let nanoseconds, nanoseconds >= 0 {
            time = timespec(
                tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        } else {
            clock_gettime(CLOCK_REALTIME, &time)
        }
        var parts = tm()
        gmtime_r(&time.tv_sec, &parts)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
            let count = strftime(buffer.baseAddress!, 32, "%Y-%m-%dT%H:%M:%S", &parts)
            let seconds = String(
                decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]), as: UTF8.self)
            let milliseconds = String(1_000 + time.tv_nsec / 1_000_000).dropFirst()
            return "\(seconds).\(milliseconds)Z"
        }
    }

    /// A message from outside must not forge a line of its own.
    private func singleLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) else { return text }
        return text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : String($0) }.joined()
    }

    private func textValue(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0 != "=" && !$0.isControl }
        return isPlain ? text : jsonString(text)
    }

    private func jsonString(_ text: String) -> String {
        var quoted = ""
        JSON.quote(text, to: &quoted)
        return quoted
    }
}
