// What a client and everything that came from it share: the connection, and the way of every call.
//
// A call has one deadline for all: waiting for a connection, and trying again when one broke under it. Each call of
// the daemon can be repeated safely, by its nature or by its request id, so what ends with UNAVAILABLE is tried again
// until the deadline. Nothing else is: the daemon's word is passed on as it is.

import NIOCore
import RPC
import Synchronization

final class ClientCore: Sendable {
    let configuration: ClientConfiguration
    let address: ServerAddress
    /// The daemon that was started for this client. Whatever still uses the client keeps it.
    let daemon: EmbeddedDaemon?
    let deaths = DeathWatch()
    private let rpc: Client
    /// For what waits or streams without an end. A connection has so many streams and no more: workers that wait for
    /// tasks by the hundred must not keep a heartbeat from being sent.
    private let patientRPC: Client

    /// What all calls have in common.
    private let callOptions: CallOptions

    private struct State {
        var isClosed = false
        /// Whatever has to be told when the client is closed, by identity.
        var dependents: [ObjectIdentifier: any Dependent] = [:]
    }

    private let state = Mutex(State())

    init(address: ServerAddress, configuration: ClientConfiguration, daemon: EmbeddedDaemon? = nil) {
        self.daemon = daemon
        self.address = address
        self.configuration = configuration
        var callOptions = CallOptions()
        // Anything else than visible ASCII is no header's value, and none that a daemon would read.
        if let trace = configuration.traceParent, trace.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) {
            callOptions.metadata.add("traceparent", trace)
        }
        self.callOptions = callOptions
        var options = ClientOptions()
        options.backoff.initialNanoseconds = configuration.initialBackoff.nanoseconds
        options.backoff.maxNanoseconds = configuration.maxBackoff.nanoseconds
        options.connectTimeoutSeconds = max(1, configuration.connectTimeout.components.seconds)
        var keepalive = ClientKeepalive.Settings()
        keepalive.afterSeconds = max(10, configuration.keepaliveInterval.components.seconds)
        keepalive.timeoutSeconds = max(1, configuration.keepaliveTimeout.components.seconds)
        options.keepalive = keepalive
        options.userAgent = "agentkeeper-swift \(options.userAgent)"
        rpc = Client(host: address.host, port: address.port, options: options, eventLoop: Background.loop)
        patientRPC = Client(host: address.host, port: address.port, options: options, eventLoop: Background.loop)
    }

    /// An embedded daemon that has ended never comes back: nobody has to wait for it.
    func beginMourning() {
        daemon?.whenEnded { [weak self] in
            guard let self else { return }
            await patientRPC.close(grace: .zero)
            await rpc.close(grace: .zero)
        }
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    // MARK: Calls

    /// What a call brought, and when it was sent.
    struct Answer<Value> {
        var value: Value
        /// Just before the attempt that was answered.
        var sentAt: ContinuousClock.Instant
        /// Just before the first attempt, which may have had its effect without its answer coming through.
        var firstSentAt: ContinuousClock.Instant
    }

    /// - Parameters:
    ///   - timeout: nil for the configuration's.
    ///   - waits: whether the daemon may take its time to answer, so that the call goes where it holds up no other.
    ///   - retries: whether what ends with UNAVAILABLE is tried again; nil for as the configuration says.
    ///   - fill: makes the request; called for each attempt, with what is left until the deadline.
    func answer<Request, Response, Value>(
        _ call: RemoteCall<Request, Response>, timeout: Duration?, waits: Bool = false, retries: Bool? = nil,
        _ fill: (UnsafeMutablePointer<Request>, Arena, Duration) -> Void,
        _ read: (UnsafeMutablePointer<Response>) -> Value
    ) async throws(AgentKeeperError) -> Answer<Value> {
        let first = ContinuousClock.now
        let timeout = timeout ?? configuration.callTimeout
        let deadline = first + timeout.clamped(.zero, .seconds(100 * 365 * 86_400))
        let retries = retries ?? configuration.waitsForReady
        var pause = Duration.milliseconds(20)
        while true {
            let sentAt = ContinuousClock.now
            var options = callOptions
            options.timeout = deadline - sentAt
            options.waitsForReady = configuration.waitsForReady
            let request = call.request.bytes { message, arena in fill(message, arena, deadline - sentAt) }
            do throws(CallFailure) {
                let reply = try await (waits ? patientRPC : rpc).unary(call.path, request, options)
                let value = try call.response.read(reply.message, read)
                return Answer(value: value, sentAt: sentAt, firstSentAt: first)
            } catch {
                let failure = self.error(error)
                // The other connection is mostly silent, and would find out much later.
                if !waits, failure.code == .deadlineExceeded { patientRPC.doubt() }
                guard retries, case .rpc(.unavailable, _) = failure,
                    ContinuousClock.now + pause < deadline
                else { throw failure }
                await Background.sleep(for: pause.jittered(by: 0.5))
                if Task.isCancelled { throw .cancelled }
                pause = min(pause * 2, .seconds(1))
            }
        }
    }

    func call<Request, Response, Value>(
        _ call: RemoteCall<Request, Response>, timeout: Duration?,
        _ fill: (UnsafeMutablePointer<Request>, Arena) -> Void, _ read: (UnsafeMutablePointer<Response>) -> Value
    ) async throws(AgentKeeperError) -> Value {
        try await answer(call, timeout: timeout, { message, arena, _ in fill(message, arena) }, read).value
    }

    /// Begins a stream of replies.
    func stream<Request, Response>(
        _ call: RemoteCall<Request, Response>, waitsForReady: Bool,
        _ fill: (UnsafeMutablePointer<Request>, Arena) -> Void
    ) -> ClientCallHandle {
        var options = callOptions
        options.waitsForReady = waitsForReady
        return patientRPC.serverStreaming(call.path, call.request.bytes(fill), options)
    }

    func error(_ failure: CallFailure) -> AgentKeeperError {
        let status = failure.status
        if status.code == .cancelled, Task.isCancelled { return .cancelled }
        if status.code == .unavailable {
            if isClosed { return .clientClosed }
            if let obituary = daemon?.obituary { return obituary }
        }
        if let reason = failure.notSentBecause {
            return .rpc(.unavailable, message: "no connection within the call's timeout: \(reason.message)")
        }
        return .rpc(StatusCode(rawValue: status.code.rawValue) ?? .unknown, message: status.message)
    }

    // MARK: The end

    /// - Throws: when the client is closed, and nothing may begin any more.
    func add(_ dependent: any Dependent) throws(AgentKeeperError) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.dependents[ObjectIdentifier(dependent)] = dependent }
            return state.isClosed
        }
        if isClosed { throw .clientClosed }
    }

    func remove(_ dependent: any Dependent) {
        _ = state.withLock { $0.dependents.removeValue(forKey: ObjectIdentifier(dependent)) }
    }

    /// Tells all that depend on the client, and returns when they are done and the calls under way are over, or after
    /// the grace.
    func close() async {
        let dependents = state.withLock { Array($0.dependents.values) }
        await withTaskGroup(of: Void.self) { group in
            for dependent in dependents { group.addTask { await dependent.clientCloses() } }
        }
        let late = state.withLock { state in
            state.isClosed = true
            defer { state.dependents.removeAll() }
            return Array(state.dependents.values)
        }
        for dependent in late { await dependent.clientCloses() }
        // What waits has been waiting for nothing: there is nobody any more to use it.
        await patientRPC.close(grace: .zero)
        await rpc.close(grace: configuration.closeGrace)
        await daemon?.stop()
    }
}

/// What has to be ended with a client.
protocol Dependent: AnyObject, Sendable {
    /// Ends it, within a bounded time; calls can still be made.
    func clientCloses() async
}

extension Duration {
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds.clamped(0, 1 << 32) * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}

extension Int64 {
    fileprivate func clamped(_ lower: Int64, _ upper: Int64) -> Int64 { Swift.max(lower, Swift.min(self, upper)) }
}
