"""Is there an order of these calls in which one lease would have answered each just so?

The search is Wing and Gong's, with Lowe's memory of what was tried: take any call that could have been first, since it
began before every other had ended; see whether the model gives its answer; go on with the rest, and back where that
leads nowhere. Lease and claim names are independent of each other, so each is searched by itself, which keeps it
short. What they share is the counter of tokens: `tokens_grow` looks at that, over all of them.

A call whose answer was lost (`answer` None) may have taken effect at any moment until its `returned`, or not at all.
For one that was lost with the daemon that is the daemon's end; otherwise there is no end to it.
"""

from dataclasses import dataclass, replace
from math import inf

WON, HELD, OK, FREE, DENIED = "won", "held", "ok", "free", "denied"


@dataclass(frozen=True)
class Call:
    """One call on a lease. Times are seconds of one monotonic clock.

    `answer`: of `acquire`, (WON, token) or (HELD, holder, token); of `renew` and `release`, OK, FREE (nobody holds it)
    or DENIED (another does); None if it was lost.
    """

    kind: str
    agent: str
    invoked: float
    returned: float
    answer: object
    token: int | None = None
    ttl: float = inf
    request: str | None = None


@dataclass(frozen=True)
class Lease:
    """The model: a lease as the contract has it."""

    holder: str | None = None
    # None while held by a call that was never answered: nobody has seen its token yet.
    token: int | None = None
    request: str | None = None
    # Given to a client that never heard of it and gave no request id: the daemon may take it back at any time.
    unheard: bool = False
    # It does not run out before this moment.
    until: float = inf
    # The greatest token that was seen so far.
    last: int = 0
    # It is at least so late: a lease has run out.
    now: float = 0
    # Of those tokens that are released more than once, those that were.
    released: frozenset = frozenset()

    def given(self, call, token):
        unheard = call.answer is None and call.request is None
        until = call.invoked + call.ttl
        return replace(
            self, holder=call.agent, token=token, request=call.request, unheard=unheard, until=until,
            last=max(self.last, token or 0),
        )  # fmt: skip

    def freed(self):
        return replace(self, holder=None, token=None, request=None, unheard=False, until=inf)

    def seen_as(self, token):
        """Its token was shown, perhaps for the first time. None: it cannot be that one."""
        if self.token is None:
            return replace(self, token=token, last=token) if token > self.last else None
        return self if self.token == token else None

    def is_held_by(self, call):
        return self.holder == call.agent and self.token == call.token


def after(lease, call, repeated):
    """All states in which the lease can be after this call with this answer."""
    if call.returned < lease.now:
        return []
    found = answered(lease, call, repeated)
    if lease.holder and (lease.unheard or call.returned >= lease.until):
        gone = replace(lease.freed(), now=lease.now if lease.unheard else max(lease.now, lease.until))
        found += answered(gone, call, repeated)
    return found


def answered(lease, call, repeated):
    match call.kind:
        case "acquire":
            return acquired(lease, call)
        case "renew":
            return renewed(lease, call)
        case "release":
            return released(lease, call, repeated)


def acquired(lease, call):
    again = call.request is not None and lease.request == call.request and lease.holder == call.agent
    match call.answer:
        case (kind, token) if kind == WON:
            if lease.holder is None:
                return [lease.given(call, token)] if token > lease.last else []
            return [seen] if again and (seen := lease.seen_as(token)) else []
        case (kind, holder, token) if kind == HELD:
            seen = lease.seen_as(token) if lease.holder == holder and not again else None
            return [seen] if seen else []
    return [lease, lease.given(call, None)] if lease.holder is None else [lease]


def renewed(lease, call):
    mine = lease.is_held_by(call)
    longer = replace(lease, until=call.invoked + call.ttl)
    match call.answer:
        case "ok":
            return [longer] if mine else []
        case "free":
            return [lease] if lease.holder is None else []
        case "denied":
            return [lease] if lease.holder is not None and not mine else []
    # Whether it was prolonged is not known; so it may run out as if it had not been.
    return [replace(lease, until=min(lease.until, longer.until))] if mine else [lease]


def released(lease, call, repeated):
    mine = lease.is_held_by(call)
    before = (call.agent, call.token) in lease.released
    gone = lease.freed()
    if call.token in repeated:
        gone = replace(gone, released=lease.released | {(call.agent, call.token)})
    match call.answer:
        case "ok":
            return [gone] if mine else [lease] if before else []
        case "free":
            return [lease] if lease.holder is None and not before else []
        case "denied":
            return [lease] if lease.holder is not None and not mine and not before else []
    return [lease, gone] if mine else [lease]


def contradiction(calls):
    """None if there is such an order. Otherwise the furthest that the search came: how many calls, the state of the
    lease then, and the calls of which none can have been next."""
    calls = sorted(calls, key=lambda call: call.invoked)
    tokens = [call.token for call in calls if call.kind == "release"]
    repeated = {token for token in tokens if tokens.count(token) > 1}
    finite = sum(1 << place for place, call in enumerate(calls) if call.returned < inf)
    start = (0, 0, Lease())  # the place before which all are in order; those after it that are, as bits; the lease
    stack, tried, furthest = [start], {start}, (-1, None, None)
    while stack:
        first, taken, lease = stack.pop()
        if taken << first | (1 << first) - 1 | ~finite == -1:
            return None
        next_ones = candidates(calls, first, taken)
        depth = first + taken.bit_count()
        if depth > furthest[0]:
            furthest = depth, lease, [calls[place] for place in next_ones]
        for place in sorted(next_ones, key=lambda place: calls[place].returned, reverse=True):
            for state in after(lease, calls[place], repeated):
                if state == lease and calls[place].returned == inf:
                    continue  # It took no effect: as good as not taken.
                reached = advance(first, taken | 1 << (place - first), state)
                if reached not in tried:
                    tried.add(reached)
                    stack.append(reached)
    return furthest


def candidates(calls, first, taken):
    """The places of those that can be next: no other had ended before they began."""
    found, earliest = [], inf
    for place in range(first, len(calls)):
        if calls[place].invoked > earliest:
            break
        if not taken >> (place - first) & 1:
            found.append(place)
            earliest = min(earliest, calls[place].returned)
    return [place for place in found if calls[place].invoked <= earliest]


def advance(first, taken, lease):
    while taken & 1:
        first, taken = first + 1, taken >> 1
    return first, taken, lease


def tokens_grow(histories):
    """Over all leases: who was given a token after another had his in hand, has a greater one; and each is given once.
    The first breach, or None."""
    won = [(task, call) for task, calls in histories.items() for call in calls if call.answer and call.answer[0] == WON]
    owner, begun = {}, {}
    for task, calls in histories.items():
        for call in sorted(calls, key=lambda call: call.invoked):
            begun.setdefault((task, call.agent, call.request), call.invoked)
    greatest, ended = 0, sorted(won, key=lambda each: each[1].returned)
    for task, call in sorted(won, key=lambda each: granted_after(each, begun)):
        token = call.answer[1]
        # The same request may find its own lease again, and nobody else may.
        key = task, call.agent, call.request or id(call)
        if owner.setdefault(token, key) != key:
            return f"token {token} was given to {owner[token]} and to {key}"
        while ended and ended[0][1].returned < granted_after((task, call), begun):
            greatest = max(greatest, ended.pop(0)[1].answer[1])
        if token <= greatest:
            return f"token {token} was given after {greatest}: {call}"
    return None


def granted_after(won, begun):
    task, call = won
    return call.invoked if call.request is None else begun[task, call.agent, call.request]
