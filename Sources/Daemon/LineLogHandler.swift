// Log lines: for a person, or one JSON object a line for a program. Each is one write to standard error,
// so that lines of several threads never mix.

import Glibc
import JSON
import Logging

enum LogFormat: String, Sendable {
    case text
    case json
}

struct LineLogHandler: LogHandler {
    private let format: LogFormat
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(format: LogFormat, level: Logger.Level) {
        self.format = format
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { _, own in own }.sorted { $0.key < $1.key }
        var line: String
        switch format {
        case .text:
            let level = event.level.rawValue.uppercased()
            line = "\(timestamp()) \(level) \(singleLine(event.message.description))"
            for (key, value) in fields { line += " \(key)=\(textValue(value.description))" }
        case .json:
            line = "{\"time\":\"\(timestamp())\",\"level\":\"\(event.level.rawValue)\""
            line += ",\"message\":\(jsonString(event.message.description))"
            for (key, value) in fields { line += ",\(jsonString(key)):\(jsonString(value.description))" }
            line += "}"
        }
        line += "\n"
        line.withUTF8 { bytes in
            // Nobody reads standard error any more: there is nobody to tell of it either.
            _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }

    /// RFC 3339 in UTC, with milliseconds.
    private func timestamp() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
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
        let isPlain = !text.isEmpty && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0 != "=" }
        return isPlain ? text : jsonString(text)
    }

    private func jsonString(_ text: String) -> String {
        var quoted = ""
        JSON.quote(text, to: &quoted)
        return quoted
    }
}
