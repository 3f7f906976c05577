// What the examples' agents do: enough to see that it was done.

import AgentKeeper

@discardableResult
func scrape(_ site: String, token: FencingToken) async throws -> [UInt8] {
    Array("\(site) with token \(token)".utf8)
}

func write(_ page: String, token: FencingToken) async throws { try await store.append(page, token: token) }

func model(_ prompt: String) async throws -> String { "an answer to: \(prompt)" }

func plan(term: UInt64) async throws { await planned.append(term) }

let store = Store()
let planned = Terms()

struct Fenced: Error {
    let token: FencingToken
    let newest: FencingToken
}

actor Terms {
    private(set) var terms: [UInt64] = []
    func append(_ term: UInt64) { terms.append(term) }
}
