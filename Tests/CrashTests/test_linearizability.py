"""Histories of concurrent clients on a few leases, with and without kills in between, each checked for an order in
which one lease would have answered so."""

import random
import threading
import time
from collections import defaultdict
from dataclasses import replace

import pytest

from keeper import PATIENCE, Code, Daemon
from linear import DENIED, FREE, HELD, OK, WON, Call, contradiction, inf, tokens_grow
from lives import kill, start, start_in_memory
from told import End, Told

TASKS = ["red", "green", "blue"]
CLIENTS = 5
LONG, SHORT = 3600, 1
KINDS = {"AcquireLease": "acquire", "RenewLease": "renew", "ReleaseLease": "release"}
REFUSED = {Code.NOT_FOUND: FREE, Code.PERMISSION_DENIED: DENIED}


class Client:
    """One client with one agent, that makes one call after the other, sensible ones and stale ones."""

    def __init__(self, number, agent, random, told, ttl):
        self.number, self.agent, self.random, self.told, self.ttl = number, agent, random, told, ttl
        self.requests = 0
        self.won = defaultdict(list)  # task → tokens, the newest last
        # How many calls get a deadline that some of them meet: their answers are lost, and the daemon lives on. Each is
        # one more thing that may have happened at any time, and doubles the search where there is no order to be found.
        self.hurry = 0.03
        self.pending = None  # an acquisition whose answer was lost, to be asked again

    def live(self, connection, count):
        """So many calls, or as many as the daemon lives for."""
        for _ in range(count):
            asked = self.step(connection)
            if asked.code is Code.UNAVAILABLE:
                return

    def step(self, connection):
        if self.pending:
            return self.acquire(connection, **self.pending)
        task = self.random.choice(TASKS)
        tokens, choice = self.won[task], self.random.random()
        if not tokens or choice < 0.4:
            return self.acquire(connection, **self.wish(task))
        # Mostly the newest token, sometimes one that is long past.
        token = tokens[-1] if self.random.random() < 0.8 else self.random.choice(tokens[-4:])
        call = "ReleaseLease" if choice < 0.75 else "RenewLease"
        return self.ask(connection, call, task_id=task, token=dict(value=token))

    def wish(self, task):
        wish = dict(task_id=task, ttl_seconds=self.ttl)
        if self.random.random() < 0.3:
            wish["wait_ms"] = self.random.choice((2, 10)) if self.ttl == LONG else 1_500
        if self.random.random() < 0.7:
            self.requests += 1
            wish["request_id"] = f"client-{self.number}-request-{self.requests}"
        return wish

    def acquire(self, connection, **wish):
        asked = self.ask(connection, "AcquireLease", **wish)
        lost = asked.end is End.UNKNOWN and "request_id" in wish
        self.pending = wish if lost else None
        if asked.done and asked.reply.acquired:
            token = asked.reply.lease.token.value
            tokens = self.won[wish["task_id"]]
            if token not in tokens:
                tokens.append(token)
        return asked

    def ask(self, connection, call, **fields):
        timeout = 0.002 if self.random.random() < self.hurry else PATIENCE
        return self.told.ask(connection, call, timeout=timeout, agent_id=self.agent, **fields)


def answer(asked):
    if asked.end is End.UNKNOWN:
        return None
    if asked.end is End.REFUSED:
        return REFUSED[asked.code]
    if asked.call != "AcquireLease":
        return OK
    lease = asked.reply.lease
    return (WON, lease.token.value) if asked.reply.acquired else (HELD, lease.holder_agent_id, lease.token.value)


def histories(told, ends, ttl):
    """Task → what was called there. `ends` are the moments at which daemons were surely gone: what had begun before
    was done by then, or never."""
    found = defaultdict(list)
    for asked in told.calls:
        fields = asked.fields
        lost = asked.end is End.UNKNOWN
        returned = min((end for end in ends if end > asked.sent), default=inf) if lost else asked.ended
        token = fields["token"]["value"] if "token" in fields else None
        call = Call(
            KINDS[asked.call], fields["agent_id"], asked.sent, returned, answer(asked),
            token=token, ttl=ttl, request=fields.get("request_id"),
        )  # fmt: skip
        found[fields["task_id"]].append(call)
    return found


def check(found):
    breach = tokens_grow(found)
    assert breach is None, breach
    for task, calls in found.items():
        stuck = contradiction(calls)
        if stuck:
            count, lease, following = stuck
            calls = "\n".join(map(str, following))
            pytest.fail(f"{task}: after {count} calls the lease was\n{lease}\nand none of these could follow:\n{calls}")


def agents(daemon):
    client = daemon.client()
    return [client.agent(f"client-{number}", ttl=604_800) for number in range(CLIENTS)]


def run(daemon, clients, calls):
    threads = [threading.Thread(target=each.live, args=(daemon.client(), calls)) for each in clients]
    for thread in threads:
        thread.start()
    return threads


def noticed(threads, ends):
    """The daemon is gone, and one client after the other finds out."""
    ends.append(time.monotonic())
    for thread in threads:
        thread.join()


def clients_of(daemon, seed, told, ttl):
    rng = random.Random(seed)
    ids = agents(daemon)
    return rng, [Client(n, agent, random.Random(rng.random()), told, ttl) for n, agent in enumerate(ids)]


@pytest.mark.parametrize("ttl", [LONG, SHORT], ids=["leases last", "leases run out"])
@pytest.mark.parametrize("nth_seed", range(3))
def test_leases_are_linearizable(seed, nth_seed, ttl):
    daemon, told = Daemon(), Told()
    _, clients = clients_of(daemon, seed + nth_seed, told, ttl)
    for thread in run(daemon, clients, 400 if ttl == LONG else 40):
        thread.join()
    assert daemon.stop() == 0
    check(histories(told, [], ttl))


@pytest.mark.parametrize(
    ("nth_seed", "ttl", "kills"),
    [pytest.param(nth, LONG, 15, id=f"seed {nth}-leases last") for nth in range(3)]
    + [pytest.param(nth, SHORT, 7, id=f"seed {nth}-leases run out") for nth in range(2)],
)
def test_leases_are_linearizable_over_kills(directory, seed, nth_seed, ttl, kills):
    told, ends = Told(), []
    daemon = start(directory)
    rng, clients = clients_of(daemon, seed + nth_seed, told, ttl)
    for _ in range(kills):
        threads = run(daemon, clients, 1_000_000)
        told.wait_for(len(told.calls) + rng.randint(30, 300 if ttl == LONG else 60), lambda: True)
        kill(daemon, lambda: noticed(threads, ends))
        daemon = start(directory)
    for thread in run(daemon, clients, 20):
        thread.join()
    assert daemon.stop() == 0
    check(histories(told, ends, ttl))


def test_a_daemon_that_forgets_its_leases_is_found_out(seed):
    """The planted fault that the real binary has without a data directory."""
    told, ends = Told(), []
    daemon = start_in_memory(None)
    _, clients = clients_of(daemon, seed, told, LONG)
    for client in clients:
        client.hurry = 0
    for thread in run(daemon, clients, 100):
        thread.join()
    # Each lease is held now, and its holder knows: whatever is called after the restart then shows what was forgotten.
    connection = daemon.client()
    for task in TASKS:
        clients[0].acquire(connection, task_id=task, ttl_seconds=LONG)
    kill(daemon)
    ends.append(time.monotonic())
    daemon = start_in_memory(None)
    for client, agent in zip(clients, agents(daemon)):
        client.agent = agent
    for thread in run(daemon, clients, 100):
        thread.join()
    daemon.stop()
    ends.append(time.monotonic())
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(histories(told, ends, LONG))


def a_second_holder(calls):
    """Who was shown a lease that somebody holds is said to have got it, with a token above all that come later."""
    place = next(n for n, call in enumerate(calls) if call.answer and call.answer[0] == HELD)
    return place, replace(calls[place], answer=(WON, 1 << 52))


def a_token_given_before(calls):
    first = next(call for call in calls if call.answer and call.answer[0] == WON)
    place = last(calls, lambda call: call.answer and call.answer[0] == WON and call.answer[1] > first.answer[1])
    return place, replace(calls[place], answer=first.answer)


def a_forgotten_acquisition(calls):
    """It was said to have failed, and the lease was used all the same."""
    renewed = {call.token for call in calls if call.kind == "renew" and call.answer == OK}
    place = last(calls, lambda call: call.answer and call.answer[0] == WON and call.answer[1] in renewed)
    return place, replace(calls[place], answer=(HELD, "somebody", calls[place].answer[1]))


def a_stale_renewal(calls):
    ends = {call.token: call.returned for call in calls if call.kind == "release" and call.answer == OK}
    place = last(calls, lambda call: call.kind == "renew" and ends.get(call.token, inf) < call.invoked)
    return place, replace(calls[place], answer=OK)


def a_refused_holder(calls):
    place = last(calls, lambda call: call.kind == "renew" and call.answer == OK)
    return place, replace(calls[place], answer=DENIED)


def a_lost_release(calls):
    """It was said to be done, and the lease is used once more."""
    place = last(calls, lambda call: call.kind == "release" and call.answer == OK)
    end = calls[-1].returned
    return len(calls), replace(calls[place], kind="renew", invoked=end + 1, returned=end + 2)


def last(calls, which):
    return max(place for place, call in enumerate(calls) if which(call))


FALSIFICATIONS = [
    a_second_holder, a_token_given_before, a_forgotten_acquisition, a_stale_renewal, a_refused_holder, a_lost_release,
]  # fmt: skip


def each_answer_once(connection, first, second, task):
    """Whatever chance brings after this, there is something for every falsification."""
    wish = dict(task_id=task, ttl_seconds=LONG)
    token = dict(value=first.acquire(connection, **wish).reply.lease.token.value)
    assert first.ask(connection, "RenewLease", task_id=task, token=token).done
    assert not second.acquire(connection, **wish).reply.acquired
    assert first.ask(connection, "ReleaseLease", task_id=task, token=token).done
    assert first.ask(connection, "RenewLease", task_id=task, token=token).code is Code.NOT_FOUND
    assert second.acquire(connection, **wish).reply.acquired


def test_a_falsified_history_is_refused(seed):
    """A history as it was is taken, and none that differs from it by one answer that cannot be."""
    daemon, told = Daemon(), Told()
    _, clients = clients_of(daemon, seed, told, LONG)
    for client in clients:
        client.hurry = 0  # A lost release that may still come excuses some of what is falsified.
    for task in TASKS:
        each_answer_once(daemon.client(), *clients[:2], task)
    for thread in run(daemon, clients, 150):
        thread.join()
    assert daemon.stop() == 0
    for calls in histories(told, [], LONG).values():
        assert contradiction(calls) is None
        calls.sort(key=lambda call: call.invoked)
        for falsify in FALSIFICATIONS:
            place, false = falsify(calls)
            falsified = [*calls[:place], false, *calls[place + 1 :]]
            assert contradiction(falsified) is not None, falsify.__name__
