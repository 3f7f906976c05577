// The one table from the domain's refusals to gRPC's status codes.

import Coordination
import RPC

extension Status {
    init(_ refusal: Refusal) {
        self.init(Self.code(refusal), refusal.message)
    }

    private static func code(_ refusal: Refusal) -> Code {
        switch refusal {
        case .invalid: .invalidArgument
        case .unknownAgent, .deadAgent, .noLease, .unknownPolicy, .unknownTask: .notFound
        case .heldByAnother, .staleToken, .notClaimer: .permissionDenied
        case .notClaimed, .notRequeuable, .leaseOnQueuedTask, .leaseOnFinishedTask, .releaseOfClaim: .failedPrecondition
        case .requestIDReused: .alreadyExists
        case .limitReached: .resourceExhausted
        case .historyGone, .futureSequence: .outOfRange
        }
    }
}
