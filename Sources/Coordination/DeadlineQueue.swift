// Everything that ends by itself, in the order of time: agents that fall silent, leases that run out,
// calls that have waited long enough. One queue for all, because deadlines must fall due in one order.
//
// A heartbeat only ever moves its deadline back, and there are very many of them. So a later deadline is
// just noted, and the entry goes on sitting at its old place; when it comes to the front it is put where
// it belongs by then. `next` may therefore be too early, which costs a wake with nothing to do, and
// never too late. A timing wheel would be O(1) throughout, but fall due by ticks and not by time.

struct DeadlineQueue: Sendable {
    enum Subject: Hashable, Sendable {
        case agent(Slot<AgentTable.Entry>)
        case lease(Slot<LeaseTable.Entry>)
        case wait(Slot<WaitTable.Entry>)
    }

    struct Deadline: Sendable {
        /// The true time; the heap's key is at most this.
        fileprivate(set) var due: Instant
        let subject: Subject
    }

    typealias Handle = IndexedHeap<Deadline>.Handle

    private var heap = IndexedHeap<Deadline>()

    var count: Int { heap.count }

    /// No deadline is due before.
    var next: Instant? { heap.first.map { Instant(nanoseconds: $0.key) } }

    mutating func insert(_ subject: Subject, due: Instant) -> Handle {
        heap.insert(Deadline(due: due, subject: subject), key: due.nanoseconds)
    }

    mutating func cancel(_ handle: Handle) {
        heap.remove(handle)
    }

    mutating func move(_ handle: Handle, to due: Instant) {
        heap[handle].due = due
        if due.nanoseconds < heap.key(of: handle) {
            heap.change(handle, key: due.nanoseconds)
        }
    }

    /// Takes out the earliest deadline, if it has come; its handle is no longer valid then.
    mutating func takeDue(at now: Instant) -> Subject? {
        while let (key, handle) = heap.first, key <= now.nanoseconds {
            let deadline = heap[handle]
            assert(key <= deadline.due.nanoseconds)
            if key == deadline.due.nanoseconds {
                heap.remove(handle)
                return deadline.subject
            }
            heap.change(handle, key: deadline.due.nanoseconds)
        }
        return nil
    }

    func due(of handle: Handle) -> Instant { heap[handle].due }
    func subject(of handle: Handle) -> Subject { heap[handle].subject }

    func checkInvariants() {
        heap.checkInvariants()
    }
}
