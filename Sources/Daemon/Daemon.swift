// The daemon's life: put together, opened, run until a signal, and taken down in order.

import Admin
import CProcess
import CSodium
import Coordination
import Dispatch
import Glibc
import HTTP2
import Journal
import Logging
import NIOCore
import NIOPosix
import RPC
import Services
import Synchronization

/// The daemon can't start; the message is for the operator.
struct StartFailure: Error {
    let message: String
}

struct Daemon {
    private let settings: Settings
    private let manager: ServiceManager
    private let sockets: PassedSockets

    private static let inMemory = "state is in memory: it is gone when the daemon stops"

    /// How often what is due is looked for, in milliseconds: well under the 500 by which an expiry may
    /// be late.
    private static let tickMilliseconds: Int64 = 100

    /// Nothing at all was done for so long, ten ticks: the process was stopped, or the machine slept.
    static let stallTolerance = Span.seconds(1)

    /// Files that are no gRPC connection: the listeners, the metrics' connections, the event loops.
    private static let otherFiles = 512

    /// - Throws: when what the service manager passed can't be used.
    init(_ settings: Settings) throws(StartFailure) {
        self.settings = settings
        // A program that starts a daemon for itself may be a service; the daemon is none of its own.
        let isService = !settings.exitsWithParent
        sockets = isService ? try PassedSockets() : PassedSockets(ofNobody: ())
        manager =
            isService ? try ServiceManager(logger: settings.logger) : ServiceManager(standingApart: settings.logger)
    }

    /// - Throws: `StartFailure` when it can't start or end well; the service manager has been told.
    func run() async throws {
        do {
            try await live()
        } catch let failure as StartFailure {
            manager.failing(failure.message)
            throw failure
        }
    }

    private func live() async throws {
        let logger = settings.logger
        fillStandardStreams()
        let signals = Signals()
        let parent = settings.exitsWithParent ? Parent(whenGone: signals.raise("end of the parent")) : nil
        raiseFileDescriptorLimit()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: settings.threads)
        let store = try openStore()
        let coordinator = store?.coordinator ?? Self.coordinatorInMemory(settings.limits)
        let history = store?.history ?? Self.newHistory()
        let facts = DaemonFacts(version: version, isDurable: store != nil, startedAt: Clock.now())
        let services = AgentKeeperServices(
            coordinator: coordinator, group: group, facts: facts, history: history)
        let eventLog = EventLog(coordinator, settings.patientLogger)
        let server = Server(
            methods: services.methods, limits: settings.rpcLimits, group: group, incidents: eventLog.listener)
        let journal = store?.start { server.releaseAnswers(upTo: $0.value) }
        let isReady = Readiness()

        let rpcAddress = Mutex(sockets.rpc?.description ?? settings.address.description)
        var sources = AdminSources(
            coordinator: coordinator, now: { Clock.now() },
            daemon: DaemonDescription(
                version: version, startedAt: facts.startedAt, isDurable: facts.isDurable, history: history),
            isReady: { isReady.value }, rpcAddress: { rpcAddress.withLock { $0 } })
        sources.metrics = [
            buildMetrics(version: version, nghttp2Version: nghttp2Version),
            coreMetrics { coordinator.read(at: Clock.now()) { ($0.counts, $0.oldestPendingAge) }.result },
            rpcMetrics(server, maxConnections: settings.rpcLimits.maxConnections),
            watchMetrics(services.watches, coordinator),
            processMetrics,
        ]
        if let journal { sources.metrics.append(journalMetrics(journal)) }
        if settings.allowsActions { sources.actionToken = Self.newSecret() }
        sources.load = { Load(server, services.watches, journal) }
        sources.watchers = { await services.watches.list($0) }
        let admin = try await startAdmin(group, sources)
        let ticker = group.next().scheduleRepeatedTask(
            initialDelay: .milliseconds(Self.tickMilliseconds), delay: .milliseconds(Self.tickMilliseconds)
        ) { _ in coordinator.advance(to: Clock.now()) }

        let address = try await listen(settings.address, sockets.rpc, flag: "--addr") { try await server.start($0) }
        rpcAddress.withLock { $0 = address.display }
        logger.info("gRPC is served", metadata: ["addr": "\(address.display)", "threads": "\(settings.threads)"])
        if let admin {
            logger.info("the page, metrics and health are served", metadata: ["addr": "\(admin.address.display)"])
        }
        logger.info(
            "\(store?.description ?? Self.inMemory)",
            metadata: ["version": "\(version)"])
        if store != nil, !settings.journalOptions.syncs {
            logger.warning(
                "--sync off is unsafe: what was answered in the last seconds is lost when this machine crashes or loses its power"
            )
        }
        if !address.isLoopback {
            logger.warning(
                "the gRPC port is open beyond this machine, without TLS and authentication: whoever reaches it may do everything",
                metadata: ["addr": "\(address.display)"])
        }
        // Whoever waits for the daemon hears of it after the log has: what it then looks up there is there.
        eventLog.start()
        let watchdog = Watchdog(manager, group: group, coordinator: coordinator, journal: journal, logger: logger)
        watchdog.start()
        isReady.set(true)
        parent?.tell(address.display)
        manager.ready("gRPC is served on \(address.display); \(store?.description ?? Self.inMemory)")

        let signal = await signals.next()
        logger.info("stopping: finishing the calls under way", metadata: ["signal": "\(signal)"])
        manager.stopping("finishing the calls under way")
        watchdog.stop()
        isReady.set(false)
        services.health.setServing(false)
        await server.drain()
        await admin?.server.stop()
        ticker.cancel()
        try store?.stop()
        eventLog.stop()
        logger.info("stopped")
    }

    private func openStore() throws(StartFailure) -> Store? {
        guard let path = settings.dataDirectory else { return nil }
        return try manager.whileStarting("loading the state of \(path)") { () throws(StartFailure) in
            try Store(path, settings: settings, tokensStartAbove: Self.firstToken())
        }
    }

    private static func coordinatorInMemory(_ limits: Limits) -> Coordinator {
        Coordinator(
            machine: Machine(limits: limits, tokensStartAbove: firstToken()), stallTolerance: stallTolerance)
    }

    /// Tokens must not run backwards over a restart that forgot everything: they start from the wall
    /// clock in milliseconds since 1970, times 2^10, which stays below 2^53 for two centuries, so that
    /// JSON and JavaScript keep a token exact.
    private static func firstToken() -> FencingToken {
        let milliseconds = max(0, Clock.now().wall.nanoseconds / 1_000_000)
        return FencingToken(UInt64(milliseconds) << 10)
    }

    /// Sequence numbers begin anew with a daemon that keeps nothing, and its watchers must be able to tell.
    private static func newHistory() -> String {
        String(UInt64.random(in: 0...UInt64.max), radix: 16)
    }

    /// 128 random bits.
    private static func newSecret() -> String {
        let words = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2) { words in
            randombytes_buf(words.baseAddress!, 16)
            return (words[0], words[1])
        }
        return AgentID(high: words.0, low: words.1).description
    }

    // MARK: Listeners

    private func startAdmin(
        _ group: MultiThreadedEventLoopGroup, _ sources: AdminSources
    ) async throws -> (server: AdminServer, address: SocketAddress)? {
        guard let wanted = settings.metricsAddress ?? (sockets.metrics == nil ? nil : .defaultMetrics) else {
            return nil
        }
        let server = AdminServer(group: group, sources: sources)
        do {
            let address = try await listen(wanted, sockets.metrics, flag: "--metrics-addr") {
                try await server.start($0)
            }
            guard address.isLoopback || !settings.allowsActions else {
                throw StartFailure(
                    message:
                        "--dashboard-actions needs a --metrics-addr that only this machine can reach, such as 127.0.0.1:9090: on \(address.display) anybody could act, since there is no TLS and no authentication yet"
                )
            }
            if !address.isLoopback {
                settings.logger.warning(
                    "the metrics port is open beyond this machine: whoever reaches it sees what the agents do",
                    metadata: ["addr": "\(address.display)"])
            }
            return (server, address)
        } catch let failure as StartFailure where !adminIsWanted {
            settings.logger.warning("\(failure.message); going on without metrics and health")
            return nil
        }
    }

    /// Whether somebody asked for the second port, and a start without it would be another one than was meant.
    private var adminIsWanted: Bool {
        settings.metricsAddressWasAskedFor || settings.allowsActions || sockets.metrics != nil
    }

    /// Takes the socket that was passed, or opens a port, or says in one line why not. An empty host is every
    /// interface, IPv6 included where the system has it.
    private func listen(
        _ address: ListenAddress, _ socket: PassedSocket?, flag: String,
        _ start: ((ServerBootstrap) -> EventLoopFuture<any Channel>) async throws -> SocketAddress
    ) async throws -> SocketAddress {
        if let socket {
            settings.logger.info(
                "taking the socket that the service manager passed: \(flag) does not count",
                metadata: ["addr": "\(socket)"])
            do {
                return try await start(socket.bind)
            } catch {
                throw StartFailure(message: "can't listen on the socket that was passed, \(socket): \(error)")
            }
        }
        do {
            guard address.host.isEmpty else {
                return try await start { $0.bind(host: address.host, port: address.port) }
            }
            do {
                return try await start { $0.bind(host: "::", port: address.port) }
            } catch let error as IOError where error.errnoCode == EAFNOSUPPORT || error.errnoCode == EADDRNOTAVAIL {
                return try await start { $0.bind(host: "0.0.0.0", port: address.port) }
            }
        } catch let error as IOError {
            let reason =
                switch error.errnoCode {
                case EADDRINUSE: "another program listens there"
                case EADDRNOTAVAIL: "this machine has no such address"
                case EACCES: "no permission for this port"
                default: String(cString: strerror(error.errnoCode))
                }
            throw StartFailure(message: "can't listen on \(address): \(reason); \(flag) chooses another address")
        } catch is SocketAddressError.UnknownHost {
            throw StartFailure(
                message: "can't listen on \(address): there is no such host; \(flag) chooses another address")
        } catch {
            throw StartFailure(message: "can't listen on \(address): \(error); \(flag) chooses another address")
        }
    }

    /// A standard stream that was closed would be taken by the next file that is opened, and log lines
    /// written into a socket.
    private func fillStandardStreams() {
        for stream in STDIN_FILENO...STDERR_FILENO where fcntl(stream, F_GETFD) == -1 {
            // The lowest free number is what open(2) gives.
            _ = open("/dev/null", O_RDWR)
        }
    }

    /// Each connection is a file descriptor, and the usual soft limit of 1 024 is meant for programs that
    /// use select(2).
    private func raiseFileDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        if limit.rlim_max < settings.rpcLimits.maxConnections + Self.otherFiles {
            settings.logger.warning(
                "the limit of open files is below what --max-connections needs",
                metadata: [
                    "limit": "\(limit.rlim_max)", "max_connections": "\(settings.rpcLimits.maxConnections)",
                ])
        }
        limit.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 {
            settings.logger.warning(
                "can't raise the limit of open files", metadata: ["reason": "\(String(cString: strerror(errno)))"])
        }
    }
}

/// Whether the daemon takes calls, for `/readyz`.
final class Readiness: Sendable {
    private let flag = Atomic<Bool>(false)

    var value: Bool { flag.load(ordering: .relaxed) }
    func set(_ value: Bool) { flag.store(value, ordering: .relaxed) }
}

/// SIGTERM, SIGINT, and SIGHUP, which a closed terminal sends. The first asks for a graceful end. A later
/// one, of somebody who is in a hurry, ends the process at once; but wrappers send a signal twice, so for
/// a second another one means the same.
private struct Signals {
    private let stream: AsyncStream<String>
    private let continuation: AsyncStream<String>.Continuation
    private let source: (any DispatchSourceRead)?

    init() {
        let (stream, continuation) = AsyncStream.makeStream(of: String.self)
        self.stream = stream
        self.continuation = continuation
        let first = FirstSignal()
        let names = [SIGTERM: "SIGTERM", SIGINT: "SIGINT", SIGHUP: "SIGHUP"]
        let descriptor = cprocess_catch(Array(names.keys), Int32(names.count))
        // Not caught, they end the process as they always do.
        guard descriptor >= 0 else {
            source = nil
            return
        }
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
        source.setEventHandler {
            var number: UInt8 = 0
            while read(descriptor, &number, 1) == 1 {
                if first.isLongAgo() { _exit(128 + Int32(number)) }
                continuation.yield(names[Int32(number)] ?? "a signal")
            }
        }
        source.resume()
        self.source = source
    }

    /// Something else that asks for a graceful end.
    func raise(_ name: String) -> @Sendable () -> Void {
        { [continuation] in continuation.yield(name) }
    }

    func next() async -> String {
        for await name in stream { return name }
        return "none"
    }
}

/// When the first signal came.
private final class FirstSignal: Sendable {
    private static let patienceNanoseconds: Int64 = 1_000_000_000

    private let time = Atomic<Int64>(0)

    /// Whether the first came more than a second ago; false for the first itself.
    func isLongAgo() -> Bool {
        let now = MonotonicClock.now()
        let first = time.compareExchange(expected: 0, desired: now, ordering: .relaxed)
        return !first.exchanged && now - first.original > Self.patienceNanoseconds
    }
}
