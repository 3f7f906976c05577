// Sockets that a service manager opened and passed on (sd_listen_fds(3)): they are file descriptors from 3 on,
// LISTEN_FDS says how many, LISTEN_FDNAMES how each is called.
//
// So a port can be open before the daemon is, and stay open while another one takes over: whoever connects meanwhile
// waits and is served. A port below 1024 needs no privilege then, and the daemon can run where it may open none.
//
// One that is named `grpc` or `metrics` (FileDescriptorName=) is that listener; any other name is none, and such sockets
// become what is left, gRPC first.

import Glibc
import NIOCore
import NIOPosix
import RPC

struct PassedSockets {
    /// Each nil when there is none.
    private(set) var rpc: PassedSocket?
    private(set) var metrics: PassedSocket?

    private static let firstDescriptor: CInt = 3
    private static let names = ["grpc", "metrics"]

    /// Takes them out of the environment; none where nobody passed any.
    ///
    /// - Throws: when they are not what they should be.
    init() throws(StartFailure) {
        let variables = SystemdVariables.take(["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"])
        // Without the process id they are meant for somebody else, whose environment we have.
        guard let process = variables["LISTEN_PID"], let text = variables["LISTEN_FDS"] else { return }
        guard let id = pid_t(process) else {
            throw StartFailure(message: "LISTEN_PID: must be a process id, found \(quoted(process))")
        }
        guard id == getpid() else { return }
        guard let count = UInt16(text) else {
            throw StartFailure(message: "LISTEN_FDS: must be a number of sockets, found \(quoted(text))")
        }
        let given = variables["LISTEN_FDNAMES"]?.split(separator: ":", omittingEmptySubsequences: false).map(
            String.init)
        var unnamed: [PassedSocket] = []
        for index in 0..<CInt(count) {
            let name = given.flatMap { Int(index) < $0.count ? $0[Int(index)] : nil } ?? ""
            let socket = try PassedSocket(descriptor: Self.firstDescriptor + index, name: name)
            guard Self.names.contains(name) else {
                unnamed.append(socket)
                continue
            }
            guard (name == "grpc" ? rpc : metrics) == nil else {
                throw StartFailure(
                    message: "two sockets called \(quoted(name)) were passed: there is one listener of that name")
            }
            if name == "grpc" { rpc = socket } else { metrics = socket }
        }
        for socket in unnamed {
            if rpc == nil {
                rpc = socket
            } else if metrics == nil {
                metrics = socket
            } else {
                throw StartFailure(
                    message:
                        "\(count) sockets were passed, and there are two listeners: FileDescriptorName=grpc and metrics"
                )
            }
        }
    }

    /// Of a daemon that belongs to another program.
    init(ofNobody: Void) {
        _ = SystemdVariables.take(["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"])
    }
}

/// A TCP socket that listens already.
struct PassedSocket: CustomStringConvertible {
    private let descriptor: CInt
    /// What it listens on.
    let description: String

    init(descriptor: CInt, name: String) throws(StartFailure) {
        self.descriptor = descriptor
        let what = "the socket that was passed as descriptor \(descriptor)" + (name.isEmpty ? "" : ", \(quoted(name)),")
        let needed = "a listening TCP socket is needed, as ListenStream= makes it with Accept=no"
        let flags = fcntl(descriptor, F_GETFD)
        guard flags >= 0 else { throw StartFailure(message: "\(what) is not open; \(needed)") }
        // Not for children.
        _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC)
        guard let kind = Self.option(SO_TYPE, of: descriptor) else {
            throw StartFailure(message: "\(what) is no socket; \(needed)")
        }
        guard kind == CInt(SOCK_STREAM.rawValue) else {
            throw StartFailure(message: "\(what) is no stream socket; \(needed)")
        }
        let domain = Self.option(SO_DOMAIN, of: descriptor)
        guard domain == AF_INET || domain == AF_INET6 else {
            throw StartFailure(message: "\(what) is no TCP socket; \(needed)")
        }
        guard Self.option(SO_ACCEPTCONN, of: descriptor) == 1 else {
            throw StartFailure(message: "\(what) does not listen; \(needed)")
        }
        description = Self.address(of: descriptor)
    }

    /// Makes it a listener of the event loops, which own it from then on.
    func bind(_ bootstrap: ServerBootstrap) -> EventLoopFuture<any Channel> {
        let backlog = Self.maxQueuedConnections
        let descriptor = descriptor
        return bootstrap.withBoundSocket(descriptor).map { channel in
            // NIO has just made its queue a short one.
            _ = listen(descriptor, backlog)
            return channel
        }
    }

    /// Connections that nobody has accepted yet; the system allows fewer (`net.core.somaxconn`).
    private static let maxQueuedConnections: CInt = 4_096

    private static func option(_ name: CInt, of descriptor: CInt) -> CInt? {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }

    /// `HOST:PORT` of a TCP socket.
    private static func address(of descriptor: CInt) -> String {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getsockname(descriptor, address, &length) == 0 else { return "an unknown address" }
                let isNew = address.pointee.sa_family == sa_family_t(AF_INET6)
                return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { host in
                    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXSERV)) { port in
                        let code = getnameinfo(
                            address, length, host.baseAddress, socklen_t(host.count), port.baseAddress,
                            socklen_t(port.count), NI_NUMERICHOST | NI_NUMERICSERV)
                        guard code == 0 else { return "an unknown address" }
                        let name = String(cString: host.baseAddress!)
                        return "\(isNew ? "[\(name)]" : name):\(String(cString: port.baseAddress!))"
                    }
                }
            }
        }
    }
}
