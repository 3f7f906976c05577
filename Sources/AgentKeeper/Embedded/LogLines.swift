// The last lines that the daemon wrote, for the message that says why it ended.

struct LogLines: Sendable {
    /// Lines that are kept, and bytes of one line: enough for a stack trace, and no more than 200 KiB.
    static let maxLines = 200
    static let maxLineBytes = 1_024

    private(set) var lines: [String] = []
    private var rest: [UInt8] = []

    mutating func append(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                end()
            } else if rest.count < Self.maxLineBytes {
                rest.append(byte)
            }
        }
    }

    /// The last line may lack its end.
    mutating func end() {
        guard !rest.isEmpty else { return }
        if lines.count == Self.maxLines { lines.removeFirst() }
        lines.append(String(decoding: rest, as: UTF8.self))
        rest.removeAll(keepingCapacity: true)
    }

    /// The end of the log in a message.
    var excerpt: String {
        let last = lines.suffix(10)
        return last.isEmpty
            ? "it wrote nothing" : "its last lines:\n" + last.map { "    \($0)" }.joined(separator: "\n")
    }
}
