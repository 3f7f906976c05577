import NIOCore
import NIOHTTP1
import Testing

@testable import Admin

@Suite struct ExchangeTests {
    let first = Request(route: .health, wantsBody: true, keepsAlive: true)
    let second = Request(route: .metrics, wantsBody: true, keepsAlive: true)
    let last = Request(route: .health, wantsBody: true, keepsAlive: false)

    /// An exchange that is answering `first`.
    func answering() -> Exchange {
        var exchange = Exchange(limits: AdminLimits())
        #expect(exchange.headArrived(first) == .none)
        #expect(exchange.endArrived() == .answer(first))
        return exchange
    }

    @Test func `A request is answered when it is whole`() {
        var exchange = answering()
        #expect(!exchange.isReading && !exchange.isLastAnswer)
        #expect(exchange.readCompleted() == .none)
        #expect(exchange.answered() == .none)
        #expect(exchange.phase == .idle && exchange.isReading)
    }

    @Test func `The next request waits for the answer before it`() {
        var exchange = answering()
        #expect(exchange.headArrived(second) == .none)
        #expect(exchange.endArrived() == .none)
        let step = exchange.step
        #expect(exchange.answered() == .answer(second))
        #expect(exchange.step > step)
        #expect(exchange.answered() == .none)
        #expect(exchange.answered() == .none)
    }

    @Test func `After the last request the rest is dropped, and the peer's end awaited`() {
        var exchange = answering()
        #expect(exchange.headArrived(last) == .none)
        #expect(exchange.endArrived() == .none)
        #expect(!exchange.isLastAnswer)
        #expect(exchange.headArrived(second) == .none)
        #expect(exchange.endArrived() == .none)
        #expect(exchange.answered() == .answer(last))
        #expect(exchange.isLastAnswer)
        #expect(exchange.answered() == .linger)
        #expect(exchange.isReading)
        #expect(exchange.refuse(.badRequest) == .none)
        #expect(exchange.inputClosed() == .close)
        #expect(exchange.timedOut() == .none)
    }

    @Test func `A part of a request makes its time run, an answered one does not`() {
        var exchange = Exchange(limits: AdminLimits())
        #expect(exchange.phase == .idle)
        #expect(exchange.readCompleted() == .none)
        #expect(exchange.phase == .arriving)
        let refusal = Request(route: .problem(.requestTimeout), wantsBody: true, keepsAlive: false)
        #expect(exchange.timedOut() == .answer(refusal))

        exchange = answering()
        #expect(exchange.answered() == .none)
        #expect(exchange.readCompleted() == .none)
        #expect(exchange.phase == .idle)
    }

    @Test func `A peer that does not take its answer is left`() {
        var exchange = answering()
        #expect(exchange.timeout == AdminLimits().answerTimeout)
        #expect(exchange.timedOut() == .close)
        #expect(exchange.answered() == .none && exchange.timeout == nil)
    }

    @Test func `A peer that sends on and on after the last answer is left`() {
        var exchange = answering()
        #expect(exchange.refuse(.badRequest) == .none)
        #expect(exchange.answered() != .linger)
        #expect(exchange.answered() == .linger)
        for _ in 0..<AdminLimits().maxUselessReads { #expect(exchange.readCompleted() == .none) }
        #expect(exchange.readCompleted() == .close)
    }

    @Test func `A refused HEAD request gets no body`() {
        var exchange = Exchange(limits: AdminLimits())
        #expect(exchange.headArrived(Request(route: .health, wantsBody: false, keepsAlive: true)) == .none)
        #expect(
            exchange.bodyArrived(ByteBuffer(repeating: 0, count: AdminLimits().maxBodyBytes + 1))
                == .answer(Request(route: .problem(.bodyTooLarge), wantsBody: false, keepsAlive: false)))
    }

    @Test func `A stream is ended once, whoever finds out first`() {
        var drained = answering()
        drained.streamBegan()
        #expect(drained.drain() == .endStream)
        #expect(drained.streamEnded() == .none && drained.drain() == .none)
        #expect(drained.timeout == AdminLimits().answerTimeout)
        #expect(drained.timedOut() == .close)

        var dry = answering()
        dry.streamBegan()
        #expect(dry.streamEnded() == .endStream)
        #expect(dry.drain() == .none)
        #expect(dry.inputClosed() == .close)
    }

    @Test func `A body that is held back is asked for when it is its turn, and once`() throws {
        let credentials = ActionCredentials(HTTPHeaders(), peer: nil)
        var action = Request(route: .action(.deletePolicy, credentials))
        action.awaitsContinue = true

        var idle = Exchange(limits: AdminLimits())
        #expect(idle.headArrived(action) == .askForBody)
        #expect(idle.bodyArrived(ByteBuffer(string: "{}")) == .none)

        var busy = answering()
        #expect(busy.headArrived(action) == .none)
        #expect(busy.answered() == .askForBody)

        // It came unasked.
        var eager = answering()
        #expect(eager.headArrived(action) == .none)
        #expect(eager.bodyArrived(ByteBuffer(string: "{}")) == .none)
        #expect(eager.answered() == .none)
    }

    @Test func `Draining ends what is owed nothing, and lets the rest be answered`() {
        var idle = Exchange(limits: AdminLimits())
        #expect(idle.drain() == .close)
        #expect(idle.drain() == .none)

        var arriving = Exchange(limits: AdminLimits())
        #expect(arriving.headArrived(first) == .none)
        #expect(arriving.drain() == .close)

        var busy = answering()
        #expect(busy.headArrived(second) == .none)
        #expect(busy.endArrived() == .none)
        #expect(busy.drain() == .none)
        #expect(busy.answered() == .answer(second))
        #expect(busy.isLastAnswer)
        #expect(busy.answered() == .linger)
    }
}
