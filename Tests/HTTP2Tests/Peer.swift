// One side of a connection in memory: a session, and a delegate that writes down what it hears.

import Testing

@testable import HTTP2

/// A stream as a peer sees it.
final class Exchange {
    var id: Int32
    var fields: [HeaderField] = []
    var blocks: [(kind: HeaderBlockKind, tooLarge: Bool, fields: [HeaderField])] = []
    var received: [UInt8] = []
    var isRemoteEnded = false
    var isLocalEnded = false
    var closed: HTTP2ErrorCode?

    /// What is to be sent, and what ends it; `isHeldOpen` waits for more.
    var body: [UInt8] = []
    var isHeldOpen = false
    var fails = false
    var trailers: [HeaderField]?

    init(id: Int32) { self.id = id }
}

final class Peer: HTTP2Delegate {
    private(set) var session: HTTP2Session!
    /// In the order in which they were opened.
    var exchanges: [Exchange] = []
    /// Kept by whoever opens them, as the session demands.
    private var open: [ObjectIdentifier: Exchange] = [:]
    var settingsReceivedCount = 0
    var pings = 0
    var goAways: [(lastStream: Int32, code: HTTP2ErrorCode)] = []
    /// Whether windows open as bytes arrive.
    var consumes = true
    /// Runs when a request's headers are in (servers).
    var onHeaders: ((Peer, Exchange) -> Void)?
    var failure: HTTP2Session.Failure?
    var now: Int64 = 0

    init(_ role: HTTP2Session.Role, _ limits: HTTP2Limits = HTTP2Limits()) {
        session = HTTP2Session(role: role, limits: limits, pool: AllocationPool(), delegate: self, now: 0)
    }

    func receive(_ bytes: [UInt8]) {
        guard failure == nil else { return }
        do throws(HTTP2Session.Failure) {
            // A buffer without a byte has no address.
            let result = bytes.withUnsafeBytes { bytes in
                Result { () throws(HTTP2Session.Failure) in try session.receive(bytes, now: now) }
            }
            try result.get()
        } catch {
            failure = error
        }
    }

    /// All that is to be sent now.
    func outbound() -> [UInt8] {
        var output: [UInt8] = []
        do throws(HTTP2Session.Failure) {
            try session.send { bytes in
                output += bytes
                return true
            }
        } catch {
            failure = error
        }
        return output
    }

    @discardableResult
    func request(_ fields: [HeaderField] = Peer.requestFields, body: [UInt8] = [], heldOpen: Bool = false) -> Exchange {
        let exchange = Exchange(id: 0)
        exchange.body = body
        exchange.isHeldOpen = heldOpen
        open[ObjectIdentifier(exchange)] = exchange
        exchanges.append(exchange)
        exchange.id = session.submitRequest(fields, hasBody: !body.isEmpty || heldOpen, stream: exchange) ?? 0
        return exchange
    }

    static let requestFields = [
        HeaderField(name: ":method", value: "POST"), HeaderField(name: ":scheme", value: "http"),
        HeaderField(name: ":path", value: "/a/b"), HeaderField(name: ":authority", value: "here"),
    ]

    func respond(_ exchange: Exchange, _ fields: [HeaderField] = [HeaderField(name: ":status", value: "200")]) {
        let hasBody = !exchange.body.isEmpty || exchange.isHeldOpen || exchange.trailers != nil || exchange.fails
        session.submitResponse(exchange.id, fields, hasBody: hasBody, stream: exchange)
    }

    // MARK: HTTP2Delegate

    func streamOpened(_ id: Int32) -> AnyObject {
        let exchange = Exchange(id: id)
        open[ObjectIdentifier(exchange)] = exchange
        exchanges.append(exchange)
        return exchange
    }

    func headerField(_ stream: AnyObject, name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        exchange(stream).fields.append(
            HeaderField(name: String(decoding: name, as: UTF8.self), value: String(decoding: value, as: UTF8.self)))
    }

    func headersEnded(_ stream: AnyObject, kind: HeaderBlockKind, tooLarge: Bool) {
        let exchange = exchange(stream)
        exchange.blocks.append((kind, tooLarge, exchange.fields))
        exchange.fields = []
        onHeaders?(self, exchange)
    }

    func dataReceived(_ stream: AnyObject, _ bytes: UnsafeRawBufferPointer) {
        exchange(stream).received += bytes
        if consumes { session.consume(exchange(stream).id, bytes.count) }
    }

    func remoteEnded(_ stream: AnyObject) { exchange(stream).isRemoteEnded = true }

    func fillBody(_ stream: AnyObject, _ buffer: UnsafeMutableRawBufferPointer) -> BodyPiece {
        let exchange = exchange(stream)
        if exchange.fails { return .fail }
        let count = min(buffer.count, exchange.body.count)
        buffer.copyBytes(from: exchange.body.prefix(count))
        exchange.body.removeFirst(count)
        if !exchange.body.isEmpty { return .bytes(count) }
        if exchange.isHeldOpen { return count > 0 ? .bytes(count) : .pause }
        guard let trailers = exchange.trailers else { return .last(count) }
        session.submitTrailers(exchange.id, trailers)
        return .lastBeforeTrailers(count)
    }

    func localEnded(_ stream: AnyObject) { exchange(stream).isLocalEnded = true }

    func streamClosed(_ stream: AnyObject, _ code: HTTP2ErrorCode) {
        exchange(stream).closed = code
        open[ObjectIdentifier(stream)] = nil
    }

    func settingsReceived() { settingsReceivedCount += 1 }
    func pingAcknowledged() { pings += 1 }
    func goAwayReceived(lastStream: Int32, code: HTTP2ErrorCode) { goAways.append((lastStream, code)) }

    private func exchange(_ stream: AnyObject) -> Exchange { unsafeDowncast(stream, to: Exchange.self) }
}

/// Carries bytes back and forth until both are silent.
func pump(_ one: Peer, _ other: Peer) {
    while true {
        let there = one.outbound()
        if !there.isEmpty { other.receive(there) }
        let back = other.outbound()
        if !back.isEmpty { one.receive(back) }
        if there.isEmpty, back.isEmpty { return }
    }
}

/// A frame, byte for byte.
func frame(_ type: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    let length = UInt32(payload.count)
    return [UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255), type, flags]
        + (0..<4).map { UInt8(truncatingIfNeeded: stream >> (24 - 8 * UInt32($0))) } + payload
}
