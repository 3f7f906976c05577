// What an operator wants to know of the calls, counted by the thread that serves them.
//
// Each event loop has counters of its own and is the only one to write them, so counting is a load and
// a store; whoever reads adds them up, and may see one call earlier than another.

import Synchronization

package final class CallStatistics: @unchecked Sendable {
    // The counters are atomics in memory that lives as long as the object.

    /// The upper bounds of the latency buckets, in nanoseconds; one more bucket has no bound.
    package static let latencyBounds: [Int64] = [
        5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
        25_000_000, 50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000,
        5_000_000_000, 10_000_000_000,
    ]
    private static let codes = Status.Code.allCases.count
    private static let buckets = latencyBounds.count + 1
    /// Of one method: a counter for each code, one for each bucket, the sum of latencies, calls open.
    private static let rowLength = codes + buckets + 2

    private let methodCount: Int
    private let counters: UnsafeMutablePointer<Atomic<Int64>>
    /// Not of one method.
    private let totals: UnsafeMutablePointer<Atomic<Int64>>

    enum Total: Int, CaseIterable {
        case openConnections
        case acceptedConnections
        case refusedConnections
        case abusiveConnections
        case openStreams
        case receivedBytes
        case sentBytes
    }

    /// The last row counts calls of methods that the server does not know.
    init(methodCount: Int) {
        self.methodCount = methodCount
        let count = (methodCount + 1) * Self.rowLength
        counters = .allocate(capacity: count)
        for index in 0..<count { (counters + index).initialize(to: Atomic(0)) }
        totals = .allocate(capacity: Total.allCases.count)
        for index in 0..<Total.allCases.count { (totals + index).initialize(to: Atomic(0)) }
    }

    deinit {
        counters.deinitialize(count: (methodCount + 1) * Self.rowLength)
        counters.deallocate()
        totals.deinitialize(count: Total.allCases.count)
        totals.deallocate()
    }

    @inline(__always)
    private static func add(_ counter: UnsafeMutablePointer<Atomic<Int64>>, _ amount: Int64) {
        counter.pointee.store(counter.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    func add(_ total: Total, _ amount: Int64 = 1) { Self.add(totals + total.rawValue, amount) }

    func callBegan(_ method: Int?) {
        Self.add(row(method) + (Self.rowLength - 1), 1)
    }

    func callEnded(_ method: Int?, _ code: Status.Code, nanoseconds: Int64) {
        let row = row(method)
        Self.add(row + Int(code.rawValue), 1)
        var bucket = 0
        while bucket < Self.latencyBounds.count, nanoseconds > Self.latencyBounds[bucket] { bucket &+= 1 }
        Self.add(row + (Self.codes + bucket), 1)
        Self.add(row + (Self.rowLength - 2), nanoseconds)
        Self.add(row + (Self.rowLength - 1), -1)
    }

    private func row(_ method: Int?) -> UnsafeMutablePointer<Atomic<Int64>> {
        counters + (method ?? methodCount) &* Self.rowLength
    }

    // MARK: Reading

    func total(_ total: Total) -> Int64 { totals[total.rawValue].load(ordering: .relaxed) }

    /// What was counted of one method, added to `snapshot`.
    func add(_ method: Int?, to snapshot: inout MethodSnapshot) {
        let row = row(method)
        for code in 0..<Self.codes { snapshot.byCode[code] += row[code].load(ordering: .relaxed) }
        for bucket in 0..<Self.buckets {
            snapshot.latencyBuckets[bucket] += row[Self.codes + bucket].load(ordering: .relaxed)
        }
        snapshot.latencySumNanoseconds += row[Self.rowLength - 2].load(ordering: .relaxed)
        snapshot.open += row[Self.rowLength - 1].load(ordering: .relaxed)
    }
}

/// The calls of one method so far.
package struct MethodSnapshot: Sendable {
    /// `/package.Service/Method`, or `unknown`.
    package let path: String
    package let kind: CallKind?
    /// Finished calls by `Status.Code.rawValue`.
    package var byCode = [Int64](repeating: 0, count: Status.Code.allCases.count)
    /// Finished calls by latency, each bucket on its own; the bounds are `CallStatistics.latencyBounds`.
    package var latencyBuckets = [Int64](repeating: 0, count: CallStatistics.latencyBounds.count + 1)
    package var latencySumNanoseconds: Int64 = 0
    /// Calls under way.
    package var open: Int64 = 0

    package var finished: Int64 { byCode.reduce(0, +) }
}

/// All that a server has counted.
package struct ServerSnapshot: Sendable {
    package var methods: [MethodSnapshot]
    package var openConnections: Int64 = 0
    package var acceptedConnections: Int64 = 0
    package var refusedConnections: Int64 = 0
    package var abusiveConnections: Int64 = 0
    package var openStreams: Int64 = 0
    package var receivedBytes: Int64 = 0
    package var sentBytes: Int64 = 0
}
