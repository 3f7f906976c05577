// What every service works with: the core, the clocks, chance.

import CSodium
import Coordination
import Glibc
import RPC

/// The daemon's two clocks, read together.
package enum Clock {
    package static func now() -> Moment {
        Moment(instant: Instant(nanoseconds: MonotonicClock.now()), wall: wallTime())
    }

    static func wallTime() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }
}

extension ServerCall {
    /// When the call is executed. Its event loop read the monotonic clock just before.
    var moment: Moment {
        Moment(instant: Instant(nanoseconds: resources.now), wall: Clock.wallTime())
    }
}

extension ServerCall {
    /// Where the call comes from, if it belongs to a trace; nil for the calls that don't, which it must cost nothing.
    @inline(__always)
    var tracedOrigin: Origin? { hasMetadata ? trace.map { Origin(peer: peer, trace: $0) } : nil }

    /// Where the call comes from, in any case.
    var origin: Origin { Origin(peer: peer, trace: hasMetadata ? trace : nil) }

    private var trace: TraceContext? {
        let fields = metadata.fields.filter { $0.key == "traceparent" }
        // Of several none can be trusted.
        return fields.count == 1 ? TraceContext(fields[0].value) : nil
    }
}

typealias Reply = Coordination.Reply

struct ServiceContext: Sendable {
    let coordinator: Coordinator

    /// Applies a command that is answered at once. The answer leaves when what it says is durable.
    ///
    /// - Parameter origin: more than the call's trace, for a command that few calls bring.
    @inline(__always)
    func perform(_ command: Command, _ call: ServerCall, from origin: Origin? = nil) throws(Status) -> Reply {
        let (outcome, revision) = coordinator.perform(command, at: call.moment, from: origin ?? call.tracedOrigin)
        hold(call, until: revision)
        return try reply(outcome)
    }

    /// Applies a heartbeat. That an agent is known is durable for whoever can name it, so unless something was changed,
    /// or refused, there is nothing to wait for.
    func heartbeat(_ agent: AgentID, _ call: ServerCall) throws(Status) {
        let (outcome, revision) = coordinator.perform(.heartbeat(agent), at: call.moment, from: call.tracedOrigin)
        if case .reply(.done) = outcome {} else { hold(call, until: revision) }
        _ = try reply(outcome)
    }

    /// Reads, and answers when what was read is durable.
    func read<Result: Sendable, Failure: Error>(
        _ call: ServerCall, _ body: (borrowing Machine) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let (result, revision) = try coordinator.read(at: call.moment, body)
        hold(call, until: revision)
        return result
    }

    /// Keeps a call's answer back until what it is based on is on disk.
    @inline(__always)
    func hold(_ call: ServerCall, until revision: Revision) {
        if !coordinator.isDurable(revision) { call.holdAnswer(until: revision.value) }
    }

    private func reply(_ outcome: Outcome) throws(Status) -> Reply {
        switch outcome {
        case .reply(let reply): return reply
        case .refused(let refusal): throw Status(refusal)
        case .waiting: preconditionFailure("a command that waits where none may")
        }
    }

    /// Applies a command that may wait, and answers the call with `send` when it is settled, wherever
    /// that happens. A call that ends before gives up its wait.
    ///
    /// - Parameter send: answers an open call; runs on the call's event loop.
    func performWaiting(
        _ command: Command, _ call: ServerCall, send: @escaping @Sendable (ServerCall, Reply) -> Void
    ) {
        let handle = call.handle
        let returnGrant: @Sendable (Reply) -> Void = { [coordinator] reply in
            if let (task, token) = reply.grant {
                _ = coordinator.perform(.returnGrant(task, token), at: Clock.now())
            }
        }
        let answer: @Sendable (ServerCall, Outcome, Revision) -> Void = { call, outcome, revision in
            hold(call, until: revision)
            switch outcome {
            case .refused(let refusal):
                call.finish(Status(refusal))
            case .reply(let reply):
                // Granted to nobody: the client went away while the grant was on its way to it.
                guard call.isOpen else { return returnGrant(reply) }
                call.onInterruption = nil
                call.onDelivery = { delivered in
                    if !delivered { returnGrant(reply) }
                }
                send(call, reply)
                call.finish(.ok)
            case .waiting:
                preconditionFailure("a wait that ended in a wait")
            }
        }
        let (outcome, revision) = coordinator.perform(command, at: call.moment, from: call.tracedOrigin) {
            outcome, revision in
            handle.later { call in answer(call, outcome, revision) }
        }
        guard case .waiting(let waiter) = outcome else { return answer(call, outcome, revision) }
        call.onInterruption = { [coordinator] _, _ in
            _ = coordinator.perform(.cancelWait(waiter), at: Clock.now())
        }
    }
}

extension Reply {
    /// The lease that a waiting call was given.
    fileprivate var grant: (TaskID, FencingToken)? {
        switch self {
        case .lease(let lease, acquired: true), .claimed(_, let lease): (lease.task, lease.token)
        default: nil
        }
    }
}

/// 128 random bits, from libsodium.
func randomID() -> AgentID {
    var words: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) { randombytes_buf($0.baseAddress!, $0.count) }
    return AgentID(high: words.0, low: words.1)
}
