import Testing

@testable import Coordination

@Suite struct EntitlementTests {
    private func check(_ scene: Scene, _ subject: String, _ action: String, _ resource: String) -> String {
        do throws(Refusal) {
            return
                switch try scene.read({ machine throws(Refusal) in
                    try machine.check(subject: subject, action: action, resource: resource)
                })
            {
            case .allowed(let policy): "allowed by \(policy)"
            case .denied(let policy): "denied by \(policy)"
            case .noMatch: "no match"
            }
        } catch {
            return describe(error)
        }
    }

    @Test func `Any denial wins, then any permission, and the smallest id is named`() {
        let scene = Scene()
        #expect(check(scene, "a", "read", "doc") == "no match")
        for (command, verdict): (Command, String) in [
            (.policy("m", "a", "read", "doc", .allow), "allowed by m"),
            (.policy("z", "*", "*", "*", .allow), "allowed by m"),
            (.policy("b", "*", "read", "*", .allow), "allowed by b"),
            (.policy("y", "*", "*", "d*", .deny), "denied by y"),
            (.policy("x", "a", "*", "*", .deny), "denied by x"),
            (.policy("x", "other", "*", "*", .deny), "denied by y"),
            (.policy("y", "a", "read", "doc", .allow), "allowed by b"),
            (.deletePolicy(PolicyID("b")), "allowed by m"),
            (.deletePolicy(PolicyID("m")), "allowed by y"),
            (.deletePolicy(PolicyID("y")), "allowed by z"),
            (.deletePolicy(PolicyID("z")), "no match"),
        ] {
            scene.say(command)
            #expect(check(scene, "a", "read", "doc") == verdict, "\(command)")
        }
    }

    @Test func `Policies are set, replaced and deleted with an event each`() {
        let scene = Scene()
        #expect(scene.say(.policy("p", "a", "b", "c", .allow)) == "policy p")
        #expect(scene.say(.policy("p", "a", "b", "c", .deny)) == "policy p")
        #expect(scene.say(.deletePolicy(PolicyID("p"))) == "done")
        #expect(scene.say(.deletePolicy(PolicyID("p"))) == "unknown policy p")
        #expect(scene.events == ["policy.set p", "policy.set p", "policy.deleted p"])
    }

    @Test func `A star in a question is no wildcard, and case counts`() {
        let scene = Scene()
        scene.say(.policy("p", "agent-1", "read", "doc:*", .allow))
        #expect(check(scene, "*", "*", "*") == "no match")
        #expect(check(scene, "agent-*", "read", "doc:1") == "no match")
        #expect(check(scene, "Agent-1", "read", "doc:1") == "no match")
        #expect(check(scene, "agent-1", "read", "doc:*") == "allowed by p")
        #expect(check(scene, "", "", "") == "no match")
    }

    @Test func `Fields have their ranges`() {
        let scene = Scene()
        let long = String(repeating: "x", count: 1025)
        for (command, outcome): (Command, String) in [
            (.policy("", "a", "b", "c", .allow), "policy.id must not be empty"),
            (.policy("p", "", "b", "c", .allow), "policy.subject must not be empty"),
            (.policy("p", "a", "", "c", .allow), "policy.action must not be empty"),
            (.policy("p", "a", "b", "", .allow), "policy.resource must not be empty"),
            (
                .policy("p", "a", long, "c", .allow),
                "policy.action must be at most 1024 bytes, found 1025: \"\(long.prefix(200))…\""
            ),
            (.deletePolicy(PolicyID("")), "id must not be empty"),
        ] {
            #expect(scene.say(command) == "invalid: " + outcome)
        }
        let longer = String(repeating: "y", count: 4097)
        #expect(
            check(scene, "a", "b", longer)
                == "invalid: resource must be at most 4096 bytes, found 4097: \"\(longer.prefix(200))…\"")
    }

    @Test func `Policies are listed by id, by the beginning of the subject, page by page`() {
        let scene = Scene()
        for (id, subject) in [("3", "ab"), ("1", "abc"), ("2", "b*"), ("4", "*"), ("5", "ab*")] {
            scene.say(.policy(id, subject, "x", "y", .allow))
        }
        func list(_ prefix: String, after: String? = nil, limit: Int = .max) -> [String] {
            scene.read { $0.policies(subjectPrefix: prefix, after: after.map { PolicyID($0) }, limit: limit) }
                .map(\.id.text)
        }
        #expect(list("") == ["1", "2", "3", "4", "5"])
        #expect(list("ab") == ["1", "3", "5"])
        #expect(list("*") == ["4"])
        #expect(list("ab", after: "1", limit: 1) == ["3"])
        #expect(list("", after: "2x") == ["3", "4", "5"])
    }

    @Test func `There are only so many policies`() {
        var limits = Limits()
        limits.maxPolicies = 1
        let scene = Scene(limits: limits)
        scene.say(.policy("p", "a", "b", "c", .allow))
        #expect(scene.say(.policy("q", "a", "b", "c", .allow)) == "limit: there are 1 policies, the most there may be")
        #expect(scene.say(.policy("p", "a", "b", "d", .allow)) == "policy p")
    }

    /// The index and the order of looking change nothing: every verdict is the one that looking at all
    /// policies gives.
    @Test func `The index finds what looking at every policy finds`() {
        var random = SeededRandom(seed: testSeed)
        let scene = Scene()
        var policies: [String: Policy] = [:]
        func pattern() -> String {
            (0..<Int.random(in: 1...3, using: &random)).map { _ in ["a", "b", "*"].randomElement(using: &random)! }
                .joined()
        }
        func text() -> String {
            (0..<Int.random(in: 0...3, using: &random)).map { _ in ["a", "b"].randomElement(using: &random)! }.joined()
        }
        for step in 0..<400 {
            let id = "p\(Int.random(in: 0..<30, using: &random))"
            if Int.random(in: 0..<3, using: &random) == 0 {
                scene.say(.deletePolicy(PolicyID(id)))
                policies[id] = nil
            } else {
                let policy = Policy(
                    id: PolicyID(id), subject: pattern(), action: pattern(), resource: pattern(),
                    effect: Bool.random(using: &random) ? .allow : .deny)
                scene.say(.setPolicy(policy))
                policies[id] = policy
            }
            let (subject, action, resource) = (text(), text(), text())
            let matching = policies.values.filter {
                matchesByDefinition($0.subject, subject) && matchesByDefinition($0.action, action)
                    && matchesByDefinition($0.resource, resource)
            }
            let expected =
                if let denial = matching.filter({ $0.effect == .deny }).map(\.id).min() {
                    "denied by \(denial)"
                } else if let permission = matching.map(\.id).min() {
                    "allowed by \(permission)"
                } else {
                    "no match"
                }
            #expect(check(scene, subject, action, resource) == expected, "seed \(testSeed), step \(step)")
        }
    }
}

@Suite struct PatternTests {
    @Test(arguments: [
        ("abc", "abc", true), ("abc", "abcd", false), ("abc", "ab", false), ("a", "", false),
        ("*", "", true), ("*", "anything: at/all", true), ("**", "", true), ("a*", "a", true), ("a*", "ba", false),
        ("*a", "ba", true), ("*a", "ab", false), ("a*a", "a", false), ("a*a", "aa", true), ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c-b", false), ("*ab*ab*", "abab", true), ("*ab*ab*", "abba", false), ("*aab*", "aaab", true),
        ("*abab*x", "ababababx", true), ("tool:*:read", "tool:fs:/etc:read", true), ("a?c", "abc", false),
        ("é*", "élan", true), ("*\u{301}", "e\u{301}", true), ("é", "e\u{301}", false),
    ])
    func `A star matches any run and everything else itself`(pattern: String, text: String, matches: Bool) {
        #expect(Pattern(pattern).matchesText(text) == matches)
    }

    @Test func `Every short pattern and text match as the definition says`() {
        let patterns = words(of: ["a", "b", "*"], upTo: 5)
        let texts = words(of: ["a", "b"], upTo: 5)
        for pattern in patterns {
            let compiled = Pattern(pattern)
            let wrong = texts.filter { compiled.matchesText($0) != matchesByDefinition(pattern, $0) }
            #expect(wrong == [], "\(pattern)")
        }
    }

    @Test func `A piece is found where it begins inside an attempt that failed`() {
        for piece in words(of: ["a", "b"], upTo: 7) {
            let pattern = Pattern("*\(piece)*")
            for count in 1...8 {
                let text = piece.prefix(count) + piece.dropLast() + piece
                #expect(pattern.matchesText(String(text)), "\(piece) in \(text)")
                let short = String(text.dropLast())
                #expect(pattern.matchesText(short) == matchesByDefinition("*\(piece)*", short), "\(piece) in \(short)")
            }
        }
    }

    @Test func `Long random patterns match as the definition says`() {
        var random = SeededRandom(seed: testSeed)
        for _ in 0..<300 {
            let pattern = (0..<14).map { _ in ["a", "a", "b", "*"].randomElement(using: &random)! }.joined()
            let text = (0..<24).map { _ in ["a", "a", "b"].randomElement(using: &random)! }.joined()
            #expect(
                Pattern(pattern).matchesText(text) == matchesByDefinition(pattern, text),
                "seed \(testSeed): \(pattern) on \(text)")
        }
    }

    private func words(of letters: [String], upTo length: Int) -> [String] {
        var (all, last) = ([""], [""])
        for _ in 0..<length {
            last = last.flatMap { word in letters.map { word + $0 } }
            all += last
        }
        return all
    }
}

extension Pattern {
    func matchesText(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matches($0) }
    }
}

/// A table of which beginnings match which, straight from the definition.
func matchesByDefinition(_ pattern: String, _ text: String) -> Bool {
    let (pattern, text) = (Array(pattern.utf8), Array(text.utf8))
    var row = [Bool](repeating: false, count: text.count + 1)
    row[0] = true
    for symbol in pattern {
        var next = [Bool](repeating: false, count: text.count + 1)
        for index in 0...text.count {
            if symbol == UInt8(ascii: "*") {
                next[index] = row[index] || index > 0 && next[index - 1]
            } else {
                next[index] = index > 0 && row[index - 1] && text[index - 1] == symbol
            }
        }
        row = next
    }
    return row[text.count]
}
