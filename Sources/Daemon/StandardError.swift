// Where the log's lines go: standard error, which may be a pipe that nobody reads.
//
// The daemon must not wait for its reader: the journal's writer, the watchdog and the end of the process have lines
// to write, too. So a line waits a moment for room, and is then left out and counted, and the count goes ahead of the
// next line that finds room. Only the log of events waits for as long as it takes: it has a thread of its own, and
// counts by itself what it could not tell.

import Glibc
import Synchronization

enum StandardError {
    enum Patience: Int32 {
        case moment = 50
        case unlimited = -1
    }

    /// What a pipe that has any room takes at once (PIPE_BUF, pipe(7)).
    private static let piece = 4_096

    private struct State {
        /// Lines that found no room.
        var lost = 0
        /// Whether the reader went away from the middle of a line.
        var isInLine = false
    }

    private static let state = Mutex(State())

    /// Writes a line, whole and alone, from any thread.
    ///
    /// - Parameter told: the line that says how many before it are missing.
    static func write(_ line: String, patience: Patience, told: (_ lost: Int) -> String) {
        var waits = true
        while !state.withLock({ state in put(line, told, &state) }) {
            guard waits else {
                state.withLock { $0.lost += 1 }
                return
            }
            // Nobody else waits for the lock meanwhile. Where one line was given up, the next does not wait for the same.
            if patience == .unlimited {
                _ = hasRoom(within: patience)
            } else {
                waits = state.withLock { $0.lost } == 0 && hasRoom(within: patience)
            }
        }
    }

    private static func put(_ line: String, _ told: (Int) -> String, _ state: inout State) -> Bool {
        guard hasRoom() else { return false }
        var text = state.isInLine ? "\n" : ""
        if state.lost > 0 { text += told(state.lost) }
        text += line
        state = State()
        text.withUTF8 { bytes in
            var rest = bytes[...]
            repeat {
                let next = UnsafeBufferPointer(rebasing: rest.prefix(piece))
                // Nobody reads standard error any more: there is nobody to tell of it either.
                guard Glibc.write(STDERR_FILENO, next.baseAddress, next.count) > 0 else { return }
                rest = rest.dropFirst(next.count)
            } while !rest.isEmpty && hasRoom(within: .moment)
            state.isInLine = !rest.isEmpty
        }
        return true
    }

    /// Whether a write would be taken at once. An end that is closed takes everything, and nobody gets it.
    private static func hasRoom(within patience: Patience? = nil) -> Bool {
        var descriptor = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        return poll(&descriptor, 1, patience?.rawValue ?? 0) > 0
    }
}
