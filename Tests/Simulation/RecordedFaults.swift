// Faults in what was recorded, in the log, and in the database while no daemon has it.

import Coordination

extension Fault {
    /// Whether a change goes missing.
    private func drops(_ change: Change) -> Bool {
        switch (self, change) {
        case (.releaseNotRecorded, .released), (.requestNotRecorded, .requested), (.leaseEndNotRecorded, .leaseEnded),
            (.taskStateNotRecorded, .taskState), (.candidateNotRecorded, .candidateLeft):
            true
        case (.deathNotRecorded, .agentStatus(_, let status, _)): status == .dead
        default: false
        }
    }

    /// What gets to the disk of a batch of changes.
    func distort(_ batch: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        batch.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
                result += distorted(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length]))
                offset += length
            }
        }
        return result
    }

    private func distorted(_ transaction: UnsafeRawBufferPointer) -> [UInt8] {
        var kept = [UInt8](transaction[..<Self.headBytes])
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: transaction[Self.headBytes...]))
        while !reader.isAtEnd {
            let start = transaction.count - reader.remaining
            guard let change = try? Change(from: &reader) else { preconditionFailure("a change that can't be read") }
            let end = transaction.count - reader.remaining
            if drops(change) { continue }
            if self == .renewalNotRecorded, case .lease(let lease) = change, wasRenewed(lease) { continue }
            kept += transaction[start..<end]
        }
        withUnsafeBytes(of: UInt32(kept.count).littleEndian) { kept.replaceSubrange(0..<4, with: $0) }
        return kept
    }

    /// A lease that ends later than when it was acquired.
    private func wasRenewed(_ lease: StoredLease) -> Bool {
        lease.lease.expiresAt.nanoseconds - lease.lease.acquiredAt.nanoseconds != Int64(lease.ttlSeconds) * Model.second
    }

    /// The length, the revision, both clocks and the oldest event.
    private static let headBytes = 36

    // MARK: The files

    /// What becomes of the disk at a crash.
    func distort(_ disk: SimulatedDisk) {
        let logs = disk.names.keys.filter { $0.hasPrefix("log.") }.sorted()
        switch self {
        case .recycleSegmentTooEarly: if let last = logs.last { disk.vanish(last) }
        case .ignoreChecksum: for name in logs { disk.overwrite(name, believe) }
        default: break
        }
    }

    /// Makes whatever looks like a frame a good one.
    private func believe(_ log: inout [UInt8]) {
        var offset = 0
        while offset + 48 <= log.count {
            defer { offset += 8 }
            let frame = offset
            func word(_ place: Int) -> Int {
                (0..<4).reduce(0) { $0 | Int(log[frame + place + $1]) << (8 * $1) }
            }
            let end = offset + 48 + word(8)
            guard word(0) == 0x474c_4b41, end <= log.count else { continue }
            let sum = Self.checksum(log[offset + 8..<end])
            for index in 0..<4 { log[offset + 4 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index))) }
        }
    }

    /// CRC-32, as in zlib.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var sum = UInt32.max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0xedb8_8320 : 0) }
        }
        return ~sum
    }

    // MARK: The database

    /// Changes the rows that a daemon left, as if it had not written them or would not read them. False when there was
    /// nothing to change.
    func distort(_ rows: Rows) -> Bool {
        func change(_ table: String, _ sql: String) -> Bool {
            guard rows.execute(sql) > 0 else { return false }
            rows.seal(table)
            return true
        }
        switch self {
        case .countersNotStored:
            return change("daemon", "UPDATE daemon SET last_token = 0, last_sequence = 0, last_task_number = 0")
        case .tokenReused:
            return change(
                "daemon",
                "UPDATE daemon SET last_token = last_token - 1 WHERE last_token NOT IN (SELECT token FROM leases) AND last_token > 0"
            )
        case .leaseShortened:
            return change("leases", "UPDATE leases SET deadline_clock_ns = deadline_clock_ns - 2000000000")
        case .deadAgentReturns:
            return change("agents", "UPDATE agents SET status = 'ALIVE', died_clock_ns = NULL WHERE status = 'DEAD'")
        case .termGoesBack: return change("elections", "UPDATE elections SET term = term - 1 WHERE term > 1")
        case .secondCandidateLeads:
            let others = "SELECT agent_id FROM candidates c WHERE c.group_name = elections.group_name"
            guard
                change(
                    "elections",
                    "UPDATE elections SET leader_agent_id = (\(others) ORDER BY position DESC LIMIT 1) "
                        + "WHERE (SELECT count(*) FROM candidates c WHERE c.group_name = elections.group_name) > 1")
            else { return false }
            return change(
                "candidates",
                "UPDATE candidates SET position = 0 WHERE agent_id = (SELECT leader_agent_id FROM elections e "
                    + "WHERE e.group_name = candidates.group_name)")
        case .retryMemoryForgotten: return rows.execute("DELETE FROM requests") > 0
        case .finishedTaskPending:
            return change(
                "tasks",
                "UPDATE tasks SET status = 'PENDING', claimed_by_agent_id = NULL, claimed_at = NULL, completed_at = NULL, "
                    + "finished_clock_ns = NULL WHERE status IN ('COMPLETED', 'DEAD')")
        case .pendingTaskLost: return rows.execute("DELETE FROM tasks WHERE status = 'PENDING'") > 0
        case .policyInvented:
            return change("policies", "INSERT OR IGNORE INTO policies VALUES ('z', '*', '*', '*', 'ALLOW', 0)")
        case .policyTurned: return change("policies", "UPDATE policies SET effect = 'ALLOW' WHERE effect = 'DENY'")
        case .eventForgotten:
            // The last one: a gap in the middle would be found at once.
            guard rows.execute("DELETE FROM events WHERE sequence = (SELECT last_sequence FROM daemon)") > 0 else {
                return false
            }
            return change(
                "daemon",
                "UPDATE daemon SET last_sequence = last_sequence - 1 WHERE last_sequence > "
                    + "(SELECT max(max(registered_by), 0) FROM agents)")
        default: return false
        }
    }

    /// Whether it is planted in the database.
    var isInDatabase: Bool {
        switch self {
        case .countersNotStored, .tokenReused, .leaseShortened, .deadAgentReturns, .termGoesBack,
            .secondCandidateLeads, .retryMemoryForgotten, .finishedTaskPending, .pendingTaskLost, .policyInvented,
            .policyTurned, .eventForgotten:
            true
        default: false
        }
    }
}
