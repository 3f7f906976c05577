// The terminal of a command that runs in a process group of its own.
//
// A terminal belongs to one process group, its foreground: that one may read from it, and gets its Ctrl-C and Ctrl-Z.
// So an editor or a shell that runs under a lease works as if it had been started alone: it gets the terminal for as
// long as it runs, and when it is stopped we stop too, so that the shell that started us has its prompt again. In a
// pipeline others of our group need the terminal: there it is only lent when the command asks for it.

import CProcess
import Glibc

struct ControllingTerminal {
    /// -1 when there is none, or we are not in its foreground.
    private let descriptor: Int32
    private var isGiven: Bool

    init() {
        let file = open("/dev/tty", O_RDWR | O_CLOEXEC)
        if file >= 0, tcgetpgrp(file) != getpgrp() {
            close(file)
            descriptor = -1
        } else {
            descriptor = file
        }
        isGiven = descriptor >= 0 && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1
    }

    /// What the command is to have at its start; -1 for nothing.
    var descriptorForCommand: Int32 { isGiven ? descriptor : -1 }

    mutating func stopWithCommand(_ command: pid_t, _ signal: Int32) {
        let asksForTerminal = signal == SIGTTIN || signal == SIGTTOU
        if asksForTerminal, !isGiven, descriptor >= 0, tcgetpgrp(descriptor) == getpgrp() {
            isGiven = tcsetpgrp(descriptor, command) == 0
            kill(-command, SIGCONT)
            return
        }
        if isGiven { tcsetpgrp(descriptor, getpgrp()) }
        // We go on from here when somebody sends SIGCONT. The guardian counts meanwhile: nobody renews.
        // To this thread: one that is sent to the process may stop it a moment after we went on.
        raise(SIGSTOP)
        if isGiven, tcgetpgrp(descriptor) == getpgrp() { tcsetpgrp(descriptor, command) }
        kill(-command, SIGCONT)
    }

    mutating func takeBack() {
        if isGiven { tcsetpgrp(descriptor, getpgrp()) }
        isGiven = false
    }
}
