import AgentKeeper
import ArgumentParser

struct HealthCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Whether the daemon takes calls: for health checks.",
        discussion: """
            Asks grpc.health.v1.Health, as Kubernetes does. The exit status is 0 when the daemon serves, and 69 when it \
            is ending, can't be reached or does not answer in time.
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var client: ClientOptions

    func run(_ keeper: AgentKeeperClient) async throws {
        guard try await keeper.isServing() else {
            throw Failure("the daemon at \(keeper.address) is not serving: it is ending", .unavailable)
        }
        output.print(
            .object([("addr", .string(keeper.address)), ("serving", .bool(true))]), line: "serving at \(keeper.address)"
        )
    }
}
