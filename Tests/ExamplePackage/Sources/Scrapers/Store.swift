import AgentKeeper

actor Store {
    private var newest = FencingToken(0)
    private var pages: [String] = []

    func append(_ page: String, token: FencingToken) throws(Fenced) {
        guard token >= newest else { throw Fenced(token: token, newest: newest) }
        newest = token
        pages.append(page)
    }
}
