// The core traps when it finds itself in a state that can't be, and then nothing can catch it. So what was running
// is kept where a signal handler finds it, and a trap too prints the line that makes it happen again.

import Glibc

enum TrapReport {
    /// Of the runs that are under way, each in a place of its own: its seed and its steps.
    nonisolated(unsafe) private static let running: UnsafeMutablePointer<(seed: UInt64, steps: UInt64)> = {
        let places = UnsafeMutablePointer<(seed: UInt64, steps: UInt64)>.allocate(capacity: count)
        places.initialize(repeating: (0, 0), count: count)
        for signal in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV] {
            Glibc.signal(signal) { number in
                TrapReport.print()
                // As it would have ended without this.
                Glibc.signal(number, SIG_DFL)
                raise(number)
            }
        }
        return places
    }()
    private static let count = 64

    static func begin(_ place: Int, seed: UInt64, steps: Int) { running[place % count] = (seed, UInt64(steps)) }
    static func end(_ place: Int) { running[place % count].steps = 0 }

    /// At once: a long run may be ended before its own end.
    static func say(_ line: String) {
        let line = Array((line + "\n").utf8)
        _ = Glibc.write(2, line, line.count)
    }

    /// With nothing that a signal handler may not call.
    private static func print() {
        for place in 0..<count where running[place].steps > 0 {
            write("make simulate SEED=")
            write(running[place].seed)
            write(" STEPS=")
            write(running[place].steps)
            write("   # it may be this one that trapped\n")
        }
    }

    private static func write(_ text: StaticString) { _ = Glibc.write(2, text.utf8Start, text.utf8CodeUnitCount) }

    private static func write(_ number: UInt64) {
        if number > 9 { write(number / 10) }
        var digit = UInt8(ascii: "0") + UInt8(number % 10)
        _ = Glibc.write(2, &digit, 1)
    }
}
