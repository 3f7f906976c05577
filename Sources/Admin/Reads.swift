// The looks at the core that make one answer, and what they are based on together.

import Coordination
import NIOHTTP1

struct Reads {
    let coordinator: Coordinator
    /// The items of a list, in bytes of JSON: one that would have more is cut short.
    let pageBytes: Int
    private let now: @Sendable () -> Moment
    /// The last change that any of them saw.
    private(set) var revision = Revision.zero
    /// The daemon's clock at the last of them.
    private(set) var clock = Instant(nanoseconds: 0)

    init(_ sources: AdminSources, pageBytes: Int = AdminLimits.maxPageBytes) {
        coordinator = sources.coordinator
        self.pageBytes = pageBytes
        now = sources.now
    }

    mutating func read<Value: Sendable, Failure: Error>(
        _ body: (borrowing Machine) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let ((value, clock), revision) = try coordinator.read(at: now()) { machine throws(Failure) in
            (try body(machine), machine.lastInstant)
        }
        self.revision = max(self.revision, revision)
        self.clock = clock
        return value
    }

    mutating func tryRead<Value: Sendable>(
        _ body: (borrowing Machine) throws(Refusal) -> Value
    ) throws(Problem) -> Value {
        do throws(Refusal) {
            return try read(body)
        } catch {
            throw Problem(error)
        }
    }

    typealias Look<Value, Failure: Error> = (
        borrowing Machine, _ after: UInt64, _ limit: Int, _ scanning: Int
    ) throws(Failure) -> Stretch<Value>

    /// - Parameter places: looked at for one page, about 10 ms of them, in short looks: whoever filters 100 000 agents for
    ///   the few that are unreachable finds them on the first page.
    mutating func gather<Value: Sendable, Failure: Error>(
        _ page: Resource.Page, places: Int = 200_000, _ look: Look<Value, Failure>
    ) throws(Failure) -> Stretch<Value> {
        try Stretch.gathered(after: page.after, limit: page.limit, places: places) {
            after, limit, scanning throws(Failure) in
            try read { machine throws(Failure) in try look(machine, after, limit, scanning) }
        }
    }

    mutating func tryGather<Value: Sendable>(
        _ page: Resource.Page, _ look: Look<Value, Refusal>
    ) throws(Problem) -> Stretch<Value> {
        do throws(Refusal) {
            return try gather(page, look)
        } catch {
            throw Problem(error)
        }
    }
}

extension Problem {
    init(_ refusal: Refusal) {
        let status: HTTPResponseStatus =
            switch refusal {
            case .invalid, .futureSequence, .historyGone: .badRequest
            case .unknownAgent, .noLease, .unknownPolicy, .unknownTask: .notFound
            case .limitReached: .serviceUnavailable
            case .deadAgent, .heldByAnother, .staleToken, .notClaimer, .notClaimed, .leaseOnQueuedTask,
                .releaseOfClaim, .requestIDReused, .notRequeuable, .leaseOnFinishedTask:
                .conflict
            }
        self.init(status: status, text: refusal.message)
    }
}
