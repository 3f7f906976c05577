import Testing

@testable import Coordination

@Suite struct StructureTests {
    @Test func `Deadlines come out in the order of time, whatever was moved and cancelled`() {
        var random = SeededRandom(seed: testSeed)
        var queue = DeadlineQueue()
        var expected: [Int64: (handle: DeadlineQueue.Handle, subject: DeadlineQueue.Subject)] = [:]
        func freeTime(using random: inout SeededRandom) -> Int64 {
            while true {
                let time = Int64.random(in: 0..<5000, using: &random)
                if expected[time] == nil { return time }
            }
        }
        for number in 0..<500 {
            let time = freeTime(using: &random)
            let subject = DeadlineQueue.Subject.agent(Slot(index: Int32(number)))
            expected[time] = (queue.insert(subject, due: Instant(nanoseconds: time)), subject)
            guard let other = expected.keys.sorted().randomElement(using: &random), let entry = expected[other] else {
                break
            }
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                queue.cancel(entry.handle)
                expected[other] = nil
            case 1:
                let moved = freeTime(using: &random)
                queue.move(entry.handle, to: Instant(nanoseconds: moved))
                expected[other] = nil
                expected[moved] = entry
            default: break
            }
        }
        queue.checkInvariants()
        #expect(queue.count == expected.count)
        for time in expected.keys.sorted() {
            if let next = queue.next { #expect(next.nanoseconds <= time) }
            #expect(queue.takeDue(at: Instant(nanoseconds: time - 1)) == nil, "seed \(testSeed)")
            #expect(queue.takeDue(at: Instant(nanoseconds: time)) == expected[time]?.subject, "seed \(testSeed)")
        }
        #expect(queue.next == nil)
    }

    @Test func `A chain keeps its order whoever leaves`() {
        var links = Links<Int>()
        var (chain, other) = (Chain<Int>(), Chain<Int>())
        let slots = (0..<6).map { Slot<Int>(index: $0) }
        for slot in slots.dropLast() { links.append(slot, to: &chain) }
        links.append(slots[5], to: &other)
        for (leaver, rest) in [(2, [0, 1, 3, 4]), (0, [1, 3, 4]), (4, [1, 3]), (3, [1]), (1, [])] {
            links.remove(slots[leaver], from: &chain)
            #expect(links.members(of: chain) == rest.map { slots[$0] })
        }
        #expect(chain.isEmpty && links.members(of: other) == [slots[5]])
    }

    @Test func `A slab gives a vacant place out again and lets go of what was there`() {
        final class Token: Sendable {}
        var slab = Slab<Token>()
        weak var gone: Token?
        do {
            let token = Token()
            gone = token
            let slot = slab.insert(token)
            for _ in 0..<100 { _ = slab.insert(Token()) }
            #expect(slab.contains(slot) && slab[slot] === token)
            slab.remove(slot)
            #expect(!slab.contains(slot) && slab.count == 100)
        }
        #expect(gone == nil)
        #expect(slab.insert(Token()).index == 0)
        #expect(slab.slots.count == 101)
    }

    @Test func `Names are compared by their bytes`() {
        let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}")
        #expect(composed == decomposed)
        #expect(TaskID(composed) != TaskID(decomposed))
        #expect(TaskID("a long name, the same") == TaskID("a long name, the " + "same"))
        #expect(TaskID("a long name, the same") != TaskID("a long name, the sane"))
        #expect(TaskID("0123456789") != TaskID("0123456780") && TaskID("01234567") != TaskID("01234566"))
        #expect(TaskID("nul\0x") != TaskID("nul\0y"))
        #expect(
            [TaskID("\u{ffff}"), TaskID("\u{10000}"), TaskID("b"), TaskID("")].sorted().map(\.text) == [
                "", "b", "\u{ffff}", "\u{10000}",
            ])
    }

    @Test func `An agent's id is 32 lowercase hex digits and nothing else`() {
        let id = AgentID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)
        #expect(id.description == "0123456789abcdeffedcba9876543210")
        #expect(AgentID(id.description) == id)
        for text in [
            "", "0123456789ABCDEFFEDCBA9876543210", "0123456789abcdeffedcba987654321", "g" + id.description.dropFirst(),
        ] {
            #expect(AgentID(text) == nil)
        }
    }

    @Test func `Contents that differ have other fingerprints, however they are cut`() {
        func fingerprint(_ texts: [String]) -> Fingerprint {
            var fingerprint = Fingerprint()
            fingerprint.add(texts)
            return fingerprint
        }
        let contents = [
            [], [""], ["", ""], ["a"], ["", "a"], ["a", ""], ["ab"], ["a", "b"], ["b", "a"], ["12345678"],
            ["123456789"],
        ]
        #expect(Set(contents.map(fingerprint)).count == contents.count)
        #expect(fingerprint(["a", "b"]) == fingerprint(["a", "b"]))
    }

    @Test func `A text is quoted up to 200 characters`() {
        #expect(FieldRules.quote("short") == "\"short\"")
        #expect(FieldRules.quote(String(repeating: "é", count: 200)) == "\"\(String(repeating: "é", count: 200))\"")
        #expect(FieldRules.quote(String(repeating: "é", count: 201)) == "\"\(String(repeating: "é", count: 200))…\"")
        // One character to a reader, a thousand to us.
        #expect(FieldRules.quote("e" + String(repeating: "\u{301}", count: 1000)).unicodeScalars.count == 203)
    }
}
