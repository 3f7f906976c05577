// One answer of a list that is always read in pages, put together from several short looks at the core.

import Coordination
import RPC

struct Listing {
    private static let defaultPageSize = 1_000
    private static let maxPageSize = 10_000

    private let pageSize: Int
    private let start: UInt64

    /// - Throws: INVALID_ARGUMENT for a token that no list gives out.
    init(pageSize: UInt32, token: UnsafePointer<CChar>, method: StaticString) throws(Status) {
        self.pageSize = pageSize == 0 ? Self.defaultPageSize : Int(min(pageSize, UInt32(Self.maxPageSize)))
        let token = String(wire: token)
        guard let start = token.isEmpty ? 0 : UInt64(token) else {
            throw Status(.invalidArgument, "page_token must be one that \(method) returned, found \(quoted(token))")
        }
        self.start = start
    }

    typealias Look<Value> = (borrowing Machine, _ after: UInt64, _ limit: Int, _ scanning: Int) throws(Refusal) ->
        Stretch<Value>

    func read<Value: Sendable>(
        _ call: ServerCall, _ context: ServiceContext, _ look: Look<Value>
    ) throws(Status) -> Stretch<Value> {
        do throws(Refusal) {
            return try Stretch.gathered(after: start, limit: pageSize) { after, limit, scanning throws(Refusal) in
                try context.read(call) { machine throws(Refusal) in try look(machine, after, limit, scanning) }
            }
        } catch {
            throw Status(error)
        }
    }

    struct Filled<Message> {
        let count: Int
        let messages: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>
        let nextToken: UnsafeMutablePointer<CChar>?
    }

    /// As many as fit into one message.
    static func fill<Value, Message>(
        _ stretch: Stretch<Value>, in arena: Arena, _ encode: (Value) -> UnsafeMutablePointer<Message>
    ) -> Filled<Message> {
        var page = Page<Message>(in: arena, capacity: stretch.found.count)
        for (_, value) in stretch.found {
            guard page.append(encode(value)) else { break }
        }
        let next: UInt64? =
            if page.count < stretch.found.count, page.count > 0 {
                stretch.found[page.count - 1].serial
            } else {
                stretch.isLast ? nil : stretch.examined
            }
        return Filled(
            count: page.count, messages: page.messages, nextToken: next.map { arena.string(String($0)) })
    }
}
