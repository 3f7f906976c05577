"""A daemon that stands still for longer than the ttl of everything, and one that was not there for so long."""

import signal
import time

import pytest

from keeper import Code, Watcher, again_when_late, eventually, payload, pb, refused, within
from lives import freeze, kill, refuses_to_start, remaining, start, start_in_memory
from world import World

TTL = 1
# Longer than any ttl here, and than the 2 × ttl + 0.5 s after which a silent agent is dead.
LONG = 4


def new_in(directory):
    """Another data directory for each time that a test begins anew."""
    return directory.parent / f"data-{time.monotonic_ns()}"


def held(lease):
    return dict(task_id=lease.task_id, agent_id=lease.holder_agent_id, token=dict(value=lease.token.value))


@pytest.mark.parametrize("begin", [start, start_in_memory], ids=["durable", "in memory"])
@again_when_late
def test_after_a_pause_longer_than_every_ttl_nobody_holds_what_he_has_lost(directory, begin):
    daemon = begin(new_in(directory))
    client, other = daemon.client(), daemon.client()
    watcher = Watcher(client.WatchEvents(after_sequence=0))
    new = client.agent("new", ttl=3600)
    with within(TTL):  # all of it is in force when the daemon is stopped
        old = client.agent("old", ttl=TTL)
        lease = client.lease("t", old, ttl_seconds=TTL)
        task = client.CreateTask(type="x", ttl_seconds=TTL).task
        claim = client.ClaimTask(agent_id=old).lease
        assert client.Campaign(group="g", agent_id=old).state.leader_agent_id == old
        client.Campaign(group="g", agent_id=new)
        wait = other.AcquireLease.future(task_id="t", agent_id=new, wait_ms=60_000)
        next_claim = other.ClaimTask.future(agent_id=new)
        # Both are in line: they came before this call of their connection.
        other.Heartbeat(agent_id=new)
        freeze(daemon)

    stopped = time.monotonic()
    # What the old holder sends meanwhile lies in the socket, and is read when all is over.
    late = [client.RenewLease.future(**held(each)) for each in (lease, claim)]
    late += [client.ReleaseLease.future(**held(lease))]
    late += [client.CompleteTask.future(task_id=task.id, agent_id=old, token=claim.token)]
    heartbeat = client.Heartbeat.future(agent_id=old)
    leads = client.Campaign.future(group="g", agent_id=new)  # and this is read right behind it
    remaining(stopped + LONG)
    daemon.process.send_signal(signal.SIGCONT)

    codes = [call.code() for call in late]
    assert set(codes) <= {Code.NOT_FOUND, Code.PERMISSION_DENIED}, codes
    # But nobody is dead for having called a daemon that could not hear: he leads on, and has his ttl to call again.
    assert heartbeat.code() == Code.OK
    state = leads.result().state
    assert (state.leader_agent_id, state.term) == (old, 1)
    won, claimed = wait.result(), next_claim.result()
    assert won.acquired and won.lease.token.value > claim.token.value > lease.token.value
    assert claimed.task.id == task.id and claimed.lease.token.value > claim.token.value
    # Now he is silent by himself.
    eventually(lambda: client.Campaign(group="g", agent_id=new).state.leader_agent_id == new, "the silent one is dead")
    assert client.GetAgent(agent_id=old).agent.status == pb.AGENT_STATUS_DEAD

    # Everything made sense in the order in which it happened, and the old holder gained nothing by what it sent.
    world = World()
    again = client.agent("old, registered anew", ttl=3600)
    while again not in world.agents:
        world.apply(watcher.next())
    world.settled()
    assert "lease.renewed" not in [event.topic for event, _ in world.events]
    assert daemon.stop() == 0


@again_when_late
def test_time_in_which_there_is_no_daemon_counts_for_nobody(directory):
    directory = new_in(directory)
    daemon = start(directory)
    client = daemon.client()
    with within(TTL):
        agent = client.agent("silent", ttl=TTL)
        holder = client.agent("holder", ttl=3600)
        lease = client.lease("t", holder, ttl_seconds=3)
        client.CreateTask(type="x", ttl_seconds=3)
        claim = client.ClaimTask(agent_id=holder).lease
        client.Campaign(group="g", agent_id=agent)
        kill(daemon)
    remaining(time.monotonic() + LONG)

    begun = time.monotonic()
    with within(TTL + 0.5):  # of the three seconds of a lease, two are left for sure
        daemon = start(directory)
        client = daemon.client()
        watcher = Watcher(client.WatchEvents(topics=["agent."]))
        # At least the time that they had left: just before the kill that was nearly all of it.
        assert client.RenewLease(**held(lease), ttl_seconds=60).lease.token == lease.token
        assert client.RenewLease(**held(claim), ttl_seconds=60).lease.token == claim.token
        assert not client.AcquireLease(task_id="t", agent_id=holder).acquired
        # The agent gets a full ttl in which to call again, and leads until it is found to be silent.
        assert client.GetAgent(agent_id=agent).agent.status == pb.AGENT_STATUS_ALIVE
        assert client.Campaign(group="g", agent_id=agent).state.leader_agent_id == agent
    assert watcher.next().topic == "agent.unreachable"
    assert time.monotonic() - begun >= TTL
    assert watcher.next().topic == "agent.died"
    assert time.monotonic() - begun >= 2 * TTL
    kill(daemon)

    daemon = start(directory)
    with refused(Code.NOT_FOUND):
        daemon.client().Heartbeat(agent_id=agent)
    assert daemon.stop() == 0


def test_what_runs_out_still_does_so_over_restarts(directory):
    """At least the time that was left, and not for ever."""
    daemon = start(directory)
    client = daemon.client()
    agent = client.agent(ttl=3600)
    lease, begun = client.lease("t", agent, ttl_seconds=2), time.monotonic()
    kill(daemon)
    daemon = start(directory)
    client = daemon.client()
    assert client.AcquireLease(task_id="t", agent_id=agent).lease.token == lease.token or time.monotonic() >= begun + 2
    watcher = Watcher(client.WatchEvents(topics=["lease.expired"], after_sequence=0))
    event = watcher.next()
    assert payload(event).token == lease.token and time.monotonic() >= begun + 2
    eventually(lambda: client.AcquireLease(task_id="t", agent_id=agent).acquired, "the lease is free")
    assert daemon.stop() == 0


def test_a_stopped_daemon_still_owns_its_directory(directory):
    daemon = start(directory)
    freeze(daemon)
    refuses_to_start(directory, "in use|another daemon")
    daemon.process.send_signal(signal.SIGCONT)
    assert daemon.client().agent()
    assert daemon.stop() == 0
