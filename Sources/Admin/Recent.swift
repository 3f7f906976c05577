// The last five minutes, a value a second: so that whoever opens the page sees what led to what he sees.

import Coordination
import JSON
import Synchronization

final class Recent: Sendable {
    static let intervalMilliseconds: Int64 = 1_000
    /// Five minutes, 80 bytes a second.
    private static let capacity = 300

    private struct Sample {
        var calls: UInt64?
        var errors: UInt64?
        /// In microseconds.
        var p50: Double?
        var p99: Double?
        var events: UInt64?
        var alive = 0
        /// Claims not among them, as in the counts: those are tasks.
        var leases = 0
        var pending = 0
    }

    private struct State {
        var samples: [Sample] = []
        /// Where the oldest is, once all are there.
        var start = 0
        var end = Instant(nanoseconds: 0)
        var load: Load?
        var lastSequence: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Takes down the second that has passed.
    func take(_ load: Load, _ counts: Counts, last sequence: Sequence, at clock: Instant) {
        state.withLock { state in
            var sample = Sample(
                alive: counts.agentsAlive, leases: counts.leases - counts.claims, pending: counts.tasksPending)
            if let before = state.load {
                let seconds = max(0.1, Double((clock - state.end).nanoseconds) / 1e9)
                let rate = { (count: Double) in UInt64((max(0, count) / seconds).rounded()) }
                sample.calls = rate(Double(load.calls - before.calls))
                sample.errors = rate(Double(load.errors - before.errors))
                sample.events = rate(Double(sequence.value - state.lastSequence))
                let buckets = zip(load.latencyBuckets, before.latencyBuckets).map { $0 - $1 }
                sample.p50 = quantile(0.5, buckets, load.latencyBounds)
                sample.p99 = quantile(0.99, buckets, load.latencyBounds)
            }
            (state.load, state.lastSequence, state.end) = (load, sequence.value, clock)
            if state.samples.count < Self.capacity {
                state.samples.append(sample)
            } else {
                state.samples[state.start] = sample
                state.start = (state.start + 1) % Self.capacity
            }
        }
    }

    var json: JSON {
        let (samples, end) = state.withLock { state in
            (Array(state.samples[state.start...] + state.samples[..<state.start]), state.end)
        }
        func series(_ value: (Sample) -> JSON) -> JSON { .array(samples.map(value)) }
        func count(_ value: UInt64?) -> JSON { value.map { .count($0) } ?? .null }
        func time(_ value: Double?) -> JSON { value.map { .decimal($0.rounded()) } ?? .null }
        return .object([
            ("interval_ms", .count(Self.intervalMilliseconds)), ("end_clock_ms", .clock(end)),
            ("calls_per_second", series { count($0.calls) }), ("errors_per_second", series { count($0.errors) }),
            ("latency_p50_us", series { time($0.p50) }), ("latency_p99_us", series { time($0.p99) }),
            ("events_per_second", series { count($0.events) }),
            ("agents_alive", series { .count($0.alive) }), ("leases", series { .count($0.leases) }),
            ("tasks_pending", series { .count($0.pending) }),
        ])
    }
}

/// A quantile of a histogram in microseconds, taking the values of a bucket as spread evenly, as Prometheus'
/// `histogram_quantile` does; nil where nothing was observed.
private func quantile(_ part: Double, _ buckets: [Int64], _ bounds: [Int64]) -> Double? {
    let total = buckets.reduce(0, +)
    guard total > 0 else { return nil }
    let rank = part * Double(total)
    var before = 0.0
    for (index, count) in buckets.enumerated() where count > 0 {
        let here = before + Double(count)
        if here >= rank {
            let low = index == 0 ? 0 : Double(bounds[index - 1])
            // What is above every bound is taken for the last one.
            guard index < bounds.count else { return low / 1_000 }
            return (low + (Double(bounds[index]) - low) * (rank - before) / Double(count)) / 1_000
        }
        before = here
    }
    return nil
}
