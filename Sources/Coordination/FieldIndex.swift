// The policies by the literal beginning of one of their fields: subject, action or resource.
//
// A drawer is found by a hash of the beginning, without the text itself: two beginnings with one hash
// share a drawer, and the matcher tells their rules apart.

struct FieldIndex: Sendable {
    /// For patterns without `*`, by the hash of the whole.
    private var whole: [UInt64: RuleDrawer] = [:]
    /// For patterns with one, by the hash of what stands before it.
    private var beginnings: [UInt64: RuleDrawer] = [:]
    /// How many drawers there are for beginnings of each length.
    private var lengths: [Int] = []

    /// FNV-1a: a byte a step, so that the hashes of all beginnings of a text come from one pass.
    private static let emptyHash: UInt64 = 0xcbf2_9ce4_8422_2325

    @inline(__always) private static func extend(_ hash: UInt64, with byte: UInt8) -> UInt64 {
        (hash ^ UInt64(byte)) &* 0x100_0000_01b3
    }

    private static func hash(of pattern: Pattern) -> UInt64 {
        pattern.head.reduce(emptyHash, extend)
    }

    func crowd(of pattern: Pattern) -> Int {
        let hash = FieldIndex.hash(of: pattern)
        return (pattern.isLiteral ? whole[hash] : beginnings[hash])?.count ?? 0
    }

    mutating func insert(_ rule: Entitlements.Rule, under pattern: Pattern) {
        let hash = FieldIndex.hash(of: pattern)
        guard !pattern.isLiteral else {
            whole[hash, default: RuleDrawer()].insert(rule)
            return
        }
        if lengths.count <= pattern.headCount {
            lengths.append(contentsOf: repeatElement(0, count: pattern.headCount + 1 - lengths.count))
        }
        lengths[pattern.headCount] += 1
        beginnings[hash, default: RuleDrawer()].insert(rule)
    }

    /// False when the rule was filed under another field.
    mutating func remove(_ rule: Entitlements.Rule, under pattern: Pattern) -> Bool {
        let hash = FieldIndex.hash(of: pattern)
        if pattern.isLiteral {
            guard whole[hash]?.remove(rule) == true else { return false }
            if whole[hash]?.count == 0 { whole[hash] = nil }
        } else {
            guard beginnings[hash]?.remove(rule) == true else { return false }
            if beginnings[hash]?.count == 0 { beginnings[hash] = nil }
            lengths[pattern.headCount] -= 1
            while lengths.last == 0 { lengths.removeLast() }
        }
        return true
    }

    @inline(__always)
    func forEachDrawer(for text: UnsafeBufferPointer<UInt8>, _ body: (RuleDrawer) -> Void) {
        guard !whole.isEmpty || !beginnings.isEmpty else { return }
        var hash = FieldIndex.emptyHash
        var length = 0
        while true {
            if length < lengths.count && lengths[length] > 0, let drawer = beginnings[hash] { body(drawer) }
            if length == text.count { break }
            if whole.isEmpty && length >= lengths.count { return }
            hash = FieldIndex.extend(hash, with: text[length])
            length += 1
        }
        if let drawer = whole[hash] { body(drawer) }
    }
}

/// The rules filed under one beginning, each list by id.
struct RuleDrawer: Sendable {
    private(set) var denials: [Rule] = []
    private(set) var permissions: [Rule] = []

    typealias Rule = Entitlements.Rule

    var count: Int { denials.count + permissions.count }

    mutating func insert(_ rule: Rule) {
        switch rule.policy.effect {
        case .allow: permissions.insert(rule, at: RuleDrawer.place(of: rule, in: permissions))
        case .deny: denials.insert(rule, at: RuleDrawer.place(of: rule, in: denials))
        }
    }

    mutating func remove(_ rule: Rule) -> Bool {
        switch rule.policy.effect {
        case .allow: RuleDrawer.remove(rule, from: &permissions)
        case .deny: RuleDrawer.remove(rule, from: &denials)
        }
    }

    private static func remove(_ rule: Rule, from rules: inout [Rule]) -> Bool {
        let place = place(of: rule, in: rules)
        guard place < rules.count && rules[place] === rule else { return false }
        rules.remove(at: place)
        return true
    }

    private static func place(of rule: Rule, in rules: [Rule]) -> Int {
        rules.partitionPoint { !($0.policy.id < rule.policy.id) }
    }
}
