// The command line as a client of the daemon: every command but those that are the daemon itself.
//
// Each command has a file of its own in Verbs; what runs a program under a lease is in Guarded, what people and
// programs get to see in Output. All of it goes through the SDK, as anybody's program would.

import ArgumentParser

package enum Commands {
    /// In the groups in which `--help` shows them.
    package static let groups = [
        CommandGroup(name: "Locking", subcommands: [LockCommand.self, ElectCommand.self]),
        CommandGroup(
            name: "Client",
            subcommands: [
                AgentsCommand.self, LeasesCommand.self, ElectionsCommand.self, PoliciesCommand.self,
                TasksCommand.self, WatchCommand.self, FindCommand.self, CheckCommand.self, StatusCommand.self,
                HealthCommand.self, BenchCommand.self,
            ]),
    ]

    package static var exitStatuses: String { ExitStatus.explanation }
}
