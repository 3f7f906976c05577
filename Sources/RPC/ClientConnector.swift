// Keeps one connection to a server, and the line of the calls that wait to be sent.
//
// Connects when the first call comes, again when there are calls and no connection, and waits between
// attempts that failed. Confined to one event loop. A call leaves the line for a connection with room for
// it, or because it ended; the line is first come, first served, and a call that is sent anew keeps its
// place.

import HTTP2
import NIOCore
import NIOPosix

final class Connector: @unchecked Sendable {
    // Touched on `eventLoop` alone, but for what is constant.

    private enum State {
        case idle
        /// Until the server's SETTINGS.
        case connecting(ClientConnection)
        case ready(ClientConnection)
        /// The last attempt failed; calls that don't wait for a connection fail for the same reason.
        case pausing(Scheduled<Void>, Status)
        case closed
    }

    let eventLoop: any EventLoop
    let options: ClientOptions
    let authority: String
    let pool = AllocationPool()
    private let host: String
    private let port: Int
    private let random: @Sendable () -> Double

    private var state = State.idle
    private var line = CircularBuffer<ClientStream>()
    private var nextPlace: UInt64 = 0
    private var backoff: ClientBackoff
    private var keepalive: ClientKeepalive.Settings?
    private var attemptBegan: Int64 = 0
    private var attemptTimer: Scheduled<Void>?
    /// Why the last attempt failed; nil after one that succeeded.
    private var lastFailure: Status?
    /// All that are not closed: the current one, and those that finish their calls.
    private var connections: [ObjectIdentifier: ClientConnection] = [:]
    private var closers: [CheckedContinuation<Void, Never>] = []

    init(
        host: String, port: Int, options: ClientOptions, eventLoop: any EventLoop,
        random: @escaping @Sendable () -> Double
    ) {
        self.host = host
        self.port = port
        self.options = options
        self.eventLoop = eventLoop
        self.random = random
        authority = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        backoff = ClientBackoff(options.backoff)
        keepalive = options.keepalive
    }

    // MARK: The line

    func enqueue(_ stream: ClientStream) {
        switch state {
        case .closed:
            return stream.finish(Self.closedStatus)
        case .pausing(_, let reason) where !stream.waitsForReady:
            return stream.finish(reason)
        default:
            guard line.count < options.maxWaitingCalls else {
                return stream.finish(
                    Status(.resourceExhausted, "\(line.count) calls wait to be sent already"))
            }
        }
        nextPlace += 1
        stream.place = nextPlace
        line.append(stream)
        sendWaiting()
    }

    /// Of a call that the server has never seen. What the line may hold was checked when it came first.
    func enqueueAgain(_ stream: ClientStream) {
        switch state {
        case .closed: return stream.finish(Self.closedStatus)
        case .pausing(_, let reason) where !stream.waitsForReady: return stream.finish(reason)
        default: break
        }
        let index = line.firstIndex { $0.place > stream.place } ?? line.endIndex
        line.insert(stream, at: index)
        // Not at once: the connection that gave it back is in the middle of saying so.
        eventLoop.execute { [self] in sendWaiting() }
    }

    func forget(_ stream: ClientStream) {
        if let index = line.firstIndex(where: { $0 === stream }) { line.remove(at: index) }
    }

    private func sendWaiting() {
        if case .idle = state, !line.isEmpty { connect() }
        while case .ready(let connection) = state, connection.hasRoom, let stream = line.popFirst() {
            if !connection.submit(stream) { enqueueAgain(stream) }
        }
    }

    // MARK: Connecting

    /// Nil with a connection.
    var whyNotConnected: Status? {
        switch state {
        case .ready, .closed: nil
        case .pausing(_, let reason): reason
        case .idle, .connecting: lastFailure ?? Status(.unavailable, "\(authority) has not answered yet")
        }
    }

    private func connect() {
        let connection = ClientConnection(connector: self, keepalive: keepalive)
        state = .connecting(connection)
        connections[ObjectIdentifier(connection)] = connection
        attemptBegan = MonotonicClock.now()
        let bound = NIOLoopBound(connection, eventLoop: eventLoop)
        attemptTimer = eventLoop.scheduleTask(in: .seconds(options.connectTimeoutSeconds)) { [self] in
            bound.value.giveUp(
                Status(.unavailable, "\(authority) was silent for \(options.connectTimeoutSeconds) s"))
        }
        ClientBootstrap(group: eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(options.connectTimeoutSeconds))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            }
            .connect(host: host, port: port)
            .whenFailure { [self] error in
                bound.value.giveUp(Status(.unavailable, "cannot connect to \(authority): \(Self.reason(error))"))
            }
    }

    /// The first cause; NIO tells all attempts at all addresses of a name.
    private static func reason(_ error: any Error) -> String {
        guard let error = error as? NIOConnectionError else { return "\(error)" }
        if let first = error.connectionErrors.first { return "\(first.error)" }
        if let lookup = error.dnsAError ?? error.dnsAAAAError { return "\(lookup)" }
        return "it has no address"
    }

    // MARK: What connections say

    func ready(_ connection: ClientConnection) {
        guard case .connecting(let current) = state, current === connection else { return connection.leave() }
        attemptTimer?.cancel()
        lastFailure = nil
        state = .ready(connection)
        sendWaiting()
    }

    func roomMade() { sendWaiting() }

    /// The connection takes no more calls.
    func left(_ connection: ClientConnection, _ reason: Status, tooManyPings: Bool = false) {
        // A8: who is told to calm down pings half as often from then on.
        if tooManyPings { keepalive?.afterSeconds *= 2 }
        guard case .ready(let current) = state, current === connection else { return }
        goOn(after: connection, reason)
    }

    func closed(_ connection: ClientConnection, _ reason: Status) {
        connections[ObjectIdentifier(connection)] = nil
        switch state {
        case .connecting(let current) where current === connection:
            attemptTimer?.cancel()
            pause(reason)
        case .ready(let current) where current === connection:
            goOn(after: connection, reason)
        case .closed where connections.isEmpty:
            for closer in closers { closer.resume() }
            closers.removeAll()
        default:
            break
        }
    }

    /// A connection that worked is followed by the next at once; one that never answered counts as an
    /// attempt that failed, or a server that sends everybody away would be asked again without end.
    private func goOn(after connection: ClientConnection, _ reason: Status) {
        guard connection.isProven else { return pause(reason) }
        backoff.reset()
        state = .idle
        eventLoop.execute { [self] in sendWaiting() }
    }

    private func pause(_ reason: Status) {
        let wait = max(0, attemptBegan + backoff.next(random: random()) - MonotonicClock.now())
        let timer = eventLoop.scheduleTask(in: .nanoseconds(wait)) { [self] in
            guard case .pausing = state else { return }
            state = .idle
            sendWaiting()
        }
        lastFailure = reason
        state = .pausing(timer, reason)
        for stream in Array(line) where !stream.waitsForReady { stream.finish(reason) }
    }

    func doubt() {
        for connection in Array(connections.values) { connection.callTimedOut(sentAt: MonotonicClock.now()) }
    }

    // MARK: The end

    private static let closedStatus = Status(.unavailable, "the client is closed")

    /// Takes no more calls. Those that wait end with UNAVAILABLE, those that were sent may finish; `closer`
    /// is resumed when the last connection is closed.
    func close(_ closer: CheckedContinuation<Void, Never>?) {
        attemptTimer?.cancel()
        if case .pausing(let timer, _) = state { timer.cancel() }
        state = .closed
        for stream in Array(line) { stream.finish(Self.closedStatus) }
        for connection in Array(connections.values) { connection.leave() }
        guard let closer else { return }
        if connections.isEmpty { closer.resume() } else { closers.append(closer) }
    }

    /// Ends the calls that are still open.
    func abort() {
        for connection in Array(connections.values) { connection.abort(Self.closedStatus) }
    }
}
