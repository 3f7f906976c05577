// Everything that the daemon's gRPC port serves.

import Coordination
import NIOCore
import RPC

package struct AgentKeeperServices: Sendable {
    package let methods: [Method]
    package let health: Health
    package let watches: WatchHub

    private static let names = [
        RegistryService.name, LeaseService.name, ElectionService.name, EntitlementsService.name,
        TaskService.name, WatchHub.name, InspectionService.name,
    ]

    /// - Parameters:
    ///   - group: the event loops that the server will run on.
    ///   - history: names the history that sequence numbers are counted in; nil for one that outlives the process.
    package init(coordinator: Coordinator, group: any EventLoopGroup, facts: DaemonFacts, history: String? = nil) {
        let context = ServiceContext(coordinator: coordinator)
        let standard = [Health.serviceName] + Reflection.serviceNames
        watches = WatchHub(coordinator: coordinator, group: group, history: history)
        health = Health(services: Self.names + standard)
        let reflection = Reflection(files: schemaFiles(), services: Self.names + standard)
        methods =
            RegistryService(context: context).methods + LeaseService(context: context).methods
            + ElectionService(context: context).methods + EntitlementsService(context: context).methods
            + TaskService(context: context).methods + watches.methods
            + InspectionService(context: context, watches: watches, facts: facts).methods
            + health.methods + reflection.methods
    }
}
