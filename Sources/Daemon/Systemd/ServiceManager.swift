// The word to the service manager that started the daemon: a datagram of lines NAME=VALUE to the socket that
// NOTIFY_SOCKET names (sd_notify(3)). systemd waits for READY=1 before it starts what depends on us, shows STATUS= in
// `systemctl status`, and with WatchdogSec= expects WATCHDOG=1 again and again (`Watchdog.swift`).
//
// The protocol is older and simpler than a dependency on libsystemd would be, and is promised to stay. Other managers
// speak it too. Where there is none, every word goes nowhere.

import Dispatch
import Glibc
import Logging
import RPC
import Synchronization

final class ServiceManager: Sendable {
    /// How long a start may go on after each word that it still does.
    private static let extensionSeconds = 30
    /// Well before that, so that a busy machine's delay does no harm.
    private static let extendEverySeconds = 5
    /// A manager that takes no datagrams must not hold up the daemon for longer.
    private static let sendTimeoutSeconds = 2

    /// Kept open: when there are no file descriptors left, the watchdog still has to be told that we live.
    private let socket: CInt
    private let address: SocketPath?
    private let logger: Logger
    private let hasFailed = Atomic<Bool>(false)

    /// Within how many microseconds WATCHDOG=1 is expected each time; nil when it isn't.
    let watchdogMicroseconds: UInt64?

    /// - Throws: when the environment is not as sd_notify(3) and sd_watchdog_enabled(3) describe it.
    init(logger: Logger) throws(StartFailure) {
        self.logger = logger
        let variables = SystemdVariables.take(["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"])
        watchdogMicroseconds = try Self.watchdog(variables)
        address = try variables["NOTIFY_SOCKET"].map { text throws(StartFailure) in try SocketPath(text) }
        guard address != nil else {
            socket = -1
            return
        }
        socket = Glibc.socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else {
            throw StartFailure(message: "NOTIFY_SOCKET: no socket can be made: \(String(cString: strerror(errno)))")
        }
        var timeout = timeval(tv_sec: Self.sendTimeoutSeconds, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Of a daemon that belongs to another program: that program's manager is not ours to talk to.
    init(standingApart logger: Logger) {
        self.logger = logger
        _ = SystemdVariables.take(["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"])
        (socket, address, watchdogMicroseconds) = (-1, nil, nil)
    }

    deinit {
        if socket >= 0 { close(socket) }
    }

    // MARK: What is told

    func ready(_ status: String) { tell("READY=1\nSTATUS=\(status)") }
    func stopping(_ status: String) { tell("STOPPING=1\nSTATUS=\(status)") }
    func failing(_ reason: String) { tell("STATUS=\(reason)") }
    func works() { tell("WATCHDOG=1") }

    /// Runs a part of the start that takes as long as there is much to do, and asks for more time while it does.
    func whileStarting<Value, Failure: Error>(
        _ status: String, _ body: () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        guard address != nil else { return try body() }
        let word = "EXTEND_TIMEOUT_USEC=\(Self.extensionSeconds * 1_000_000)\nSTATUS=\(status)"
        tell(word)
        let queue = DispatchQueue(label: "agentkeeper.starting")
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.setEventHandler { [self] in tell(word) }
        timer.schedule(
            deadline: .now() + .seconds(Self.extendEverySeconds), repeating: .seconds(Self.extendEverySeconds))
        timer.resume()
        defer {
            timer.cancel()
            queue.sync {}  // What is being told is not told after READY.
        }
        return try body()
    }

    private func tell(_ lines: String) {
        guard let address else { return }
        var lines = lines
        let sent = lines.withUTF8 { bytes in
            address.withSockaddr { sendto(socket, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL), $0, $1) }
        }
        guard sent < 0 else { return hasFailed.store(false, ordering: .relaxed) }
        let reason = String(cString: strerror(errno))
        // Once, and not at each tick of the watchdog.
        if !hasFailed.exchange(true, ordering: .relaxed) {
            logger.warning("can't tell the service manager how it goes", metadata: ["reason": "\(reason)"])
        }
    }

    private static func watchdog(_ variables: [String: String]) throws(StartFailure) -> UInt64? {
        guard let text = variables["WATCHDOG_USEC"] else { return nil }
        if let process = variables["WATCHDOG_PID"] {
            guard let id = pid_t(process) else {
                throw StartFailure(message: "WATCHDOG_PID: must be a process id, found \(quoted(process))")
            }
            // Meant for whoever started us, and came along.
            guard id == getpid() else { return nil }
        }
        guard let microseconds = UInt64(text), microseconds > 0, microseconds <= UInt64(Int64.max / 1_000) else {
            throw StartFailure(message: "WATCHDOG_USEC: must be a number of microseconds, found \(quoted(text))")
        }
        return microseconds
    }
}

/// The environment variables by which a service manager talks to one process, and not to its children.
enum SystemdVariables {
    /// Reads them and takes them away. Before there is a second thread that may read the environment.
    static func take(_ names: [String]) -> [String: String] {
        var values: [String: String] = [:]
        for name in names {
            values[name] = Environment()[name]
            unsetenv(name)
        }
        return values
    }
}

/// The address of a Unix socket: a path, or with `@` a name in the abstract name space (unix(7)).
private struct SocketPath: Sendable {
    private let bytes: [UInt8]

    init(_ text: String) throws(StartFailure) {
        var bytes = Array(text.utf8)
        let room = MemoryLayout.size(ofValue: sockaddr_un().sun_path)
        guard bytes.count > 1, bytes[0] == UInt8(ascii: "/") || bytes[0] == UInt8(ascii: "@"), bytes.count < room else {
            throw StartFailure(
                message:
                    "NOTIFY_SOCKET: must be an absolute path or @ and a name, of fewer than \(room) bytes, found \(quoted(text))"
            )
        }
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        self.bytes = bytes
    }

    func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        // An abstract name is as long as it is said to be; a path ends in a zero.
        let length = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + bytes.count + (bytes[0] == 0 ? 0 : 1)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
        }
    }
}
