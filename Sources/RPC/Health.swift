// The health service (https://github.com/grpc/grpc/blob/master/doc/health-checking.md): whether the
// server, or one of its services, takes calls.

import CMessages
import NIOCore
import Synchronization

package final class Health: Sendable {
    package static let serviceName = "grpc.health.v1.Health"

    private typealias ServingStatus = Grpc__Health__V1__HealthCheckResponse__ServingStatus
    private static let serving = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
    private static let notServing = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
    private static let serviceUnknown = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

    private static let request = MessageType(grpc__health__v1__health_check_request__init)
    private static let response = MessageType(grpc__health__v1__health_check_response__init)
    private static let listRequest = MessageType(grpc__health__v1__health_list_request__init)
    private static let listResponse = MessageType(grpc__health__v1__health_list_response__init)
    private static let listEntry = MessageType(grpc__health__v1__health_list_response__statuses_entry__init)

    /// The services that can be asked for; the empty name is the server as a whole.
    private let services: [String]

    private struct State {
        var isServing = true
        var watchers: [UInt64: Watcher] = [:]
        var nextWatcher: UInt64 = 0
    }

    private struct Watcher {
        let call: CallHandle
        let isKnown: Bool
    }

    private let state = Mutex(State())

    package init(services: [String]) {
        self.services = [""] + services
    }

    /// Says of every service whether it takes calls, to watchers at once.
    package func setServing(_ isServing: Bool) {
        let watchers = state.withLock { state in
            guard state.isServing != isServing else { return [Watcher]() }
            state.isServing = isServing
            return Array(state.watchers.values)
        }
        for watcher in watchers where watcher.isKnown {
            watcher.call.later { call in
                if call.isOpen { Self.send(isServing ? Self.serving : Self.notServing, on: call) }
            }
        }
    }

    package var methods: [Method] {
        [
            .unary("/grpc.health.v1.Health/Check", Self.request, Self.response) {
                [self] _, request, response, _ throws(Status) in
                let name = String(cString: request.pointee.service)
                guard services.contains(name) else {
                    throw Status(.notFound, "unknown service: \(quoted(name))")
                }
                response.pointee.status = status
            },
            .unary("/grpc.health.v1.Health/List", Self.listRequest, Self.listResponse) {
                [self] _, _, response, arena throws(Status) in
                let entries = arena.array(
                    of: UnsafeMutablePointer<Grpc__Health__V1__HealthListResponse__StatusesEntry>?.self,
                    count: services.count)
                for (index, name) in services.enumerated() {
                    let entry = Self.listEntry.make(in: arena)
                    let value = Self.response.make(in: arena)
                    value.pointee.status = status
                    entry.pointee.key = arena.string(name)
                    entry.pointee.value = value
                    entries[index] = entry
                }
                response.pointee.n_statuses = services.count
                response.pointee.statuses = entries
            },
            .waiting("/grpc.health.v1.Health/Watch", Self.request, streamsReplies: true) {
                [self] call, request, _ throws(Status) in
                watch(String(cString: request.pointee.service), call)
            },
        ]
    }

    private var status: ServingStatus {
        state.withLock { $0.isServing } ? Self.serving : Self.notServing
    }

    /// Sends the status now and at every change. An unknown service is a status, not an error: it may
    /// appear later (in ours it never does).
    private func watch(_ name: String, _ call: ServerCall) {
        let isKnown = services.contains(name)
        let watcher = Watcher(call: call.handle, isKnown: isKnown)
        let (id, isServing) = state.withLock { state in
            state.nextWatcher += 1
            state.watchers[state.nextWatcher] = watcher
            return (state.nextWatcher, state.isServing)
        }
        call.onInterruption = { [self] _, _ in
            state.withLock { $0.watchers[id] = nil }
        }
        Self.send(isKnown ? (isServing ? Self.serving : Self.notServing) : Self.serviceUnknown, on: call)
    }

    private static func send(_ status: ServingStatus, on call: ServerCall) {
        call.resources.withArena { arena in
            let message = response.make(in: arena)
            message.pointee.status = status
            call.send(message: message)
        }
    }
}
