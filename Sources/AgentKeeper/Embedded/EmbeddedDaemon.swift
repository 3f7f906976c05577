// A daemon that this process starts for itself, and that never outlives it.

import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// How a daemon is started for this process.
public struct EmbeddedOptions: Sendable {
    /// The daemon's program. Nil: `AGENTKEEPER_BIN`, else `agentkeeper` in `PATH`, else `.build/release/agentkeeper`,
    /// else `.build/debug/agentkeeper`, seen from the working directory.
    public var binary: String?
    /// Where the daemon keeps its state. Nil: in memory, and gone with it. Two daemons can't share one.
    public var dataDirectory: String?
    /// The port on 127.0.0.1; 0 means any free one, so that any number of daemons run side by side.
    public var port = 0
    /// How long it may take until it is ready.
    public var startTimeout: Duration = .seconds(30)
    /// Further flags of the daemon, such as `--log-level=debug`. They win over the SDK's own.
    public var arguments: [String] = []

    /// The defaults: a daemon in memory on a free port.
    public init() {}

    /// The defaults, but for what is given.
    public init(binary: String? = nil, dataDirectory: String? = nil, port: Int = 0, arguments: [String] = []) {
        self.binary = binary
        self.dataDirectory = dataDirectory
        self.port = port
        self.arguments = arguments
    }
}

/// A daemon that belongs to this process: on a free port, with its metrics listener off.
///
/// It ends with ``stop(patience:)``, or when this process ends, however that happens: not even `kill -9` leaves an orphan.
/// Mostly you want ``AgentKeeperClient/embedded(_:configuration:)``, which starts one and is its client.
public final class EmbeddedDaemon: Sendable {
    /// Where it serves, as `HOST:PORT`.
    public let address: String
    /// The daemon's process.
    public let processID: Int32

    private let pipes: DaemonPipes

    private init(address: String, pipes: DaemonPipes) {
        self.address = address
        self.pipes = pipes
        processID = pipes.pid
    }

    deinit { pipes.cutLifeline() }

    /// Starts a daemon and returns when it is ready.
    ///
    /// - Throws: ``AgentKeeperError/daemon(_:)`` when the program can't be found, or ends, or is not ready in time; with
    ///   the last lines of its log.
    public static func start(_ options: EmbeddedOptions = EmbeddedOptions()) async throws(AgentKeeperError)
        -> EmbeddedDaemon
    {
        let program = try DaemonBinary.find(options.binary)
        var arguments = [
            "--exit-with-parent", "--addr=127.0.0.1:\(options.port)", "--metrics-addr=off",
        ]
        if let directory = options.dataDirectory { arguments.append("--data-dir=\(directory)") }
        // Settings that are meant for another daemon, one that runs by itself, must not reach this one.
        let environment = inheritedEnvironment().filter { !$0.hasPrefix("AGENTKEEPER_") }
        let child = try ChildProcess.start(program, arguments + options.arguments, environment: environment)
        let pipes = DaemonPipes(child)
        do throws(AgentKeeperError) {
            let address = try await pipes.address(within: options.startTimeout, program: program)
            return EmbeddedDaemon(address: address, pipes: pipes)
        } catch {
            pipes.cutLifeline()
            await pipes.end(within: .zero)
            throw error
        }
    }

    /// Ends the daemon gracefully, and by SIGKILL if it takes longer than `patience`. Returns when it is gone. A second
    /// call only waits.
    public func stop(patience: Duration = .seconds(10)) async {
        pipes.cutLifeline()
        await pipes.end(within: patience)
    }

    /// Whether its process still runs.
    public var isRunning: Bool { pipes.isRunning }

    /// The last lines of its log, up to 200 of them.
    public var logLines: [String] { pipes.logLines }

    /// Returns when its process has ended, whoever ended it.
    public func waitUntilExit() async {
        await pipes.waitUntilExit()
    }

    /// Of a daemon that has ended: how, with its last lines.
    var obituary: AgentKeeperError? { pipes.obituary }

    /// Runs `body` when the process has ended. Does not keep the daemon.
    func whenEnded(_ body: @escaping @Sendable () async -> Void) {
        Background.run { [pipes] in
            await pipes.waitUntilExit()
            await body()
        }
    }

    private static func inheritedEnvironment() -> [String] {
        var variables: [String] = []
        var next = environ
        while let variable = next.pointee {
            variables.append(String(cString: variable))
            next += 1
        }
        return variables
    }
}

/// The ends of the daemon's pipes that are ours, and what is known of its process.
private final class DaemonPipes: Sendable {
    let pid: pid_t

    private struct State {
        var lifeline: CInt
        var log = LogLines()
        var output: [UInt8] = []
        var ending: ChildProcess.Ending?
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
        /// Counts what changed, so that nobody waits for what has happened already.
        var version = 0
        var openPipes = 2
    }

    private let state: Mutex<State>

    init(_ child: ChildProcess) {
        pid = child.pid
        state = Mutex(State(lifeline: child.lifeline))
        read(child.output) { state, bytes in
            // One line is all that is expected; whatever follows is read and forgotten, so that nobody blocks.
            if state.output.count < 4_096 { state.output += bytes }
        }
        read(child.errors) { state, bytes in state.log.append(bytes) }
    }

    var isRunning: Bool { state.withLock { $0.ending == nil } }
    var logLines: [String] { state.withLock { $0.log.lines } }

    var obituary: AgentKeeperError? {
        state.withLock { state in
            state.ending.map { .daemon("the embedded daemon has ended: \($0); \(state.log.excerpt)") }
        }
    }

    /// The kernel closes the other end when this process ends; this closes it now.
    func cutLifeline() {
        let lifeline = state.withLock { state in
            defer { state.lifeline = -1 }
            return state.lifeline
        }
        if lifeline >= 0 { close(lifeline) }
    }

    func address(within timeout: Duration, program: String) async throws(AgentKeeperError) -> String {
        let deadline = ContinuousClock.now + timeout
        while !Task.isCancelled {
            let (version, line, ending, log) = state.withLock { state in
                let end = state.output.firstIndex(of: UInt8(ascii: "\n"))
                let line = end.map { String(decoding: state.output[..<$0], as: UTF8.self) }
                return (state.version, line, state.ending, state.log.excerpt)
            }
            if let line { return line }
            if let ending { throw .daemon("\(excerpt(program)) did not start: \(ending); \(log)") }
            guard ContinuousClock.now < deadline else {
                throw .daemon("\(excerpt(program)) is not ready after \(timeout); \(log)")
            }
            await change(after: version, until: deadline)
        }
        throw .cancelled
    }

    func end(within patience: Duration) async {
        await Background.run { [self] in
            let deadline = ContinuousClock.now + patience
            while let version = versionWhileRunning, ContinuousClock.now < deadline {
                await change(after: version, until: deadline)
            }
            // As long as nobody has waited for our child, its id can't be another's.
            state.withLock { state in
                if state.ending == nil { kill(pid, SIGKILL) }
            }
            await waitUntilExit()
        }.value
    }

    func waitUntilExit() async {
        while let version = versionWhileRunning, !Task.isCancelled {
            await change(after: version, until: .now + .seconds(3_600))
        }
    }

    private var versionWhileRunning: Int? { state.withLock { $0.ending == nil ? $0.version : nil } }

    // MARK: Changes

    /// Returns when something has changed since, or at the deadline, or when the task is cancelled.
    private func change(after version: Int, until deadline: ContinuousClock.Instant) async {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let timer = Background.run { [self] in
            await Background.sleep(until: deadline)
            wake(number)
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let waits = state.withLock { state in
                    if state.version == version { state.waiters[number] = waiter }
                    return state.version == version
                }
                if !waits { waiter.resume() }
                // What came before we waited has woken nobody.
                if Task.isCancelled || ContinuousClock.now >= deadline { wake(number) }
            }
        } onCancel: {
            wake(number)
        }
        timer.cancel()
    }

    private func wake(_ number: Int) {
        state.withLock { $0.waiters.removeValue(forKey: number) }?.resume()
    }

    private func changed(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            state.version += 1
            defer { state.waiters.removeAll() }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    private func read(_ descriptor: CInt, _ take: @escaping @Sendable (inout State, [UInt8]) -> Void) {
        let reader = PipeReader { [self] bytes in
            changed { state in
                if let bytes { take(&state, bytes) } else { state.openPipes -= 1 }
            }
            if bytes == nil, state.withLock({ $0.openPipes == 0 }) { reap() }
        }
        NIOPipeBootstrap(group: Background.loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(reader) }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
            .whenFailure { _ in reader.end() }
    }

    /// Both pipes are closed, so the process has ended, or does so in this moment.
    private func reap() {
        Background.run { [self] in
            while true {
                if let ending = ChildProcess.status(of: pid) {
                    return changed { state in
                        state.log.end()
                        state.ending = ending
                    }
                }
                await Background.sleep(for: .milliseconds(10))
            }
        }
    }
}

/// Hands on what comes, and nil at the end, once.
private final class PipeReader: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let take: @Sendable ([UInt8]?) -> Void
    private let isOver = Mutex(false)

    init(_ take: @escaping @Sendable ([UInt8]?) -> Void) { self.take = take }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        take(Array(unwrapInboundIn(data).readableBytesView))
    }

    func channelInactive(context: ChannelHandlerContext) { end() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func end() {
        let wasOver = isOver.withLock { isOver in
            defer { isOver = true }
            return isOver
        }
        if !wasOver { take(nil) }
    }
}
