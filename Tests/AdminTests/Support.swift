// A server on a free port, and a client that says exactly the bytes it is told to.

import Admin
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing

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

func makeServer(
    limits: AdminLimits = AdminLimits(), sources: [MetricsSource] = [], page: String = "<!DOCTYPE html>",
    isReady: @escaping @Sendable () -> Bool = { true }
) -> AdminServer {
    AdminServer(
        limits: limits, group: MultiThreadedEventLoopGroup.singleton, sources: sources, isReady: isReady, page: page)
}

/// Runs `body` beside a server of its own.
func withServer(
    limits: AdminLimits = AdminLimits(), sources: [MetricsSource] = [], page: String = "<!DOCTYPE html>",
    isReady: @escaping @Sendable () -> Bool = { true }, _ body: @escaping @Sendable (_ port: Int) throws -> Void
) async throws {
    let server = makeServer(limits: limits, sources: sources, page: page, isReady: isReady)
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

    /// - Parameter host: the last byte of a loopback address, 127.0.0.x.
    init(port: Int, host: UInt32 = 1) throws {
        file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard file >= 0 else { throw Fault("no socket") }
        // A server that says nothing fails the test instead of holding it up.
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
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
    private func receive(atMost limit: Int = 65_536) throws -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: limit)
        let count = recv(file, &chunk, limit, 0)
        guard count >= 0 else { throw Fault("cannot receive: errno \(errno)") }
        return Array(chunk.prefix(count))
    }

    /// One answer and not a byte more.
    func reply(toHead: Bool = false) throws -> Reply {
        var head: [UInt8] = []
        while !head.ends(with: "\r\n\r\n".utf8) {
            let byte = try receive(atMost: 1)
            if byte.isEmpty { throw Fault("the connection ended in a head") }
            head += byte
        }
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
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
        guard let length = fields["content-length"].flatMap(Int.init) else { throw Fault("no length") }
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

    func get(_ path: String, method: String = "GET", fields: String = "") throws -> Reply {
        try send("\(method) \(path) HTTP/1.1\r\nHost: here\r\n\(fields)\r\n")
        return try reply(toHead: method == "HEAD")
    }
}

extension Sequence where Element: Equatable {
    fileprivate func ends(with suffix: some Sequence<Element>) -> Bool {
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
