// Campaigns: who leads, and how soon one knows that one doesn't.

import AgentKeeper
import Glibc
import Testing

@Suite("Elections of the SDK", .timeLimit(.minutes(15)))
struct ElectionTests {
    @Test("The first candidate leads, and the next one when it resigns; each is told")
    func succession() async throws {
        try await shared.withClient { keeper in
            let group = unique("group")
            let anna = try await keeper.register(AgentCard(name: "anna"))
            let ben = try await keeper.register(AgentCard(name: "ben"))
            let first = anna.campaign(in: group)
            var annas = first.makeAsyncIterator()
            let leadership = try #require(await annas.next()?.leadership)
            #expect(leadership.group == group && leadership.agentID == anna.id && leadership.isLeading)
            var bens = ben.campaign(in: group).makeAsyncIterator()
            guard case .waiting(let state) = await bens.next() else {
                Issue.record("ben does not wait")
                return
            }
            #expect(state.leader == anna.id && state.term == leadership.term)
            try await first.resign()
            #expect(leadership.loss == .resigned && !leadership.isLeading)
            let next = try #require(await bens.next()?.leadership)
            #expect(next.term > leadership.term && next.isLeading)
            // What was told before the end may still be read.
            while let state = await annas.next() {
                guard case .lost(.resigned) = state else {
                    Issue.record("found \(state)")
                    return
                }
            }
        }
    }

    @Test("Breaking off a campaign gives the candidacy up")
    func breakingOff() async throws {
        try await shared.withClient { keeper in
            let group = unique("group")
            let anna = try await keeper.register(AgentCard(name: "anna"))
            let ben = try await keeper.register(AgentCard(name: "ben"))
            for await state in anna.campaign(in: group) where state.leadership != nil { break }
            try await ben.withLeadership(of: group) { #expect($0.agentID == ben.id) }
        }
    }

    @Test("Work that needs leadership waits for it, and gives it up when it is done")
    func scope() async throws {
        try await shared.withClient { keeper in
            let group = unique("group")
            let anna = try await keeper.register(AgentCard(name: "anna"))
            let ben = try await keeper.register(AgentCard(name: "ben"))
            let terms = try await anna.withLeadership(of: group) { leadership in
                let next = Task { try await ben.withLeadership(of: group) { $0.term } }
                while try await keeper.electionDetails(group).candidates.count < 2 {
                    try await Task.sleep(for: .milliseconds(10))
                }
                #expect(leadership.isLeading)
                return (leadership.term, next)
            }
            #expect(try await terms.1.value > terms.0)
            #expect(await error { try await anna.withLeadership(of: "") { _ in } }?.code == .invalidArgument)
        }
    }

    @Test("A leader that is deposed behind its back has its work cancelled at once, and stands again")
    func deposed() async throws {
        try await shared.withClient { keeper in
            let group = unique("group")
            let anna = try await keeper.register(AgentCard(name: "anna"))
            let ben = try await keeper.register(AgentCard(name: "ben"))
            var states = anna.campaign(in: group).makeAsyncIterator()
            let leadership = try #require(await states.next()?.leadership)
            let failure = await error {
                try await leadership.whileLeading {
                    _ = try await keeper.campaign(in: group, for: ben.id)
                    try await keeper.resign(from: group, for: anna.id)
                    #expect(await sleepUntilCancelled())
                }
            }
            guard case .leadershipLost(.deposed(let state)) = failure else {
                Issue.record("found \(String(describing: failure))")
                return
            }
            #expect(state.leader == ben.id)
            guard case .lost(.deposed) = await states.next(), case .waiting = await states.next() else {
                Issue.record("the loss was not told")
                return
            }
            try await ben.deregister()
            var again: Leadership?
            while again == nil, let state = await states.next() { again = state.leadership }
            #expect(try #require(again).term > leadership.term)
        }
    }

    @Test("A leader's death ends its leadership and its campaign")
    func death() async throws {
        try await shared.withClient { keeper in
            let anna = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(3_600))
            var states = anna.campaign(in: unique("group")).makeAsyncIterator()
            let leadership = try #require(await states.next()?.leadership)
            try await keeper.deregisterAgent(anna.id)
            // Two streams tell of it, and either may be first.
            switch await leadership.waitUntilLost() {
            case .agentDied, .deposed: break
            case let other: Issue.record("found \(String(describing: other))")
            }
            guard case .lost = await states.next() else {
                Issue.record("the loss was not told")
                return
            }
            while let state = await states.next() { #expect(state.leadership == nil) }
        }
    }

    @Test("A leader whose daemon is killed, paused or cut off knows in time that it may lead no more", arguments: 0..<3)
    func away(_ way: Int) async throws {
        try await withNetwork { keeper, proxy, daemon in
            let anna = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(4))
            let failure = await error {
                try await anna.withLeadership(of: "group") { leadership in
                    switch way {
                    case 0: kill(daemon.processID, SIGKILL)
                    case 1: kill(daemon.processID, SIGSTOP)
                    default: await proxy.hold()
                    }
                    let sinceDisturbed = Stopwatch()
                    #expect(await sleepUntilCancelled())
                    #expect(!leadership.isLeading)
                    // The daemon waits for twice the ttl and half a second before another may lead.
                    #expect(sinceDisturbed.elapsed < .milliseconds(8_500))
                }
            }
            guard case .leadershipLost(.unreachable) = failure else {
                Issue.record("found \(String(describing: failure))")
                return
            }
            kill(daemon.processID, SIGCONT)
        }
    }

    @Test("A leader that was cut off for a while leads again, unless another does")
    func comesBack() async throws {
        try await withNetwork { keeper, proxy, _ in
            let anna = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(2), whenDead: .registerAnew)
            var states = anna.campaign(in: "group").makeAsyncIterator()
            let first = try #require(await states.next()?.leadership)
            await proxy.hold()
            _ = await first.waitUntilLost()
            await proxy.letGo()
            var again: Leadership?
            while again == nil, let state = await states.next() { again = state.leadership }
            #expect(try #require(again).isLeading)
        }
    }
}

extension CampaignState {
    var leadership: Leadership? { if case .leading(let leadership) = self { leadership } else { nil } }
}
