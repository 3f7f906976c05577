// Standard output and standard error as a well-behaved program uses them.

import Glibc

/// Collects what goes to standard output, and writes it in large pieces.
struct Output: ~Copyable {
    private static let pieceBytes = 65_536
    private var buffer: [UInt8] = []

    mutating func line(_ text: String) {
        buffer.append(contentsOf: text.utf8)
        buffer.append(UInt8(ascii: "\n"))
        if buffer.count >= Self.pieceBytes { flush() }
    }

    mutating func text(_ text: String) {
        buffer.append(contentsOf: text.utf8)
        if buffer.count >= Self.pieceBytes { flush() }
    }

    mutating func bytes(_ bytes: [UInt8]) {
        buffer.append(contentsOf: bytes)
    }

    mutating func flush() {
        writeAll(buffer, to: STDOUT_FILENO)
        buffer.removeAll(keepingCapacity: true)
    }

    deinit {
        writeAll(buffer, to: STDOUT_FILENO)
    }
}

/// Ends the process when nobody reads any more, as a program does that never heard of the signal: without a word,
/// and so that `PIPESTATUS` tells.
private func writeAll(_ bytes: [UInt8], to file: Int32) {
    var start = 0
    while start < bytes.count {
        let count = bytes.withUnsafeBytes { write(file, $0.baseAddress! + start, $0.count - start) }
        if count > 0 {
            start += count
        } else if errno == EPIPE {
            signal(SIGPIPE, SIG_DFL)
            raise(SIGPIPE)
            _exit(128 + SIGPIPE)
        } else if errno != EINTR {
            complain("can't write to standard output: \(String(cString: strerror(errno)))")
            _exit(ExitStatus.failure.rawValue)
        }
    }
}

/// One line on standard error. Nothing in it can forge another, or move the cursor.
package func complain(_ message: String) {
    let line = Array("agentkeeper: \(printable(message))\n".utf8)
    // Nobody reads standard error any more: there is nobody to tell of it either.
    _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
