"""AcquireLease, RenewLease, ReleaseLease: one holder at a time, tokens that only grow, waiting, retries."""

import time

import grpc
import pytest

from keeper import Code, Stopwatch, Watcher, payload, refused, seconds
from machine import STAMPED

UNKNOWN = "0" * 32


def held(lease):
    """What its holder sends along with RenewLease and ReleaseLease."""
    return dict(task_id=lease.task_id, agent_id=lease.holder_agent_id, token=dict(value=lease.token.value))


@pytest.fixture
def agents(client):
    return client.agent("first"), client.agent("second")


def test_a_free_lease_is_given_and_a_held_one_is_shown(client, agents):
    first, second = agents
    lease = client.lease("t", first, ttl_seconds=90)
    assert (lease.task_id, lease.holder_agent_id) == ("t", first)
    assert seconds(lease.expires_at) - seconds(lease.acquired_at) == pytest.approx(90, abs=0.01)
    for caller in (second, first):  # the holder too: two workers of one agent must not both win
        reply = client.AcquireLease(task_id="t", agent_id=caller)
        assert not reply.acquired and reply.lease == lease


def test_the_ttl_of_a_lease_is_a_minute_by_default_and_a_week_at_most(client, agents):
    lease = client.lease("t", agents[0])
    assert seconds(lease.expires_at) - seconds(lease.acquired_at) == pytest.approx(60, abs=0.01)
    with refused(Code.INVALID_ARGUMENT, "ttl_seconds", "604801"):
        client.AcquireLease(task_id="u", agent_id=agents[0], ttl_seconds=604_801)
    with refused(Code.INVALID_ARGUMENT, "ttl_seconds", "604801"):
        client.RenewLease(**held(lease), ttl_seconds=604_801)


def test_only_the_living_take_leases(client, agents):
    with refused(Code.NOT_FOUND, UNKNOWN):
        client.AcquireLease(task_id="t", agent_id=UNKNOWN)
    client.Deregister(agent_id=agents[0])
    with refused(Code.NOT_FOUND, agents[0]):
        client.AcquireLease(task_id="t", agent_id=agents[0])


def test_tokens_grow_over_all_tasks_and_claims(client, agents):
    tokens = []
    for number in range(20):
        lease = client.lease(f"t{number % 3}", agents[number % 2])
        tokens.append(lease.token.value)
        client.ReleaseLease(**held(lease))
        client.CreateTask(type="x")
        tokens.append(client.ClaimTask(agent_id=agents[0]).lease.token.value)
    assert tokens == sorted(set(tokens))
    assert tokens[-1] < 2**53


def test_renewal_counts_from_now_and_0_repeats_the_last_ttl(client, agents):
    begun = time.monotonic()
    lease = client.lease("t", agents[0], ttl_seconds=100)
    kept = client.RenewLease(**held(lease)).lease
    assert kept.token == lease.token and kept.acquired_at == lease.acquired_at
    gone = time.monotonic() - begun
    assert 100 <= seconds(kept.expires_at) - seconds(lease.acquired_at) <= 100 + gone + 0.01
    longer = client.RenewLease(**held(lease), ttl_seconds=1_000).lease
    again = client.RenewLease(**held(lease)).lease
    assert seconds(again.expires_at) >= seconds(longer.expires_at)
    shorter = client.RenewLease(**held(lease), ttl_seconds=10).lease
    assert seconds(shorter.expires_at) < seconds(kept.expires_at)


@pytest.mark.parametrize("call", ["RenewLease", "ReleaseLease"])
def test_only_the_holder_with_its_token_renews_and_releases(client, agents, call):
    first, second = agents
    end = getattr(client, call)
    with refused(Code.NOT_FOUND):
        end(task_id="free", agent_id=first, token=dict(value=1))
    lease = client.lease("t", first)
    with refused(Code.PERMISSION_DENIED, first):
        end(**held(lease) | dict(agent_id=second))
    with refused(Code.PERMISSION_DENIED):
        end(**held(lease) | dict(token=dict(value=lease.token.value + 1)))
    client.ReleaseLease(**held(lease))
    client.lease("t", second)
    if call == "RenewLease":
        with refused(Code.PERMISSION_DENIED, second):
            end(**held(lease))


def test_a_stale_token_of_the_same_agent_is_refused(client, agents):
    old = client.lease("t", agents[0])
    client.ReleaseLease(**held(old))
    new = client.lease("t", agents[0])
    with refused(Code.PERMISSION_DENIED):
        client.RenewLease(**held(old))
    client.RenewLease(**held(new))


def test_a_second_release_does_nothing_whoever_holds_the_lease(client, agents):
    first, second = agents
    old = client.lease("t", first)
    watcher = Watcher(client.WatchEvents(topics=["lease."]))
    client.ReleaseLease(**held(old))
    client.ReleaseLease(**held(old))
    new = client.lease("t", second)
    client.ReleaseLease(**held(old))
    assert client.AcquireLease(task_id="t", agent_id=first).lease == new
    client.RenewLease(**held(new))
    assert [event.topic for event in watcher.take(3)] == ["lease.released", "lease.acquired", "lease.renewed"]


def test_a_release_after_expiry_tells_the_holder_that_it_had_lost(daemon, client, agents):
    watch = Stopwatch(daemon.process)
    watcher = Watcher(client.Watch(topics=["lease.expired"]))
    lease = client.lease("t", agents[0], ttl_seconds=1)
    event = watcher.next()
    watch.look()
    for end in (client.ReleaseLease, client.RenewLease):
        with refused(Code.NOT_FOUND, "t"):
            end(**held(lease))
    # At the deadline, never before, at most 500 ms after, when the machine lets it.
    assert -STAMPED <= seconds(event.occurred_at) - seconds(lease.expires_at) <= 0.5 + watch.allowance
    assert payload(event).token == lease.token


def test_lease_events_come_in_the_order_of_the_calls(client, agents):
    watcher = Watcher(client.Watch(topics=["lease."]))
    lease = client.lease("t", agents[0])
    renewed = client.RenewLease(**held(lease), ttl_seconds=120).lease
    client.ReleaseLease(**held(lease))
    events = watcher.take(3)
    assert [event.topic for event in events] == ["lease.acquired", "lease.renewed", "lease.released"]
    assert payload(events[0]) == lease and payload(events[1]) == renewed
    assert payload(events[2]).token == lease.token


def waiting(client, task, agent, **fields):
    return client.AcquireLease.future(task_id=task, agent_id=agent, **{"wait_ms": 60_000} | fields)


def test_waiters_are_served_first_come_first_served(client, agents):
    lease = client.lease("t", agents[0])
    callers = [client.agent(f"waiter-{number}") for number in range(5)]
    futures = [waiting(client, "t", caller) for caller in callers]  # one connection: they arrive in this order
    for caller, future in zip(callers, futures):
        client.ReleaseLease(**held(lease))
        reply = future.result()
        assert reply.acquired and reply.lease.holder_agent_id == caller
        assert reply.lease.token.value > lease.token.value
        lease = reply.lease


def test_a_newcomer_that_does_not_wait_cannot_overtake(client, agents):
    lease = client.lease("t", agents[0])
    waiter = waiting(client, "t", agents[1])
    release = client.ReleaseLease.future(**held(lease))
    newcomer = client.AcquireLease(task_id="t", agent_id=agents[0])
    assert not newcomer.acquired and newcomer.lease.holder_agent_id == agents[1]
    assert waiter.result().lease == newcomer.lease
    release.result()


def test_a_wait_that_runs_out_shows_the_present_lease(client, agents):
    lease = client.lease("t", agents[0])
    reply = client.AcquireLease(task_id="t", agent_id=agents[1], wait_ms=100)
    assert not reply.acquired and reply.lease == lease
    client.ReleaseLease(**held(lease))
    client.lease("t", agents[0])  # nobody is in the queue any more


def test_a_wait_given_up_leaves_no_trace(client, agents):
    lease = client.lease("t", agents[0])
    late = waiting(client, "t", agents[1], timeout=0.2)
    with pytest.raises(grpc.RpcError) as caught:
        late.result()
    assert caught.value.code() == Code.DEADLINE_EXCEEDED
    cancelled = waiting(client, "t", agents[1])
    patient = waiting(client, "t", client.agent("patient"))
    assert not client.AcquireLease(task_id="t", agent_id=agents[1]).acquired  # both are in the queue by now
    cancelled.cancel()
    client.Heartbeat(agent_id=agents[1])  # behind the cancellation, on the same connection
    watcher = Watcher(client.WatchEvents(topics=["lease."]))
    client.ReleaseLease(**held(lease))
    won = patient.result().lease
    events = watcher.take(2)
    assert [event.topic for event in events] == ["lease.released", "lease.acquired"]
    assert payload(events[1]) == won


def test_a_waiter_that_dies_is_told(client, agents):
    client.lease("t", agents[0])
    waiter = waiting(client, "t", agents[1])
    client.Deregister(agent_id=agents[1])
    with refused(Code.NOT_FOUND, agents[1]):
        waiter.result()


def test_the_death_of_the_holder_serves_the_waiter(client, agents):
    client.lease("t", agents[0])
    waiter = waiting(client, "t", agents[1])
    client.Deregister(agent_id=agents[0])
    assert waiter.result().acquired


def test_a_request_id_finds_the_lease_that_it_won(client, agents):
    request = dict(task_id="t", agent_id=agents[0], ttl_seconds=60, request_id="r-1")
    first = client.AcquireLease(**request)
    again = client.AcquireLease(**request)
    assert first.acquired and again.acquired and again.lease.token == first.lease.token
    client.ReleaseLease(**held(first.lease))
    anew = client.AcquireLease(**request)  # what it won is gone: a new request
    assert anew.acquired and anew.lease.token.value > first.lease.token.value


def test_a_request_id_does_not_remember_a_loss(client, agents):
    lease = client.lease("t", agents[0])
    request = dict(task_id="t", agent_id=agents[1], request_id="r-2")
    assert not client.AcquireLease(**request).acquired
    client.ReleaseLease(**held(lease))
    assert client.AcquireLease(**request).acquired


def test_a_request_id_with_other_content_is_refused(client, agents):
    client.AcquireLease(task_id="t", agent_id=agents[0], request_id="r-3")
    with refused(Code.ALREADY_EXISTS, "r-3"):
        client.AcquireLease(task_id="u", agent_id=agents[0], request_id="r-3")


def test_a_task_of_the_queue_is_leased_by_claiming_it(client, agents):
    task = client.CreateTask(type="x").task.id
    with refused(Code.FAILED_PRECONDITION, "ClaimTask"):
        client.AcquireLease(task_id=task, agent_id=agents[0])
    claim = client.ClaimTask(agent_id=agents[0]).lease
    with refused(Code.FAILED_PRECONDITION, "ClaimTask"):
        client.AcquireLease(task_id=task, agent_id=agents[1])
    with refused(Code.FAILED_PRECONDITION, "CompleteTask"):
        client.ReleaseLease(**held(claim))
