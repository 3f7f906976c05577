// The order of one connection's requests and answers, without the connection.
//
// HTTP/1.1 lets a client send requests ahead of the answers (RFC 9112, section 9.3.2). Here answers
// leave one at a time: the next request is taken up when the answer before it is in the socket, and
// nothing is read meanwhile. So a peer that does not read is not read from, costs one answer of memory,
// and its time runs out. Events come in as calls; what the connection must do about each is returned.

import NIOCore

struct Exchange {
    enum Phase: Equatable {
        /// Nothing is owed and nothing of a next request has come.
        case idle
        /// A part of a request is here.
        case arriving
        /// A request is whole, or hopeless; its answer is being made or sent.
        case answering
        /// An answer is being sent that ends only with the connection.
        case streaming
        /// Its end is being sent.
        case ending
        /// The last answer is out and our side is closed; the peer's end is awaited.
        case lingering
        case closed
    }

    enum Action: Equatable {
        case none
        case answer(Request)
        /// Ask for the body that the client holds back.
        case askForBody
        /// Send the end of the answer that goes on, and close.
        case endStream
        /// Close our side, so that the peer sees the end after the last answer.
        case linger
        case close
    }

    private(set) var phase = Phase.idle
    /// Grows at every step from phase to phase, one from `answering` to the next included: each has
    /// time of its own.
    private(set) var step = 0

    private let limits: AdminLimits
    /// The request whose head is here and whose end is not, and the size of its body so far.
    private var incoming: (request: Request, bodyBytes: Int)?
    private var waiting = CircularBuffer<Request>()
    /// False once the last request is known: what else the peer sends is dropped.
    private var takesRequests = true
    private var inputEnded = false
    private var sawEndInRead = false
    private var uselessReads = 0

    init(limits: AdminLimits) {
        self.limits = limits
    }

    /// Whether bytes of the peer are welcome now.
    var isReading: Bool { phase != .answering }

    /// Whether the answer being made is the connection's last.
    var isLastAnswer: Bool { !takesRequests && waiting.isEmpty }

    // MARK: What the peer sends

    mutating func headArrived(_ request: Request) -> Action {
        guard takesRequests else { return .none }
        // A problem that ends the connection need not wait for the rest of the request.
        if case .problem = request.route, !request.keepsAlive { return take(request) }
        incoming = (request, 0)
        if phase == .idle { enter(.arriving) }
        return askForBody()
    }

    /// Once, when it is this request's turn: what is said before would be taken for a part of the answers that are due.
    private mutating func askForBody() -> Action {
        guard phase == .arriving, incoming?.request.awaitsContinue == true else { return .none }
        incoming?.request.awaitsContinue = false
        return .askForBody
    }

    mutating func bodyArrived(_ bytes: ByteBuffer) -> Action {
        guard let before = incoming?.bodyBytes else { return .none }
        let now = before + bytes.readableBytes
        incoming?.bodyBytes = now
        // It is not held back any more.
        incoming?.request.awaitsContinue = false
        if case .action = incoming?.request.route {
            if now > limits.maxActionBytes { return refuse(.bodyTooLarge) }
            incoming?.request.body.writeImmutableBuffer(bytes)
        }
        return now > limits.maxBodyBytes ? refuse(.bodyTooLarge) : .none
    }

    mutating func endArrived() -> Action {
        sawEndInRead = true
        guard let (request, _) = incoming else { return .none }
        return take(request)
    }

    /// The bytes of one read have been told, as far as they made anything.
    mutating func readCompleted() -> Action {
        if phase == .idle, !sawEndInRead { enter(.arriving) }
        sawEndInRead = false
        if phase == .lingering || phase == .streaming || phase == .ending { uselessReads += 1 }
        return uselessReads > limits.maxUselessReads ? close() : .none
    }

    /// The peer will send nothing more, and may still read.
    mutating func inputClosed() -> Action {
        inputEnded = true
        takesRequests = false
        incoming = nil
        return phase == .answering ? .none : close()
    }

    // MARK: What else happens

    /// The answer is one that goes on. What the peer sends from now on is dropped.
    mutating func streamBegan() {
        takesRequests = false
        waiting.removeAll()
        enter(.streaming)
    }

    /// There is nothing more to send, or nobody more to send it to: the end is sent once, whoever finds out first.
    mutating func streamEnded() -> Action {
        guard phase == .streaming else { return .none }
        enter(.ending)
        return .endStream
    }

    /// Answers with a problem, after what is owed already, and ends.
    mutating func refuse(_ problem: Problem) -> Action {
        guard takesRequests else { return .none }
        var request = incoming?.request ?? Request(route: .problem(problem))
        request.route = .problem(problem)
        request.keepsAlive = false
        return take(request)
    }

    /// The answer is in the socket.
    mutating func answered() -> Action {
        guard phase == .answering else { return .none }
        if let next = waiting.popFirst() {
            enter(.answering)
            return .answer(next)
        }
        if takesRequests {
            enter(incoming == nil ? .idle : .arriving)
            return askForBody()
        }
        if inputEnded { return close() }
        enter(.lingering)
        return .linger
    }

    /// The phase has lasted as long as it may.
    mutating func timedOut() -> Action {
        phase == .arriving ? refuse(.requestTimeout) : close()
    }

    /// The server stops: requests that are whole are answered, then the connection ends.
    mutating func drain() -> Action {
        takesRequests = false
        incoming = nil
        if phase == .streaming { return streamEnded() }
        return phase == .idle || phase == .arriving ? close() : .none
    }

    /// How long the phase may last.
    var timeout: TimeAmount? {
        switch phase {
        case .idle: limits.idleTimeout
        case .arriving: limits.requestTimeout
        case .answering, .ending: limits.answerTimeout
        case .lingering: limits.lingerTimeout
        // Each piece has its time.
        case .streaming, .closed: nil
        }
    }

    // MARK: -

    private mutating func take(_ request: Request) -> Action {
        incoming = nil
        if !request.keepsAlive { takesRequests = false }
        if phase == .answering {
            waiting.append(request)
            if waiting.count >= limits.maxPipelinedRequests { takesRequests = false }
            return .none
        }
        enter(.answering)
        return .answer(request)
    }

    private mutating func close() -> Action {
        guard phase != .closed else { return .none }
        takesRequests = false
        waiting.removeAll()
        enter(.closed)
        return .close
    }

    private mutating func enter(_ phase: Phase) {
        self.phase = phase
        step += 1
    }
}
