// What can go wrong with a data directory, and what it says to an operator.

import Glibc

package enum JournalError: Error, Sendable {
    /// A file operation failed.
    case disk(DiskError)
    /// SQLite failed: its message, and its extended result code.
    case database(String, code: Int32)
    /// Another daemon has the directory.
    case inUse(directory: String)
    /// The directory can't be used as it is: no directory, not ours, of a newer version.
    case unusable(String)
    /// Files are there that should be whole and are not.
    case damaged(String)

    package var message: String {
        switch self {
        case .disk(let error):
            "\(error.file): \(error.operation) failed: \(String(cString: strerror(error.code)))"
        case .database(let message, let code): "agentkeeper.db failed: \(message) (SQLite code \(code))"
        case .inUse(let directory): "the data directory \(directory) is in use by another daemon"
        case .unusable(let reason): reason
        case .damaged(let reason): "\(reason); nothing was changed, and a backup is needed"
        }
    }

    /// The same, about a directory that is named with it.
    package func message(in directory: String) -> String {
        switch self {
        case .damaged, .database: "data directory \(directory): \(message)"
        case .disk, .inUse, .unusable: message
        }
    }

    /// Whether there was no room: the same may succeed when there is.
    package var isOutOfRoom: Bool {
        switch self {
        case .disk(let error): error.code == ENOSPC || error.code == EDQUOT
        case .database(_, let code): code & 0xff == 13  // SQLITE_FULL
        default: false
        }
    }

    /// Whether somebody else was in the way, such as a person who holds a transaction open in `sqlite3`.
    package var isBusy: Bool {
        if case .database(_, let code) = self { code & 0xff == 5 || code & 0xff == 6 } else { false }
    }
}
