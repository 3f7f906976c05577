// The simulation with new seeds on every run, and each planted fault until it is caught.

import Glibc
import Simulation
import Testing

private func given(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

@Suite struct SimulationTests {
    @Test func `Whatever fails, whenever it fails, every invariant holds`() async {
        let first = given("AGENTKEEPER_SEED") ?? UInt64.random(in: 0..<1_000_000_000)
        print("AGENTKEEPER_SEED=\(first)")
        let outcome = await Campaign.run(seeds: first..<first + 2_000, steps: 60)
        print(outcome.description)
        #expect(outcome.failures.isEmpty, "\(outcome.description)")
        #expect(outcome.failures.isEmpty == false || outcome.seeds >= 2_000)
        // Otherwise the runs were not eventful enough to mean anything.
        let summary = outcome.summary
        #expect(summary.powerCuts > 2_000 && summary.kills > 100 && summary.stops > 100)
        #expect(summary.timesFull > 100 && summary.failedSyncs > 20 && summary.checkpoints > 1_000)
    }

    @Test(arguments: Fault.allCases)
    func `A planted fault is caught`(_ fault: Fault) async throws {
        let outcome = await Campaign.run(seeds: 1..<2_000, steps: 200, fault: fault, until: 1)
        let failure = try #require(outcome.failures.first, "\(fault) was not caught by \(outcome.description)")
        #expect(fault.breaks.contains(failure.violation.invariant), "\(fault): \(failure.line)")
    }
}
