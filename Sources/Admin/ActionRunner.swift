// Carries an action out: what its body says, as a command that an operator gives.

import Coordination
import FoundationEssentials
import JSON
import NIOCore

extension StateReader {
    func perform(
        _ action: Action, _ body: ByteBuffer, _ caller: ActionCredentials
    ) async throws(Problem) -> Reading {
        let command = try action.command(body)
        let origin = Origin(peer: caller.peer, trace: caller.trace)
        let (outcome, revision) = sources.coordinator.perform(command, at: sources.now(), from: origin)
        do throws(Problem) {
            try await gate.wait(for: revision)
        } catch {
            var problem = error
            problem.text += " What was asked for is not undone, and lasts if the disk answers again."
            throw problem
        }
        switch outcome {
        case .reply(.forced(let sequence)):
            return Reading([("done", .bool(true)), ("sequence", .count(sequence.value))], at: nil)
        case .refused(let refusal): throw Problem(refusal)
        case .reply, .waiting: preconditionFailure("an operator's command is done or refused at once")
        }
    }
}

extension Action {
    /// All that any action's body may have.
    private struct Body: Decodable {
        var task_id: String?
        var token: UInt64?
        var agent_id: String?
        var id: String?
    }

    fileprivate func command(_ bytes: ByteBuffer) throws(Problem) -> Command {
        let body: Body
        do {
            body = try JSONDecoder().decode(Body.self, from: Data(bytes.readableBytesView))
        } catch {
            throw .invalid("the body must be a JSON object with \(fields), found \(quoted(String(buffer: bytes)))")
        }
        switch self {
        case .releaseLease:
            guard let task = body.task_id, let token = body.token else { throw missing(bytes) }
            return .forceRelease(TaskID(task), FencingToken(token))
        case .deregisterAgent:
            guard let id = body.agent_id else { throw missing(bytes) }
            return .forceDeregister(try AgentID(parameter: id, "agent_id"))
        case .requeueTask:
            guard let task = body.task_id else { throw missing(bytes) }
            return .forceRequeue(TaskID(task))
        case .deletePolicy:
            guard let id = body.id else { throw missing(bytes) }
            return .forceDeletePolicy(PolicyID(id))
        }
    }

    private var fields: String {
        switch self {
        case .releaseLease: "task_id (a text) and token (a number)"
        case .deregisterAgent: "agent_id (a text)"
        case .requeueTask: "task_id (a text)"
        case .deletePolicy: "id (a text)"
        }
    }

    private func missing(_ bytes: ByteBuffer) -> Problem {
        .invalid("the body must have \(fields), found \(quoted(String(buffer: bytes)))")
    }
}
