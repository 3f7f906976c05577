// The agent on whose behalf a command runs: there from before the wait until after the command's end.

import AgentKeeper
import Glibc

struct GuardSession: Sendable {
    /// What comes after the command must not keep the caller: the daemon may be gone.
    private static let patience = Duration.seconds(3)

    let keeper: AgentKeeperClient
    let agent: Agent

    /// - Parameter what: what the agent says of itself.
    init(
        _ options: GuardOptions, _ client: ClientOptions, _ what: String, whenDead: Agent.DeathPolicy = .giveUp
    ) async throws {
        // That no daemon is there is said at once; one that goes away later is waited for.
        let probe = try await client.connect()
        do {
            try await probe.waitUntilReady()
        } catch {
            await probe.close()
            throw error
        }
        await probe.close()
        keeper = try await client.connect(waits: true)
        do {
            agent = try await keeper.register(options.card(what), ttl: options.wholeTTL, whenDead: whenDead)
        } catch {
            await keeper.close()
            throw error
        }
    }

    enum Wait<Value: Sendable>: Sendable {
        case had(Value)
        /// By this signal: the caller changed his mind.
        case interrupted(Int32)
    }

    /// Waits for something, until a signal ends the wait.
    ///
    /// - Parameter telling: what a person at the terminal is told when it takes a while.
    func `await`<Value: Sendable>(
        _ signals: SignalStream, telling: @escaping @Sendable () async throws -> String,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Wait<Value> {
        try await withThrowingTaskGroup(of: Wait<Value>?.self) { group in
            group.addTask { .had(try await body()) }
            group.addTask { await signals.next().map { .interrupted($0) } }
            group.addTask {
                try? await Task.sleep(for: .milliseconds(700))
                if !Task.isCancelled, isatty(STDERR_FILENO) == 1, let line = try? await telling() { complain(line) }
                return nil
            }
            defer { group.cancelAll() }
            while let outcome = try await group.next() {
                guard let outcome else { continue }
                guard case .had = outcome else { return outcome }
                group.cancelAll()
                // A signal that came at the same time is for the command.
                while let late = try? await group.next() {
                    if case .interrupted(let number) = late { signals.giveBack(number) }
                }
                return outcome
            }
            throw AgentKeeperError.cancelled
        }
    }

    /// Does what is polite, for as long as the patience lasts.
    func atLast(_ body: @escaping @Sendable () async throws -> Void) async {
        _ = try? await first(body) { try await Task.sleep(for: Self.patience) }
    }

    /// Runs `body` with a session that is ended afterwards, whatever happens.
    static func with(
        _ session: GuardSession, _ body: (GuardSession) async throws -> Int32
    ) async throws -> Int32 {
        do {
            let status = try await body(session)
            await session.end()
            return status
        } catch {
            await session.end()
            throw error
        }
    }

    private func end() async {
        await atLast {
            try await agent.deregister()
            await keeper.close()
        }
    }
}
