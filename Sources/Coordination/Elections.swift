// Who leads: for each group its candidates in the order in which they came, the first of them leading.
//
// So there is no leader to store: it is the head of the chain, and an election has one exactly when it
// has candidates. The term counts the changes of the head. An election outlives its last candidate,
// since its term must never go back. Only when there are `Limits.maxElections` is the one that has been
// empty the longest forgotten, and every election that is founded after that begins above its term.

typealias ElectionSlot = Slot<Elections.Entry>
typealias CandidacySlot = Slot<Elections.Candidacy>

struct Elections: ~Copyable, Sendable {
    struct Candidacy: Sendable {
        let agent: AgentSlot
        let agentID: AgentID
        let election: ElectionSlot
    }

    struct Entry: Sendable {
        let group: GroupName
        /// Counts the elections that were ever founded, from 1.
        let serial: UInt64
        fileprivate(set) var term: Term
        fileprivate(set) var electedAt: WallTime?
        /// Who led before the restart.
        fileprivate var restoredLeader: AgentID?
        fileprivate(set) var candidates = Chain<Candidacy>()
        /// The event that told of the last change.
        fileprivate(set) var changedBy = Sequence.zero
        fileprivate(set) var changedAt = WallTime(nanoseconds: 0)
    }

    private struct Seat: Hashable, Sendable {
        let agent: AgentSlot
        let election: ElectionSlot
    }

    private let limits: SharedLimits
    private var entries = Slab<Entry>()
    private var index: [GroupName: ElectionSlot] = [:]
    private(set) var order = CreationOrder<Entry>()
    private var lastSerial: UInt64 = 0
    private var empty = Chain<Entry>()
    private var emptyLinks = Links<Entry>()
    private var candidacies = Slab<Candidacy>()
    private var seats: [Seat: CandidacySlot] = [:]
    private var byElection = Links<Candidacy>()
    private var byAgent = Links<Candidacy>()
    /// The highest term of an election that was forgotten.
    private(set) var forgottenTerm = Term(0)

    init(limits: SharedLimits) {
        self.limits = limits
    }

    var count: Int { entries.count }
    var candidateCount: Int { candidacies.count }

    func slot(of group: GroupName) -> ElectionSlot? { index[group] }

    subscript(slot: ElectionSlot) -> Entry { entries[slot] }

    func state(_ slot: ElectionSlot) -> ElectionState {
        ElectionState(
            group: entries[slot].group, leader: leader(slot), term: entries[slot].term,
            electedAt: entries[slot].electedAt)
    }

    func leader(_ slot: ElectionSlot) -> AgentID? {
        entries[slot].candidates.first.map { candidacies[$0].agentID }
    }

    func isCandidate(_ agent: AgentSlot, in election: ElectionSlot) -> Bool {
        seats[Seat(agent: agent, election: election)] != nil
    }

    func stored(_ slot: ElectionSlot) -> StoredElection {
        StoredElection(
            state: state(slot), changedBy: entries[slot].changedBy, changedAt: entries[slot].changedAt)
    }

    /// The group's election, founded if need be, with a term of 0 that no client sees: its founder leads.
    /// And the one that was forgotten to make room.
    mutating func election(of group: GroupName) throws(Refusal) -> (ElectionSlot, forgotten: GroupName?) {
        if let slot = index[group] { return (slot, nil) }
        var forgotten: GroupName?
        if entries.count >= limits.values.maxElections {
            guard let oldest = empty.first else {
                throw .limitReached(
                    "there are \(limits.values.maxElections) elections with candidates, the most there may be")
            }
            forgottenTerm = max(forgottenTerm, entries[oldest].term)
            emptyLinks.remove(oldest, from: &empty)
            forgotten = entries[oldest].group
            index[entries[oldest].group] = nil
            order.remove(serial: entries[oldest].serial)
            entries.remove(oldest)
        }
        lastSerial += 1
        let slot = entries.insert(Entry(group: group, serial: lastSerial, term: forgottenTerm))
        index[group] = slot
        order.append(slot, serial: lastSerial)
        emptyLinks.append(slot, to: &empty)
        return (slot, forgotten)
    }

    /// True when the agent leads now and somebody has to be told.
    mutating func join(
        _ agent: AgentSlot, id: AgentID, _ election: ElectionSlot, chain: inout Chain<Candidacy>, at now: WallTime
    ) -> Bool {
        let candidacy = candidacies.insert(Candidacy(agent: agent, agentID: id, election: election))
        let before = seats.updateValue(candidacy, forKey: Seat(agent: agent, election: election))
        precondition(before == nil, "twice a candidate")
        let leads = entries[election].candidates.isEmpty
        if leads { emptyLinks.remove(election, from: &empty) }
        byElection.append(candidacy, to: &entries[election].candidates)
        byAgent.append(candidacy, to: &chain)
        if leads { changeLeader(election, at: now) }
        return leads
    }

    /// True when the agent led and somebody has to be told.
    mutating func leave(
        _ agent: AgentSlot, _ election: ElectionSlot, chain: inout Chain<Candidacy>, at now: WallTime
    ) -> Bool {
        guard let candidacy = seats.removeValue(forKey: Seat(agent: agent, election: election)) else { return false }
        let led = entries[election].candidates.first == candidacy
        byElection.remove(candidacy, from: &entries[election].candidates)
        byAgent.remove(candidacy, from: &chain)
        candidacies.remove(candidacy)
        if entries[election].candidates.isEmpty { emptyLinks.append(election, to: &empty) }
        if led { changeLeader(election, at: now) }
        return led
    }

    // MARK: After a restart

    mutating func resume(above term: Term) { forgottenTerm = term }

    /// Takes in an election that was kept over a restart, without its candidates.
    mutating func restore(_ stored: StoredElection) {
        lastSerial += 1
        let slot = entries.insert(
            Entry(
                group: stored.state.group, serial: lastSerial, term: stored.state.term,
                electedAt: stored.state.electedAt,
                restoredLeader: stored.state.leader, changedBy: stored.changedBy, changedAt: stored.changedAt))
        index[stored.state.group] = slot
        order.append(slot, serial: lastSerial)
        emptyLinks.append(slot, to: &empty)
    }

    /// Takes in the next candidate of an election. Who leads does not change by it.
    mutating func restore(
        _ agent: AgentSlot, id: AgentID, in election: ElectionSlot, chain: inout Chain<Candidacy>
    ) {
        let candidacy = candidacies.insert(Candidacy(agent: agent, agentID: id, election: election))
        seats[Seat(agent: agent, election: election)] = candidacy
        if entries[election].candidates.isEmpty { emptyLinks.remove(election, from: &empty) }
        byElection.append(candidacy, to: &entries[election].candidates)
        byAgent.append(candidacy, to: &chain)
    }

    /// An election in which another leads than did before the restart.
    var groupWithWrongLeader: GroupName? {
        entries.slots.first { leader($0) != entries[$0].restoredLeader }.map { entries[$0].group }
    }

    private mutating func changeLeader(_ election: ElectionSlot, at now: WallTime) {
        entries[election].term = Term(entries[election].term.value + 1)
        entries[election].electedAt = entries[election].candidates.isEmpty ? nil : now
    }

    mutating func noteChange(_ election: ElectionSlot, by event: Sequence, at now: WallTime) {
        entries[election].changedBy = event
        entries[election].changedAt = now
    }

    /// The first candidates, in the order in which they will lead.
    func candidates(_ election: ElectionSlot, limit: Int) -> [AgentID] {
        byElection.members(of: entries[election].candidates, limit: limit).map { candidacies[$0].agentID }
    }

    /// The elections an agent stands in, by name.
    func elections(of chain: Chain<Candidacy>) -> [ElectionSlot] {
        byAgent.members(of: chain)
            .map { candidacies[$0].election }
            .sorted { entries[$0].group < entries[$1].group }
    }

    func checkInvariants() {
        precondition(index.count == entries.count && entries.count <= limits.values.maxElections)
        precondition(order.count == entries.count)
        precondition(seats.count == candidacies.count)
        var candidates = 0
        for slot in entries.slots {
            let election = entries[slot]
            precondition(index[election.group] == slot)
            precondition((election.electedAt == nil) == election.candidates.isEmpty)
            precondition(election.term > Term(0) && election.changedBy > Sequence.zero)
            for candidacy in byElection.members(of: election.candidates) {
                candidates += 1
                let seat = Seat(agent: candidacies[candidacy].agent, election: slot)
                precondition(seats[seat] == candidacy && candidacies[candidacy].election == slot)
            }
        }
        precondition(candidates == candidacies.count)
        precondition(emptyLinks.members(of: empty).allSatisfy { entries[$0].candidates.isEmpty })
    }
}
