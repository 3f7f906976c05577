"""What clients were told, against what the events say, in both directions.

For one life of the daemon at a time: its calls have all ended, since whoever could still carry one out is dead, and its
events are all read. So every acknowledged change has exactly its own event, every event was asked for by a call
or follows from a rule, and a call whose answer was lost made one event or none.
"""

from collections import Counter

from keeper import Code, seconds
from told import End
from world import ROUNDING, require

# The refusals that honest clients of the workload can meet. Every other one is a promise forgotten.
STALE = {Code.NOT_FOUND, Code.PERMISSION_DENIED}
REFUSALS = {
    "RenewLease": STALE,
    "ReleaseLease": STALE,
    "DeletePolicy": {Code.NOT_FOUND},
    "CompleteTask": {Code.PERMISSION_DENIED, Code.FAILED_PRECONDITION},
    "FailTask": {Code.PERMISSION_DENIED, Code.FAILED_PRECONDITION},
}


def stamp(timestamp):
    return timestamp.seconds, timestamp.nanos


def strong_key(call):
    """The event that an answered call made, as exactly as the answer allows. None: it need not have made any."""
    f, reply = call.fields, call.reply
    match call.call:
        case "Register":
            return "agent.registered", reply.agent_id, f["card"]["name"]
        case "Deregister":
            return "agent.died", f["agent_id"]
        case "AcquireLease" if reply.acquired:
            return "lease.acquired", f["task_id"], f["agent_id"], reply.lease.token.value, stamp(reply.lease.expires_at)
        case "RenewLease" if f["task_id"].startswith("shared/"):
            return "lease.renewed", f["task_id"], f["agent_id"], f["token"]["value"], stamp(reply.lease.expires_at)
        case "RenewLease":
            return "task.renewed", f["task_id"], f["agent_id"]
        case "SetPolicy":
            return "policy.set", f["policy"]["id"], f["policy"]["resource"], f["policy"]["effect"]
        case "DeletePolicy":
            return "policy.deleted", f["id"]
        case "CreateTask":
            return "task.created", reply.task.id, f["input"]
        case "ClaimTask":
            return "task.claimed", reply.task.id, f["agent_id"], stamp(reply.task.claimed_at)
    return None


def event_key(topic, value):
    """The same of an event."""
    match topic:
        case "agent.registered":
            return topic, value.agent_id, value.card.name
        case "agent.died":
            return topic, value.agent_id
        case "lease.acquired" | "lease.renewed":
            return topic, value.task_id, value.holder_agent_id, value.token.value, stamp(value.expires_at)
        case "task.renewed":
            return topic, value.id, value.claimed_by_agent_id
        case "policy.set":
            return topic, value.id, value.resource, value.effect
        case "policy.deleted":
            return topic, value.id
        case "task.created":
            return topic, value.id, value.input
        case "task.claimed":
            return topic, value.id, value.claimed_by_agent_id, stamp(value.claimed_at)
    return None


def weak_key(call):
    """What is known of the event of a call whose answer was lost."""
    f = call.fields
    match call.call:
        case "Register":
            return "agent.registered", f["card"]["name"]
        case "AcquireLease":
            return "lease.acquired", f["task_id"], f["agent_id"]
        case "RenewLease" if f["task_id"].startswith("shared/"):
            return "lease.renewed", f["token"]["value"]
        case "RenewLease":
            return "task.renewed", f["task_id"], f["agent_id"]
        case "CreateTask":
            return "task.created", f["input"]
        case "ClaimTask":
            return "task.claimed", f["agent_id"]
    return strong_key(call)


def weakened(key):
    """What of an event's key can be known without an answer."""
    match key[0]:
        case "agent.registered" | "task.created":
            return key[0], key[2]
        case "lease.acquired":
            return key[:3]
        case "lease.renewed":
            return key[0], key[3]
        case "task.claimed":
            return key[0], key[2]
    return key


class Comparison:
    """One for all lives: what one of them promised, a later one must keep."""

    def __init__(self, world, no_room=()):
        self.world = world
        self.refusals = dict(REFUSALS)
        for call in no_room:
            self.refusals[call] = self.refusals.get(call, set()) | {Code.RESOURCE_EXHAUSTED}
        self.last_token = 0
        self.acknowledged = set()  # tokens that a client knows to be its own
        self.claims = {}  # (task id, claimed_at) → (token, its acknowledged end, or None if that is not known)
        self.claim_of = {}  # token → (task id, claimed_at)
        self.campaigned = set()  # (group, agent) that ever asked

    def life(self, calls, events):
        """Compares all calls of a life, and all (event, payload) that came of it."""
        for call in calls:
            self.refusal(call)
        self.one_event_each(calls, events)
        self.learn(calls)
        self.tokens(events)
        self.outcomes(calls, events)
        self.losses(events)
        self.elections(calls, events)
        for call in calls:
            self.answer(call)

    def refusal(self, call):
        hangs = call.code is Code.DEADLINE_EXCEEDED and call.call != "ClaimTask"
        require(not hangs, f"a call hung: {call}")
        allowed = self.refusals.get(call.call, set())
        require(call.end is not End.REFUSED or call.code in allowed, f"refused without a reason: {call}")

    def one_event_each(self, calls, events):
        """Each acknowledged change has its own event, and each event its own call."""
        there = Counter(key for event, value in events if (key := event_key(event.topic, value)))
        for call in calls:
            if call.done and (key := strong_key(call)):
                require(there[key] > 0, f"acknowledged, and not there: {call}")
                there[key] -= 1
        lost = Counter(key for call in calls if call.end is End.UNKNOWN and (key := weak_key(call)))
        for key in there.elements():
            require(lost[weakened(key)] > 0, f"nobody asked for {key}")
            lost[weakened(key)] -= 1

    def learn(self, calls):
        for call in calls:
            if call.call == "Campaign":
                self.campaigned.add((call.fields["group"], call.fields["agent_id"]))
            elif call.call == "AcquireLease" and call.done and call.reply.acquired:
                self.acknowledged.add(call.reply.lease.token.value)
            elif call.call == "ClaimTask" and call.done:
                claim = call.reply.task.id, seconds(call.reply.task.claimed_at)
                lease = call.reply.lease
                require(lease.task_id == call.reply.task.id, "the claim of another task")
                self.claims[claim] = lease.token.value, seconds(lease.expires_at)
                self.claim_of[lease.token.value] = claim
            elif call.call == "RenewLease" and call.end is not End.REFUSED:
                token = call.fields["token"]["value"]
                if claim := self.claim_of.get(token):
                    # What a lost renewal did nobody knows: it may have shortened the claim.
                    self.claims[claim] = token, seconds(call.reply.lease.expires_at) if call.done else None

    def tokens(self, events):
        """In the order of the events, every token is above all before it."""
        for event, value in events:
            token = None
            if event.topic == "lease.acquired":
                token = value.token.value
            elif event.topic == "task.claimed":
                token, _ = self.claims.get((value.id, seconds(value.claimed_at)), (None, None))
            if token is not None:
                require(token > self.last_token, f"token {token} after {self.last_token}")
                self.last_token = token

    def outcomes(self, calls, events):
        """Releases, completions and failures: those that may be repeated."""
        released = {call.fields["token"]["value"] for call in calls if call.call == "ReleaseLease"}
        for call in calls:
            if call.call == "ReleaseLease" and call.done:
                how = self.world.ended.get(call.fields["token"]["value"])
                require(how == "released", f"acknowledged, and the lease is {how or 'held'}: {call}")
        ends = Counter()
        for event, value in events:
            match event.topic:
                case "lease.released":
                    require(value.token.value in released, f"nobody asked for the release of\n{value}")
                case "task.completed":
                    ends["CompleteTask", value.id, value.output] += 1
                case "task.failed" | "task.dead":
                    ends["FailTask", value.id, value.failure_reason] += 1
        for call in calls:
            if call.call not in ("CompleteTask", "FailTask"):
                continue
            f = call.fields
            key = call.call, f["task_id"], f.get("output", f.get("reason"))
            made = ends.pop(key, 0)
            require(made <= 1, f"twice: {call}")
            require(made == 0 or call.end is not End.REFUSED, f"refused, and it happened: {call}")
            topic = "task.completed" if call.call == "CompleteTask" else "task.failed"
            repeat = (f["task_id"], f["agent_id"], topic) in self.world.ended_by
            require(made or repeat or not call.done, f"acknowledged, and not there: {call}")
        require(not ends, f"nobody asked for {ends}")

    def losses(self, events):
        """A lease or a claim is lost with its agent, in its time, or because its client never heard of it."""
        for event, value in events:
            number = event.sequence_number
            if number in self.world.by_death:
                continue
            if event.topic == "lease.expired" and number in self.world.early:
                heard = self.world.early[number] in self.acknowledged
                require(not heard, f"expired before its time:\n{event}\n{value}")
            if event.topic == "task.requeued":
                _, end = self.claims.get((value.id, self.world.requeued[number]), (None, None))
                early = end is not None and seconds(event.occurred_at) < end - ROUNDING
                require(not early, f"a claim ran out before its time:\n{event}\n{value}")

    def elections(self, calls, events):
        resigned = {(call.fields["group"], call.fields["agent_id"]) for call in calls if call.call == "Resign"}
        now = {(c.fields["group"], c.fields["agent_id"]) for c in calls if c.call == "Campaign"}
        for event, state in events:
            if event.topic != "leader.changed":
                continue
            leader = state.group, state.leader_agent_id
            require(not leader[1] or leader in self.campaigned, f"it never asked to lead:\n{state}")
            before = state.group, self.world.leaders.get((state.group, state.term - 1), "")
            if before[1]:
                dead = event.sequence_number in self.world.by_death
                require(dead or before in resigned, f"the leader before was alive and had not resigned:\n{state}")
            else:
                require(leader in now, f"it did not ask to lead in this life:\n{state}")
        last = {}  # Each agent's calls come one after the other.
        for call in sorted(calls, key=lambda call: call.sent):
            if call.call in ("Campaign", "Resign"):
                last[call.fields["group"], call.fields["agent_id"]] = call
        for group, (state, _) in self.world.elections.items():
            call = last.get((group, state.leader_agent_id))
            left = call and call.call == "Resign" and call.done
            require(not left, f"it has resigned, and leads on: {call}\n{state}")

    def answer(self, call):
        """Answers that changed nothing still say what must be so."""
        if call.call == "AcquireLease" and call.done and not call.reply.acquired:
            shown = call.reply.lease
            held = self.world.holders.get(shown.token.value)
            require(held == (shown.task_id, shown.holder_agent_id), f"a lease that never was: {call}\n{shown}")
        elif call.call == "Campaign" and call.done:
            state = call.reply.state
            leader = self.world.leaders.get((state.group, state.term))
            require(leader == state.leader_agent_id, f"a leader that never was: {call}\n{state}")
        elif call.call in ("RenewLease", "ReleaseLease") and call.code in STALE:
            token = call.fields["token"]["value"]
            ended = token in self.world.ended or self.claim_of.get(token) in self.world.ended_claims
            require(ended, f"refused to the holder: {call}")
