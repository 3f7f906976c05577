// Lists that may be read in pages. A client that knows nothing of pages gets the whole list, or is told
// of the fields that it needs.

import RPC

struct Paging {
    /// The most that one page may have, whatever is asked for.
    private static let maxPageSize = 10_000

    private let pageSize: Int?
    private let field: StaticString

    /// - Parameters:
    ///   - pageSize: 0 for no pages, unless a token says otherwise.
    ///   - token: where the page begins; empty for the first.
    init(pageSize: UInt32, token: String, field: StaticString) throws(Status) {
        self.field = field
        if pageSize > 0 {
            self.pageSize = Int(min(pageSize, UInt32(Self.maxPageSize)))
        } else {
            self.pageSize = token.isEmpty ? nil : Self.maxPageSize
        }
    }

    /// More entries than any message has room for: reading on would only hold the lock.
    private static let maxUnpaged = 100_001

    /// How many to read: one more than a page has, which tells whether there are more.
    var readLimit: Int { pageSize.map { $0 + 1 } ?? Self.maxUnpaged }

    struct Filled<Value, Message> {
        let count: Int
        let messages: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>
        /// The last on the page, when others follow.
        let lastOfMore: Value?
    }

    /// - Throws: RESOURCE_EXHAUSTED when a list that was not asked for in pages has no room in one
    ///   message.
    func fill<Value, Message>(
        _ values: [Value], in arena: Arena, _ encode: (Value) -> UnsafeMutablePointer<Message>
    ) throws(Status) -> Filled<Value, Message> {
        var page = Page<Message>(in: arena, capacity: min(values.count, pageSize ?? .max))
        for value in values {
            guard page.append(encode(value)) else { break }
        }
        if page.count < values.count, pageSize == nil {
            throw Status(
                .resourceExhausted,
                "the list of all \(field) is larger than one message may be (4 MiB): "
                    + "ask for it in pages with page_size and page_token")
        }
        return Filled(
            count: page.count, messages: page.messages,
            lastOfMore: page.count < values.count && page.count > 0 ? values[page.count - 1] : nil)
    }
}
