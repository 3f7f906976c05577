// What scripts branch on. The numbers above 63 are those of sysexits.h where one fits.

import AgentKeeper
import ArgumentParser

package enum ExitStatus: Int32 {
    /// The daemon refused the call, or something here went wrong.
    case failure = 1
    /// EX_USAGE: the command line is wrong.
    case usage = 64
    /// EX_UNAVAILABLE: the daemon can't be reached, or did not answer in time.
    case unavailable = 69
    /// EX_TEMPFAIL: somebody else holds it, or nothing came in time. Later it may work.
    case notNow = 75
    /// The lease, or leadership, was lost while the command ran.
    case lost = 76
    /// EX_NOPERM: the policies say no.
    case denied = 77
    /// As a shell has it: the command can't be executed, or is not there.
    case notExecutable = 126
    case notFound = 127

    /// What `--help` says of them.
    static let explanation = """
        Exit statuses: 0 done; 1 refused by the daemon, or failed here; 64 wrong command line; 69 the daemon can't \
        be reached or did not answer in time; 75 not now: held by another, or nothing came in time; 76 the lease or \
        leadership was lost; 77 denied by the policies; 126 and 127 the command can't be executed or is not there.
        """
}

/// Something that ends the command with a line on standard error.
struct Failure: Error {
    let message: String
    let status: ExitStatus

    init(_ message: String, _ status: ExitStatus = .failure) {
        self.message = message
        self.status = status
    }

    init(_ error: AgentKeeperError, at address: String) {
        switch error {
        case .rpc(.unavailable, let message):
            // What the network says is long-winded, and this is nearly always it.
            let reason = message.contains("Connection refused") ? "connection refused" : message
            self.init(
                "can't reach a daemon at \(address): \(reason); --addr or AGENTKEEPER_ADDR names another", .unavailable)
        case .rpc(.deadlineExceeded, _):
            self.init("the daemon at \(address) did not answer in time", .unavailable)
        case .rpc(.unimplemented, let message):
            self.init("the daemon at \(address) does not know this call, it may be older: \(message)")
        case .invalidArgument(let message):
            self.init(message, .usage)
        case .leaseHeld:
            self.init(error.message, .notNow)
        case .denied:
            self.init(error.message, .denied)
        case .rpc, .leaseLost, .leadershipLost, .agentDied, .cancelled, .clientClosed, .daemon:
            self.init(error.description)
        }
    }
}
