// One run of a command under something that may be lost: a lease, or leadership.
//
// The command has a process group of its own, so that all of it can be ended, and a guardian (CProcess) that ends it
// if we can't: the guardian is told again and again until when the command may run, and sends SIGTERM and SIGKILL by
// itself when that time comes, even while this process is stopped, hung or gone.
//
// What happens comes from several sides (signals, the command, the loss) and is dealt with one after another, here.

import Dispatch
import Glibc

/// What the command runs under.
struct Tenancy: Sendable {
    /// For how long at least it is not lost, without any further word from the daemon.
    let remaining: @Sendable () -> Duration
    /// Returns with the reason when it is lost.
    let waitUntilLost: @Sendable () async -> String?
    /// The time within which silence of the daemon loses it.
    let ttl: Duration
}

struct GuardedCommand {
    let arguments: [String]
    /// `NAME=value`, all of it.
    let environment: [String]
    let tenancy: Tenancy
    /// How long the command has between SIGTERM and SIGKILL.
    let killAfter: Duration

    enum End {
        /// By itself, with what a shell would have in `$?`.
        case exited(Int32)
        case lost(String)
    }

    private enum Happening: Sendable {
        case signal(Int32)
        case stopped(Int32)
        case ended
        case lost(String)
    }

    /// SIGKILL comes when the time is up, so SIGTERM comes before, but late enough that a few renewals may fail.
    private var grace: Duration { min(killAfter, tenancy.ttl / 3) }

    /// - Throws: `Failure` when it can't be started.
    func run(_ signals: SignalStream) async throws -> End {
        var terminal = ControllingTerminal()
        let command = try RunningCommand.start(
            arguments, environment: environment, ignoring: signals.ignored, terminal: terminal.descriptorForCommand,
            remaining: tenancy.remaining(), grace: grace)
        let (happenings, source) = AsyncStream.makeStream(of: Happening.self)
        signals.deliver { source.yield(.signal($0)) }
        // It blocks, so it has a thread of its own.
        DispatchQueue(label: "agentkeeper.command").async {
            while let signal = command.waitForChange() { source.yield(.stopped(signal)) }
            source.yield(.ended)
        }
        let loss = Task { [tenancy] in
            if let reason = await tenancy.waitUntilLost() { source.yield(.lost(reason)) }
        }
        let prolonging = Task { [tenancy] in
            while !Task.isCancelled {
                let remaining = tenancy.remaining()
                // When nothing remains the loss is on its way, and the last word stands.
                if remaining > .zero { command.prolong(by: remaining) }
                try? await Task.sleep(for: max(.milliseconds(20), min(tenancy.ttl / 20, .seconds(1))))
            }
        }
        defer { loss.cancel() }

        var reason: String?
        loop: for await happening in happenings {
            switch happening {
            case .signal(let number):
                command.signal(number)
                // Who is stopped hears nothing.
                if number != SIGTSTP { command.signal(SIGCONT) }
            case .stopped(let number):
                terminal.stopWithCommand(command.pid, number)
            case .lost(let why):
                reason = reason ?? why
                command.end()
            case .ended:
                break loop
            }
        }
        signals.keep()
        terminal.takeBack()
        // Nobody may talk to the guardian any more when it is dismissed.
        prolonging.cancel()
        await prolonging.value
        if command.verdict == .ranOut { reason = reason ?? "the daemon could not be reached in time to keep it" }
        guard let reason else {
            command.dismissGuardian()
            return .exited(command.reap())
        }
        await endGroup(of: command)
        return .lost(reason)
    }

    /// What the command started may live on for the grace, and not longer: the guardian sees to it.
    private func endGroup(of command: RunningCommand) async {
        _ = command.reap()
        let deadline = ContinuousClock.now + max(grace, killAfter) + .seconds(1)
        while command.groupLives, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(10))
        }
        command.dismissGuardian()
    }
}
