// What the journal has counted, for `/metrics`.

import Synchronization

package final class JournalStatistics: Sendable {
    /// Upper bounds of the buckets of commit latency, in nanoseconds.
    package static let latencyBounds: [Int64] = [
        50_000, 100_000, 200_000, 400_000, 800_000, 1_600_000, 3_200_000, 6_400_000, 12_800_000, 25_600_000,
        102_400_000, 409_600_000, 1_638_400_000,
    ]
    /// And of changes a commit.
    package static let batchBounds: [Int64] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096]

    package struct Histogram: Sendable {
        /// One more than there are bounds: the last is all above.
        package var counts: [Int64]
        package var sum: UInt64 = 0
    }

    package struct Snapshot: Sendable {
        package var commitLatency: Histogram
        package var batchSize: Histogram
        package var committedBytes: UInt64 = 0
        package var checkpoints: UInt64 = 0
        package var checkpointNanoseconds: UInt64 = 0
        package var failedCheckpoints: UInt64 = 0
    }

    private let state = Mutex(
        Snapshot(
            commitLatency: Histogram(counts: [Int64](repeating: 0, count: latencyBounds.count + 1)),
            batchSize: Histogram(counts: [Int64](repeating: 0, count: batchBounds.count + 1))))

    package var snapshot: Snapshot { state.withLock { $0 } }

    func committed(changes: UInt64, bytes: Int, nanoseconds: Int64) {
        state.withLock { state in
            state.commitLatency.add(nanoseconds, Self.latencyBounds)
            state.batchSize.add(Int64(changes), Self.batchBounds)
            state.committedBytes += UInt64(bytes)
        }
    }

    func checkpointed(nanoseconds: Int64) {
        state.withLock { state in
            state.checkpoints += 1
            state.checkpointNanoseconds += UInt64(max(0, nanoseconds))
        }
    }

    func checkpointFailed() { state.withLock { $0.failedCheckpoints += 1 } }
}

extension JournalStatistics.Histogram {
    fileprivate mutating func add(_ value: Int64, _ bounds: [Int64]) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += UInt64(max(0, value))
    }
}
