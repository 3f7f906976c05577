// Faults that can be planted, to see that the simulation catches them: a list of what a daemon may get wrong.
//
// All are planted from outside, in what surrounds the code under test: the disk that it trusts, the moments that it is
// given, the bytes that it recorded, the database between two of its lives, and what is handed to clients.
// So nothing of them is in the product, and each looks just like the mistake it stands for.

package enum Fault: String, CaseIterable, Sendable {
    // The disk, and how it is used.
    case skipLogSync
    case skipDatabaseSync
    case skipDirectorySync
    case acknowledgeBeforeSync
    case ignoreFailedSync
    case dropBatchWithoutRoom
    case recycleSegmentTooEarly
    case ignoreChecksum
    // What is recorded.
    case releaseNotRecorded
    case renewalNotRecorded
    case leaseEndNotRecorded
    case taskStateNotRecorded
    case requestNotRecorded
    case candidateNotRecorded
    case deathNotRecorded
    // What is loaded.
    case countersNotStored
    case tokenReused
    case leaseShortened
    case deadAgentReturns
    case termGoesBack
    case secondCandidateLeads
    case retryMemoryForgotten
    case finishedTaskPending
    case pendingTaskLost
    case policyInvented
    case policyTurned
    case eventForgotten
    // Time.
    case expireEarly
    case expireLate
    case downtimeCounts
    case pauseCounts
    // What clients are told.
    case dropEvent
    case duplicateEvent
    case eventsBeforeDurable
    case allowOnConflict
    case staleTokenAccepted
    case loserIsToldItWon
    case claimGivenTwice
    // The machine itself.
    case notDeterministic

    /// What it must be caught by.
    package var breaks: Set<Invariant> {
        switch self {
        case .skipLogSync, .acknowledgeBeforeSync, .dropBatchWithoutRoom, .ignoreFailedSync:
            // What was ended and is there again is what nobody asked for.
            [.theAcknowledgedIsThere, .theUnaskedIsNot, .everyCrashIsRecoveredFrom]
        case .skipDatabaseSync, .skipDirectorySync, .recycleSegmentTooEarly, .ignoreChecksum:
            [.theAcknowledgedIsThere, .everyCrashIsRecoveredFrom]
        case .releaseNotRecorded, .requestNotRecorded, .retryMemoryForgotten: [.retriesMakeNothingTwice]
        case .renewalNotRecorded: [.nothingExpiresEarly, .nothingExpiresLate, .eventsAreGapless]
        case .leaseEndNotRecorded, .taskStateNotRecorded, .candidateNotRecorded,
            .deathNotRecorded:
            [.theAcknowledgedIsThere, .theUnaskedIsNot, .everyCrashIsRecoveredFrom]
        case .countersNotStored: [.everyCrashIsRecoveredFrom, .tokensIncrease, .eventsAreGapless]
        case .tokenReused: [.tokensIncrease]
        case .leaseShortened, .expireEarly, .downtimeCounts, .pauseCounts: [.nothingExpiresEarly]
        case .expireLate: [.nothingExpiresLate]
        case .deadAgentReturns: [.theDeadNeverReturn]
        case .termGoesBack: [.termsNeverGoBack, .oneLeaderATerm]
        case .secondCandidateLeads: [.oneLeaderATerm]
        case .finishedTaskPending: [.tasksFinishOnce, .noTaskIsLost]
        case .pendingTaskLost: [.noTaskIsLost]
        case .policyInvented: [.theAcknowledgedIsThere, .theUnaskedIsNot, .denyWins]
        case .policyTurned: [.theAcknowledgedIsThere, .denyWins]
        case .allowOnConflict: [.denyWins]
        case .eventForgotten, .dropEvent, .duplicateEvent, .eventsBeforeDurable: [.eventsAreGapless]
        case .staleTokenAccepted: [.noSuccessForAStaleToken]
        case .loserIsToldItWon: [.oneHolderATask]
        case .claimGivenTwice: [.oneAgentATask]
        case .notDeterministic: [.equalCommandsGiveEqualBytes]
        }
    }
}
