// A daemon that belongs to the program that started it (`--exit-with-parent`), as the SDK's embedded mode does.
//
// The program holds the other end of the pipe that is our standard input, and writes nothing into it. However that
// program ends, SIGKILL included, the kernel closes its end, and we see the end of our input: nothing can be missed,
// since a pipe that was closed before we looked says so just as well. The kernel's own signal at the parent's death
// (PR_SET_PDEATHSIG) would not do: it comes when the thread ends that started us, which may be long before, and is
// missed when it comes before we ask for it. It has one use here: as SIGCONT it wakes a daemon that is stopped, which
// could not see the end of its input, and does nothing to one that runs.
//
// Standard output tells the program where gRPC is served, in one line, as soon as it is.

import CLinux
import Glibc

struct Parent {
    init(whenGone: @escaping @Sendable () -> Void) {
        _ = continue_at_parent_death()
        // Nobody may be there any more to read our last lines: no reason to end otherwise than gracefully.
        signal(SIGPIPE, SIG_IGN)
        // A thread that reads sees the end of whatever the input is. An event source does not of every kind: epoll(7)
        // takes no /dev/null, and tells the end of a pipe in a way of its own.
        let context = Unmanaged.passRetained(Listener(whenGone: whenGone)).toOpaque()
        var thread = pthread_t()
        let error = pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Listener>.fromOpaque(context!).takeRetainedValue().listen()
                return nil
            }, context)
        precondition(error == 0, "no thread can be made: \(String(cString: strerror(error)))")
        pthread_detach(thread)
    }

    private final class Listener: Sendable {
        private let whenGone: @Sendable () -> Void

        init(whenGone: @escaping @Sendable () -> Void) { self.whenGone = whenGone }

        func listen() {
            var ignored: UInt64 = 0
            while true {
                let count = read(STDIN_FILENO, &ignored, MemoryLayout.size(ofValue: ignored))
                // What can't be read any more can't tell of the parent either.
                if count == 0 || (count < 0 && errno != EINTR) { return whenGone() }
            }
        }
    }

    func tell(_ address: String) {
        var line = address + "\n"
        line.withUTF8 { bytes in
            // A program that reads it no more has its reasons.
            _ = write(STDOUT_FILENO, bytes.baseAddress, bytes.count)
        }
    }
}
