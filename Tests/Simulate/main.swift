// Long runs: `make simulate SEEDS=100000`, or one seed again: `make simulate SEED=4711 STEPS=300`, with TRACE=1 for all
// that happened in it.

import Glibc
import Simulation

/// `NAME=NUMBER` among the arguments.
func number(_ name: String) -> UInt64? {
    for argument in CommandLine.arguments.dropFirst() where argument.hasPrefix(name + "=") {
        guard let value = UInt64(argument.dropFirst(name.count + 1)) else {
            print("\(argument): \(name) must be a number")
            exit(2)
        }
        return value
    }
    return nil
}

for argument in CommandLine.arguments.dropFirst()
where !["SEEDS", "SEED", "STEPS", "TRACE"].contains(String(argument.prefix { $0 != "=" })) {
    print("\(argument)? usage: simulate [SEEDS=COUNT] [SEED=FIRST] [STEPS=COUNT] [TRACE=1]")
    exit(2)
}

let single = number("SEED")
let first = single ?? UInt64.random(in: 0..<1_000_000_000)
let count = number("SEEDS") ?? (single == nil ? 10_000 : 1)
let steps = Int(number("STEPS") ?? 300)
if number("TRACE") != nil {
    let simulation = Simulation(seed: first)
    simulation.tell = { print($0) }
    do throws(Violation) {
        try simulation.run(steps: steps)
    } catch {
        print(error)
    }
    exit(0)
}
let outcome = await Campaign.run(seeds: first..<first + count, steps: steps)
print(outcome.description)
exit(outcome.failures.isEmpty ? 0 : 1)
