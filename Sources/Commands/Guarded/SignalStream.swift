// The signals that a program that runs another one has to pass on, from the first moment.

import CProcess
import Dispatch
import Glibc
import Synchronization

final class SignalStream: Sendable {
    private static let numbers = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP]

    private struct State {
        /// Where signals go while a command runs.
        var receiver: (@Sendable (Int32) -> Void)?
        /// Who waits for one while no command runs.
        var waiter: CheckedContinuation<Int32?, Never>?
        /// Those that nobody has dealt with.
        var pending: [Int32] = []
    }

    private let state = Mutex(State())
    /// What was ignored before us, by nohup or by a shell for its background jobs: the command ignores it as well.
    let ignored: sigset_t

    init() {
        var ignored = sigset_t()
        sigemptyset(&ignored)
        for number in 1..<Int32(32) {
            var action = sigaction()
            if sigaction(number, nil, &action) == 0, isIgnored(action) { sigaddset(&ignored, number) }
        }
        self.ignored = ignored
        // Nobody at the other end of a pipe is no reason to end without giving the lease back; and the terminal is
        // given and taken from the background.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGTTOU, SIG_IGN)
        let numbers = Self.numbers.filter { sigismember(&ignored, $0) != 1 }
        let descriptor = cprocess_catch(numbers, Int32(numbers.count))
        guard descriptor >= 0 else { return }
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
        // It holds itself, for as long as the process lives.
        source.setEventHandler {
            withExtendedLifetime(source) {
                var number: UInt8 = 0
                while read(descriptor, &number, 1) == 1 { self.take(Int32(number)) }
            }
        }
        source.resume()
    }

    private func take(_ number: Int32) {
        var receiver: (@Sendable (Int32) -> Void)?
        var waiter: CheckedContinuation<Int32?, Never>?
        state.withLock { state in
            receiver = state.receiver
            guard receiver == nil else { return }
            // Whoever waits at the terminal may stop us, as if nobody had caught it.
            if number == SIGTSTP, state.waiter != nil {
                receiver = { _ in raise(SIGSTOP) }
                return
            }
            waiter = state.waiter
            state.waiter = nil
            if waiter == nil { state.pending.append(number) }
        }
        receiver?(number)
        waiter?.resume(returning: number)
    }

    /// From now on signals go there; those that nobody has dealt with first.
    func deliver(_ receiver: @escaping @Sendable (Int32) -> Void) {
        let pending = state.withLock { state in
            defer { state.pending.removeAll() }
            state.receiver = receiver
            return state.pending
        }
        for number in pending { receiver(number) }
    }

    /// From now on they are kept, for the next who asks.
    func keep() {
        state.withLock { $0.receiver = nil }
    }

    /// Nobody has dealt with this one after all.
    func giveBack(_ number: Int32) {
        state.withLock { $0.pending.append(number) }
    }

    /// The next signal; nil when the task is cancelled.
    func next() async -> Int32? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let answer: Int32?? = state.withLock { state in
                    if Task.isCancelled { return .some(nil) }
                    // Too late to stop for: the next Ctrl-Z will do.
                    state.pending.removeAll { $0 == SIGTSTP }
                    if !state.pending.isEmpty { return state.pending.removeFirst() }
                    state.waiter = waiter
                    return nil
                }
                if let answer { waiter.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(returning: nil)
        }
    }
}

private func isIgnored(_ action: sigaction) -> Bool {
    guard let handler = action.__sigaction_handler.sa_handler else { return false }
    return unsafeBitCast(handler, to: Int.self) == 1  // SIG_IGN
}
