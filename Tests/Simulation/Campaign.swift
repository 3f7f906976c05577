// Many runs at once, on all cores, and what came of them.

import Glibc
import Synchronization

package enum Campaign {
    package struct Failure: Sendable {
        package let seed: UInt64
        package let steps: Int
        package let violation: Violation

        /// One line that makes it happen again.
        package var line: String { "make simulate SEED=\(seed) STEPS=\(steps)   # \(violation)" }
    }

    package struct Outcome: Sendable {
        package var seeds: UInt64 = 0
        package var failures: [Failure] = []
        package var summary = Simulation.Summary()

        package var description: String {
            let head =
                "\(seeds) seeds: \(summary.commands) commands, \(summary.events) events, \(summary.commits) commits, "
                + "\(summary.checkpoints) checkpoints, \(summary.powerCuts) power cuts, \(summary.kills) kills, "
                + "\(summary.stops) stops, \(summary.failedSyncs) failed syncs, \(summary.timesFull) times full, "
                + "\(summary.pauses) pauses; \(failures.count) failures"
            return ([head] + failures.map(\.line)).joined(separator: "\n")
        }
    }

    /// The seeds that nobody has taken yet.
    private final class Queue: Sendable {
        private let state: Mutex<(rest: Range<UInt64>, failures: Int)>

        init(_ seeds: Range<UInt64>) { state = Mutex((seeds, 0)) }

        func take() -> UInt64? {
            state.withLock { state in
                guard let next = state.rest.first else { return nil }
                state.rest = next + 1..<state.rest.upperBound
                return next
            }
        }

        /// There are no more when so many have failed.
        func failed(_ enough: Int) {
            state.withLock { state in
                state.failures += 1
                if state.failures >= enough { state.rest = state.rest.upperBound..<state.rest.upperBound }
            }
        }
    }

    /// Runs each seed, until so many have failed.
    package static func run(seeds: Range<UInt64>, steps: Int, fault: Fault? = nil, until: Int = 10) async -> Outcome {
        let queue = Queue(seeds)
        return await withTaskGroup(of: Outcome.self) { group in
            for worker in 0..<max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) {
                group.addTask {
                    var outcome = Outcome()
                    while let seed = queue.take() {
                        outcome.seeds += 1
                        TrapReport.begin(worker, seed: seed, steps: steps)
                        defer { TrapReport.end(worker) }
                        let simulation = Simulation(seed: seed, fault: fault)
                        do throws(Violation) {
                            try simulation.run(steps: steps)
                        } catch {
                            let failure = Failure(seed: seed, steps: steps, violation: error)
                            outcome.failures.append(failure)
                            if fault == nil { TrapReport.say(failure.line) }
                            queue.failed(until)
                        }
                        outcome.summary.add(simulation.summary)
                    }
                    return outcome
                }
            }
            var all = Outcome()
            for await part in group {
                all.seeds += part.seeds
                all.failures += part.failures
                all.summary.add(part.summary)
            }
            all.failures.sort { $0.seed < $1.seed }
            return all
        }
    }
}
