// From the database to a machine that goes on where another stopped.

import Coordination

enum Loading {
    /// - Parameters:
    ///   - startTokensAbove: what tokens must exceed whatever is kept.
    /// - Throws: `damaged` with what is wrong.
    static func machine(
        from database: Database, limits: Limits, startTokensAbove token: FencingToken
    ) throws(JournalError) -> Machine {
        let daemon = try Ledger.daemonRow(database)
        var machine = Machine(limits: limits, resuming: daemon.counters)
        do {
            try forEach(StoredAgent.self, database) { try machine.restore($0) }
            try forEach(StoredTask.self, database) { try machine.restore($0) }
            try forEach(StoredLease.self, database) { try machine.restore($0) }
            try forEach(StoredElection.self, database) { try machine.restore($0) }
            try forEach(CandidateRow.self, database) { try machine.restore($0.candidacy) }
            try forEach(PolicyRow.self, database) { try machine.restore($0.policy) }
            try forEach(RequestRow.self, database) { machine.restore($0.request) }
            try forEach(ReleaseRow.self, database) { try machine.restore($0.release) }
            try forEach(EventRow.self, database) { try machine.restore($0.event, at: $0.at) }
            machine.skipTokens(to: token)
            try machine.finishRestoring(revision: daemon.counters.revision)
        } catch let failure as Machine.RestoreFailure {
            throw .damaged("agentkeeper.db contradicts itself: \(failure.message)")
        } catch let error as JournalError {
            throw error
        } catch {
            preconditionFailure("an error of another type: \(error)")
        }
        return machine
    }

    private static func forEach<Row: StoredRow>(
        _ type: Row.Type, _ database: Database, _ body: (Row) throws -> Void
    ) throws {
        let statement = try database.prepare(Row.layout.scan)
        while try statement.step() { try body(try Row(row: statement)) }
    }
}
