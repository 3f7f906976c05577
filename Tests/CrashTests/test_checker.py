"""The checker of histories is tried: it takes what a lease can do, and refuses what none can."""

import pytest
from linear import DENIED, FREE, HELD, OK, WON, Call, contradiction, inf, tokens_grow


def acquire(agent, at, to, answer, **fields):
    return Call("acquire", agent, at, to, answer, **fields)


def renew(agent, at, to, answer, token, **fields):
    return Call("renew", agent, at, to, answer, token=token, **fields)


def release(agent, at, to, answer, token):
    return Call("release", agent, at, to, answer, token=token)


POSSIBLE = {
    "one after the other": [
        acquire("a", 0, 1, (WON, 1)),
        acquire("b", 2, 3, (HELD, "a", 1)),
        renew("a", 4, 5, OK, 1),
        release("a", 6, 7, OK, 1),
        acquire("b", 8, 9, (WON, 2)),
        renew("a", 10, 11, DENIED, 1),
        release("b", 12, 13, OK, 2),
        renew("b", 14, 15, FREE, 2),
    ],
    "at the same time, in whichever order": [
        acquire("a", 0, 10, (HELD, "b", 1)),
        acquire("b", 0, 10, (WON, 1)),
        release("b", 11, 20, OK, 1),
        acquire("a", 11, 20, (WON, 2)),
    ],
    "a release twice, the second after another's acquisition": [
        acquire("a", 0, 1, (WON, 1)),
        release("a", 2, 3, OK, 1),
        acquire("b", 4, 5, (WON, 2)),
        release("a", 6, 7, OK, 1),
        renew("b", 8, 9, OK, 2),
    ],
    "an acquisition whose answer was lost took effect": [
        acquire("a", 0, inf, None, request="r"),
        acquire("b", 2, 3, (HELD, "a", 1)),
        acquire("a", 4, 5, (WON, 1), request="r"),
    ],
    "an acquisition whose answer was lost took none": [
        acquire("a", 0, inf, None, request="r"),
        acquire("b", 2, 3, (WON, 1)),
    ],
    "a lost acquisition took effect late": [
        acquire("a", 0, inf, None, request="r"),
        acquire("b", 2, 3, (WON, 1)),
        release("b", 4, 5, OK, 1),
        acquire("b", 6, 7, (HELD, "a", 2)),
    ],
    "a lease that its client never heard of was taken back": [
        acquire("a", 0, inf, None),
        acquire("b", 2, 3, (HELD, "a", 1)),
        acquire("b", 4, 5, (WON, 2)),
    ],
    "a release whose answer was lost took effect": [
        acquire("a", 0, 1, (WON, 1)),
        release("a", 2, inf, None, 1),
        acquire("b", 3, 4, (HELD, "a", 1)),
        acquire("b", 5, 6, (WON, 2)),
    ],
    "a lease ran out in its time": [
        acquire("a", 0, 1, (WON, 1), ttl=10),
        acquire("b", 9, 11, (WON, 2), ttl=10),
        renew("a", 12, 13, DENIED, 1),
    ],
    "a renewed lease ran out in its time": [
        acquire("a", 0, 1, (WON, 1), ttl=10),
        renew("a", 8, 9, OK, 1, ttl=10),
        acquire("b", 17, 19, (WON, 2)),
    ],
}

IMPOSSIBLE = {
    "two holders": [acquire("a", 0, 1, (WON, 1)), acquire("b", 2, 3, (WON, 2))],
    "two holders at the same time": [
        acquire("a", 0, 10, (WON, 1)),
        acquire("b", 0, 10, (WON, 2)),
        renew("a", 11, 12, OK, 1),
        renew("b", 11, 12, OK, 2),
    ],
    "a token used again": [
        acquire("a", 0, 1, (WON, 1)),
        release("a", 2, 3, OK, 1),
        acquire("b", 4, 5, (WON, 1)),
    ],
    "tokens that go back": [
        acquire("a", 0, 1, (WON, 5)),
        release("a", 2, 3, OK, 5),
        acquire("b", 4, 5, (WON, 4)),
    ],
    "a lost release": [
        acquire("a", 0, 1, (WON, 1)),
        release("a", 2, 3, OK, 1),
        acquire("b", 4, 5, (HELD, "a", 1)),
    ],
    "a stale token that renews": [
        acquire("a", 0, 1, (WON, 1)),
        release("a", 2, 3, OK, 1),
        acquire("b", 4, 5, (WON, 2)),
        renew("a", 6, 7, OK, 1),
    ],
    "a stale token that releases": [
        acquire("a", 0, 1, (WON, 1), ttl=10),
        acquire("b", 20, 21, (WON, 2)),
        release("a", 22, 23, OK, 1),
    ],
    "a release of another's lease": [
        acquire("a", 0, 1, (WON, 1)),
        release("b", 2, 3, OK, 1),
        acquire("c", 4, 5, (WON, 2)),
    ],
    "a holder forgotten": [acquire("a", 0, 1, (WON, 1)), renew("a", 2, 3, FREE, 1)],
    "a holder refused": [acquire("a", 0, 1, (WON, 1)), renew("a", 2, 3, DENIED, 1)],
    "a release forgotten": [
        acquire("a", 0, 1, (WON, 1)),
        release("a", 2, 3, OK, 1),
        release("a", 4, 5, FREE, 1),
    ],
    "a free lease shown as held": [acquire("a", 0, 1, (HELD, "b", 1))],
    "a wrong token shown": [acquire("a", 0, 1, (WON, 1)), acquire("b", 2, 3, (HELD, "a", 2))],
    "two tokens for one request": [
        acquire("a", 0, 1, (WON, 1), request="r"),
        acquire("a", 2, 3, (WON, 2), request="r"),
    ],
    "the request's own lease shown as another's": [
        acquire("a", 0, 1, (WON, 1), request="r"),
        acquire("a", 2, 3, (HELD, "a", 1), request="r"),
    ],
    "a lost call that took effect after the daemon's end": [
        acquire("a", 0, 5, None, request="r"),
        acquire("b", 6, 7, (WON, 1)),
        release("b", 8, 9, OK, 1),
        acquire("b", 10, 11, (HELD, "a", 2)),
    ],
    "a lost call that took effect twice": [
        acquire("a", 0, inf, None, request="r"),
        acquire("b", 1, 2, (HELD, "a", 1)),
        acquire("a", 3, 4, (WON, 1), request="r"),
        release("a", 5, 6, OK, 1),
        acquire("b", 7, 8, (HELD, "a", 2)),
    ],
    "expiry before its time": [
        acquire("a", 0, 1, (WON, 1), ttl=10),
        acquire("b", 5, 6, (WON, 2)),
    ],
    "expiry of a renewed lease before its time": [
        acquire("a", 0, 1, (WON, 1), ttl=10),
        renew("a", 8, 9, OK, 1, ttl=10),
        acquire("b", 12, 13, (WON, 2)),
    ],
    "a holder comes back": [
        acquire("a", 0, 1, (WON, 1), ttl=10),
        acquire("b", 20, 21, (WON, 2)),
        release("b", 22, 23, OK, 2),
        renew("a", 24, 25, OK, 1),
    ],
    "each sees the other's lease": [
        acquire("a", 0, 10, (HELD, "b", 2)),
        acquire("b", 0, 10, (HELD, "a", 1)),
    ],
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_what_a_lease_can_do_is_taken(name):
    assert contradiction(POSSIBLE[name]) is None


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_no_lease_can_do_is_refused(name):
    assert contradiction(IMPOSSIBLE[name]) is not None


def test_tokens_grow_over_all_leases():
    one, other = acquire("a", 0, 1, (WON, 5)), acquire("b", 2, 3, (WON, 4))
    assert tokens_grow({"s": [one], "t": [other]}) is not None
    assert tokens_grow({"s": [acquire("a", 0, 2.5, (WON, 5))], "t": [other]}) is None
    assert tokens_grow({"s": [one], "t": [acquire("b", 2, 3, (WON, 5))]}) is not None
    again = [acquire("a", 0, 1, (WON, 5), request="r"), acquire("a", 2, 3, (WON, 5), request="r")]
    assert tokens_grow({"s": again}) is None
