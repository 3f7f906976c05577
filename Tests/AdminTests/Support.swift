// A server on a free port, and a client that says exactly the bytes it is told to.

import Coordination
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Admin

struct Fault: Error {
    var text: String

    init(_ text: String) { self.text = text }
}

/// The clients block; they must not do so on the threads that tasks run on, where the metrics are written.
private let clientThreads = {
    let threads = NIOThreadPool(numberOfThreads: 8)
    threads.start()
    return threads
}()

func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await clientThreads.runIfActive(body)
}

/// A core on a clock that a test turns.
final class TestCore: Sendable {
    let coordinator: Coordinator
    private let nanoseconds = Atomic<Int64>(1_000_000_000)

    init(limits: Limits = Limits()) {
        coordinator = Coordinator(machine: Machine(limits: limits, tokensStartAbove: FencingToken(0)))
    }

    /// With a journal, whose part the test plays: nothing is durable before `commit`.
    init(journaling: Void) throws {
        let counters = StoredCounters(
            clock: Instant(nanoseconds: 0), wall: WallTime(nanoseconds: 0), revision: .zero,
            lastToken: FencingToken(0), lastSequence: .zero, lastTaskSerial: 0, forgottenTerm: Term(0))
        var machine = Machine(limits: Limits(), resuming: counters)
        try machine.finishRestoring(revision: .zero)
        coordinator = Coordinator(machine: machine)
        coordinator.attach(Disk())
    }

    private final class Disk: ChangeWriter {
        func changesAreWaiting() {}
    }

    /// Takes what there is, and says that it is on disk.
    func commit() {
        var bytes: [UInt8] = []
        guard let end = coordinator.takeChanges(into: &bytes) else { return }
        coordinator.changesAreDurable(upTo: end.revision, end.sequence)
    }

    var now: Moment {
        let now = nanoseconds.load(ordering: .relaxed)
        // Wall time began at noon of the first day of 2026.
        return Moment(instant: Instant(nanoseconds: now), wall: WallTime(nanoseconds: 1_767_268_800_000_000_000 + now))
    }

    func pass(_ span: Span) { nanoseconds.add(span.nanoseconds, ordering: .relaxed) }

    @discardableResult
    func perform(_ command: Command) -> Outcome {
        coordinator.perform(command, at: now) { _, _ in }.outcome
    }

    /// Registers an agent whose id ends in `number`.
    @discardableResult
    func register(_ number: UInt64, _ name: String, tools: [String] = [], ttl: UInt32 = 30) -> AgentID {
        let id = AgentID(high: 0, low: number)
        perform(.register(.init(newID: id, card: AgentCard(name: name, tools: tools), ttlSeconds: ttl)))
        return id
    }

    func acquire(_ task: String, _ agent: AgentID, ttl: UInt32 = 60, wait: UInt32 = 0) -> Lease? {
        let request = Command.AcquireLease(
            task: TaskID(task), agent: agent, ttlSeconds: ttl, waitMilliseconds: wait)
        guard case .reply(.lease(let lease, acquired: true)) = perform(.acquireLease(request)) else { return nil }
        return lease
    }

    func sources(
        metrics: [MetricsSource] = [], actionToken: String? = nil, isReady: @escaping @Sendable () -> Bool = { true }
    ) -> AdminSources {
        var sources = AdminSources(
            coordinator: coordinator, now: { [self] in now },
            daemon: DaemonDescription(version: "1.2.3", startedAt: now, isDurable: false, history: "abc"),
            isReady: isReady, rpcAddress: { "127.0.0.1:7070" })
        sources.metrics = metrics
        sources.actionToken = actionToken
        return sources
    }
}

extension AdminLimits {
    /// With all the time in the world: on a busy machine a client here may be kept from sending, and the server from
    /// answering, for longer than either would be borne in earnest.
    static var patient: AdminLimits {
        var limits = AdminLimits()
        limits.idleTimeout = .hours(1)
        limits.requestTimeout = .hours(1)
        limits.answerTimeout = .hours(1)
        return limits
    }
}

func makeServer(
    limits: AdminLimits = .patient, sources: [MetricsSource] = [], core: TestCore = TestCore(),
    actionToken: String? = nil, isReady: @escaping @Sendable () -> Bool = { true }
) -> AdminServer {
    AdminServer(
        limits: limits, group: MultiThreadedEventLoopGroup.singleton,
        sources: core.sources(metrics: sources, actionToken: actionToken, isReady: isReady))
}

/// Runs `body` beside a server of its own.
func withServer(
    limits: AdminLimits = .patient, sources: [MetricsSource] = [], core: TestCore = TestCore(),
    actionToken: String? = nil, isReady: @escaping @Sendable () -> Bool = { true },
    _ body: @escaping @Sendable (_ port: Int) throws -> Void
) async throws {
    try await serve(
        makeServer(limits: limits, sources: sources, core: core, actionToken: actionToken, isReady: isReady), body)
}

/// Runs `body` beside a server of just these sources.
func withServer(from sources: AdminSources, _ body: @escaping @Sendable (_ port: Int) throws -> Void) async throws {
    try await serve(AdminServer(limits: .patient, group: MultiThreadedEventLoopGroup.singleton, sources: sources), body)
}

private func serve(_ server: AdminServer, _ body: @escaping @Sendable (_ port: Int) throws -> Void) async throws {
    let port = try #require(try await server.start(host: "127.0.0.1", port: 0).port)
    do {
        try await blocking { try body(port) }
    } catch {
        await server.stop()
        throw error
    }
    await server.stop()
}

struct Reply: Equatable {
    var status: Int
    /// Names in lower case.
    var fields: [String: String]
    var body: String
}

final class RawClient: Sendable {
    private let file: Int32

    /// - Parameters:
    ///   - host: the last byte of a loopback address, 127.0.0.x.
    ///   - buffer: how many bytes the kernel takes in before they are received here. As many as it likes if nil.
    init(port: Int, host: UInt32 = 1, buffer: Int32? = nil) throws {
        file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard file >= 0 else { throw Fault("no socket") }
        // A server that says nothing fails the test instead of holding it up. It answers on threads that all tests share.
        var patience = timeval(tv_sec: 600, tv_usec: 0)
        setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        if var buffer { setsockopt(file, SOL_SOCKET, SO_RCVBUF, &buffer, 4) }
        var on: Int32 = 1
        setsockopt(file, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = (0x7f00_0000 | host).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Fault("cannot connect: errno \(errno)") }
    }

    deinit { close(file) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(file, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Fault("cannot send: errno \(errno)") }
            rest = rest.dropFirst(count)
        }
    }

    func closeOutput() { shutdown(file, Int32(SHUT_WR)) }

    /// The next bytes, none at the peer's end.
    fileprivate func receive(atMost limit: Int = 65_536) throws -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: limit)
        let count = recv(file, &chunk, limit, 0)
        guard count >= 0 else { throw Fault("cannot receive: errno \(errno)") }
        return Array(chunk.prefix(count))
    }

    /// One answer and not a byte more.
    func reply(toHead: Bool = false) throws -> Reply {
        let lines = try head().split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count >= 2, words[0] == "HTTP/1.1", let status = Int(words[1]) else {
            throw Fault("no status line")
        }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstRange(of: ": ") else { throw Fault("no field: \(line)") }
            let name = line[..<colon.lowerBound].lowercased()
            guard fields.updateValue(String(line[colon.upperBound...]), forKey: name) == nil else {
                throw Fault("\(name) twice")
            }
        }
        // RFC 9110, section 15.4.5: an answer without a body, and so without a length.
        guard let length = status == 304 ? 0 : fields["content-length"].flatMap(Int.init) else {
            throw Fault("no length")
        }
        var body: [UInt8] = []
        while !toHead, body.count < length {
            let bytes = try receive(atMost: length - body.count)
            if bytes.isEmpty { throw Fault("the connection ended in the body") }
            body += bytes
        }
        return Reply(status: status, fields: fields, body: String(decoding: body, as: UTF8.self))
    }

    /// Everything up to the peer's end.
    func rest() throws -> String {
        var bytes: [UInt8] = []
        while case let more = try receive(), !more.isEmpty { bytes += more }
        return String(decoding: bytes, as: UTF8.self)
    }

    func get(
        _ path: String, method: String = "GET", host: String = "localhost", fields: String = ""
    ) throws -> Reply {
        try send("\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n")
        return try reply(toHead: method == "HEAD")
    }
}

/// A stream of server-sent events: the pieces of a chunked answer, taken apart at empty lines.
final class StreamClient {
    struct Event: Equatable {
        var name = "message"
        var id: String?
        var data = ""
    }

    private let client: RawClient
    private var text = ""

    init(port: Int, _ path: String, fields: String = "") throws {
        client = try RawClient(port: port)
        try client.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n")
        let head = try client.head()
        guard head.contains("HTTP/1.1 200 "), head.contains("text/event-stream") else { throw Fault(head) }
    }

    /// The next event; what is none, `retry`, is passed over.
    func next() throws -> Event {
        while true {
            while let end = text.firstRange(of: "\n\n") {
                let block = text[..<end.lowerBound]
                text = String(text[end.upperBound...])
                var event = Event()
                for line in block.split(separator: "\n") {
                    if line.hasPrefix("event: ") { event.name = String(line.dropFirst(7)) }
                    if line.hasPrefix("id: ") { event.id = String(line.dropFirst(4)) }
                    if line.hasPrefix("data: ") { event.data = String(line.dropFirst(6)) }
                }
                if !event.data.isEmpty { return event }
            }
            text += try client.chunk()
        }
    }

    /// The next answer to each of so many questions of a live stream. They come in any order: what changes while the
    /// questions are gone through is seen by the later ones first.
    func answers(to count: Int) throws -> [String] {
        var found: [Int: String] = [:]
        while found.count < count {
            let event = try next()
            guard event.name == "answer" else { continue }
            guard let question = (0..<count).first(where: { event.data.hasPrefix("{\"q\":\($0),") }) else {
                throw Fault("an answer to nothing that was asked: \(event.data)")
            }
            found[question] = event.data
        }
        return (0..<count).compactMap { found[$0] }
    }
}

extension RawClient {
    func head() throws -> String { try text(through: "\r\n\r\n") }

    /// What comes, up to this end of it.
    func text(through end: String) throws -> String {
        var text: [UInt8] = []
        while !text.ends(with: end.utf8) {
            let byte = try receive(atMost: 1)
            if byte.isEmpty { throw Fault("the connection ended before \(end)") }
            text += byte
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// One chunk (RFC 9112, section 7.1).
    fileprivate func chunk() throws -> String {
        var size: [UInt8] = []
        while !size.ends(with: "\r\n".utf8) {
            let byte = try receive(atMost: 1)
            if byte.isEmpty { throw Fault("the stream ended") }
            size += byte
        }
        guard let count = Int(String(decoding: size.dropLast(2), as: UTF8.self), radix: 16) else {
            throw Fault("no chunk")
        }
        var bytes: [UInt8] = []
        while bytes.count < count + 2 {
            let more = try receive(atMost: count + 2 - bytes.count)
            if more.isEmpty { throw Fault("the stream ended in a chunk") }
            bytes += more
        }
        return String(decoding: bytes.dropLast(2), as: UTF8.self)
    }
}

extension Swift.Sequence where Element: Equatable {
    fileprivate func ends(with suffix: some Swift.Sequence<Element>) -> Bool {
        Array(self).suffix(Array(suffix).count).elementsEqual(suffix)
    }
}

/// Counts from 1.
final class Counter: Sendable {
    private let last = Atomic(0)

    func next() -> Int { last.add(1, ordering: .relaxed).newValue }
}

/// The same numbers at each run (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
