// What must hold at every moment of every run, whatever fails: each rule with a name, and a sentence that a
// failure is reported with.

package enum Invariant: String, CaseIterable, Sendable {
    case oneHolderATask
    case tokensIncrease
    case noSuccessForAStaleToken
    case nothingExpiresEarly
    case nothingExpiresLate
    case oneLeaderATerm
    case termsNeverGoBack
    case leadersLive
    case theDeadHoldNothing
    case theDeadNeverReturn
    case oneAgentATask
    case tasksFinishOnce
    case noTaskIsLost
    case denyWins
    case eventsAreGapless
    case retriesMakeNothingTwice
    case theAcknowledgedIsThere
    case theUnaskedIsNot
    case equalCommandsGiveEqualBytes
    case everyCrashIsRecoveredFrom

    package var sentence: String {
        switch self {
        case .oneHolderATask: "A task has one holder at a time."
        case .tokensIncrease: "Tokens are strictly increasing and never reused, over restarts too."
        case .noSuccessForAStaleToken: "Nothing succeeds under a token that is not the holder's."
        case .nothingExpiresEarly: "Nothing expires before its time, whatever restarts or pauses."
        case .nothingExpiresLate: "What has run out is gone within the bound."
        case .oneLeaderATerm: "A term has one leader: the candidate who has waited longest."
        case .termsNeverGoBack: "The terms of an election only ever grow."
        case .leadersLive: "Who leads is not DEAD."
        case .theDeadHoldNothing: "A DEAD agent holds no lease, no claim and no candidacy."
        case .theDeadNeverReturn: "A DEAD agent is never anything else again."
        case .oneAgentATask: "A task of the queue is with one agent at a time, one that can do it."
        case .tasksFinishOnce: "A task is finished once, and stays so."
        case .noTaskIsLost: "A task that is not finished is PENDING or CLAIMED, and nowhere else."
        case .denyWins: "A policy that denies wins over all that allow."
        case .eventsAreGapless: "Each watcher sees its events in order, none twice and none missing, over restarts too."
        case .retriesMakeNothingTwice: "A retry under the same request id makes nothing twice."
        case .theAcknowledgedIsThere: "What was acknowledged is there after a recovery."
        case .theUnaskedIsNot: "What is there was asked for."
        case .equalCommandsGiveEqualBytes: "The same commands at the same moments give the same bytes."
        case .everyCrashIsRecoveredFrom: "After every crash the daemon starts again."
        }
    }
}

/// A rule that was broken, and by what.
package struct Violation: Error, CustomStringConvertible, Sendable {
    package let invariant: Invariant
    package let detail: String

    init(_ invariant: Invariant, _ detail: String) {
        self.invariant = invariant
        self.detail = detail
    }

    package var description: String { "\(invariant.rawValue): \(invariant.sentence) \(detail)" }
}

func require(
    _ condition: Bool, _ invariant: Invariant, _ detail: @autoclosure () -> String
) throws(Violation) {
    if !condition { throw Violation(invariant, detail()) }
}
