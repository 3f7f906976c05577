// A child process with three pipes, one of which is its lifeline.
//
// Its standard input is a pipe that we hold the other end of and never write to: when this process ends, however it
// does, the kernel closes that end, and the child sees it. So that no other child inherits the end and keeps the
// lifeline alive, every descriptor is close-on-exec from its first moment. The child gets a process group of its own:
// a Ctrl-C at the terminal is for us to deal with, and it must not take the daemon from under agents that are leaving.

import CLinux
import Glibc

struct ChildProcess {
    let pid: pid_t
    /// Closed, the child ends.
    let lifeline: CInt
    let output: CInt
    let errors: CInt

    /// - Parameters:
    ///   - arguments: without the program itself.
    ///   - environment: `NAME=value`, all of it.
    static func start(
        _ program: String, _ arguments: [String], environment: [String]
    ) throws(AgentKeeperError) -> ChildProcess {
        let input = try pipe()
        let output: (read: CInt, write: CInt)
        let errors: (read: CInt, write: CInt)
        do throws(AgentKeeperError) {
            output = try pipe()
        } catch {
            closeAll(input.read, input.write)
            throw error
        }
        do throws(AgentKeeperError) {
            errors = try pipe()
        } catch {
            closeAll(input.read, input.write, output.read, output.write)
            throw error
        }
        let result = spawn(
            program, arguments, environment, input: input.read, output: output.write, errors: errors.write)
        closeAll(input.read, output.write, errors.write)
        switch result {
        case .success(let pid):
            return ChildProcess(pid: pid, lifeline: input.write, output: output.read, errors: errors.read)
        case .failure(let error):
            closeAll(input.write, output.read, errors.read)
            throw error
        }
    }

    private static func spawn(
        _ program: String, _ arguments: [String], _ environment: [String], input: CInt, output: CInt, errors: CInt
    ) -> Result<pid_t, AgentKeeperError> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (from, to) in [(input, STDIN_FILENO), (output, STDOUT_FILENO), (errors, STDERR_FILENO)] {
            posix_spawn_file_actions_adddup2(&actions, from, to)
        }
        // Not everybody opens files close-on-exec, NIO among others: a daemon must not hold this process's ports.
        posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // What this process ignores or blocks is its own business.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = CInt(POSIX_SPAWN_SETSIGMASK) | CInt(POSIX_SPAWN_SETSIGDEF) | CInt(POSIX_SPAWN_SETPGROUP)
        posix_spawnattr_setflags(&attributes, Int16(flags))

        let argv = ([program] + arguments).map { strdup($0) } + [nil]
        let envp = environment.map { strdup($0) } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid = pid_t()
        let error = posix_spawn(&pid, program, &actions, &attributes, argv, envp)
        guard error == 0 else {
            return .failure(.daemon("\(excerpt(program)) can't be started: \(String(cString: strerror(error)))"))
        }
        return .success(pid)
    }

    /// Both ends above the standard streams, so that giving one a standard number never hits another.
    private static func pipe() throws(AgentKeeperError) -> (read: CInt, write: CInt) {
        var ends: [CInt] = [-1, -1]
        // A pair of sockets is what Glibc's module has with close-on-exec from the start; pipe2(2) it has not.
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw .daemon("no pipe can be made: \(String(cString: strerror(errno)))")
        }
        for index in ends.indices where ends[index] <= STDERR_FILENO {
            let moved = fcntl(ends[index], F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
            guard moved >= 0 else {
                let reason = String(cString: strerror(errno))
                closeAll(ends[0], ends[1])
                throw .daemon("no pipe can be made: \(reason)")
            }
            close(ends[index])
            ends[index] = moved
        }
        return (ends[0], ends[1])
    }

    private static func closeAll(_ descriptors: CInt...) {
        for descriptor in descriptors { close(descriptor) }
    }

    /// How a process ended, if it has.
    static func status(of pid: pid_t) -> Ending? {
        var status: CInt = 0
        let result = waitpid(pid, &status, WNOHANG)
        if result == 0 || (result < 0 && errno == EINTR) { return nil }
        // Somebody else has taken its status, or children are not waited for in this process.
        guard result == pid else { return .unknown }
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .killed(signal)
    }

    enum Ending: Sendable, CustomStringConvertible {
        case exited(CInt)
        case killed(CInt)
        case unknown

        var description: String {
            switch self {
            case .exited(let code): "it exited with \(code)"
            case .killed(let signal): "signal \(signal) ended it"
            case .unknown: "it ended"
            }
        }
    }
}
