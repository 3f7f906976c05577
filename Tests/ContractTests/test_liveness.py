"""What time does to agents, leases and claims.

Here alone real time passes. A ttl of one second is the shortest, so every scenario takes about three; they all run at
once against one daemon, each in a thread, and a watcher notes everything. The tests then look at what was noted.
"""

import threading
import time
from types import SimpleNamespace

import grpc
import pytest

from keeper import (
    Code, Daemon, Late, Stopwatch, Watcher, again_when_late, eventually, payload, pb, refused, seconds, within,
)  # fmt: skip

TTL = 1
UNREACHABLE_AFTER = TTL + 0.5
DEAD_AFTER = 2 * TTL + 0.5
# How late the daemon may be, in seconds, but for what the machine withholds from it. The contract says 0.5 for leases.
SLACK = 2


@pytest.fixture(scope="module")
def story():
    noted = tell()
    yield noted
    assert noted.daemon.stop() == 0


@again_when_late
def tell():
    daemon = Daemon()
    client = daemon.client()
    noted = SimpleNamespace(events=[], client=client, daemon=daemon)
    over = threading.Event()

    def silent():
        """Holds one of everything, and is never heard of again."""
        standby = client.agent("standby")
        task = client.CreateTask(type="x", required_tools=["special"], ttl_seconds=600).task.id
        with within(UNREACHABLE_AFTER):
            agent = client.agent("silent", ttl=TTL, tools=["special"])
            client.Campaign(group="led", agent_id=agent)
            client.Campaign(group="led", agent_id=standby)
            client.Campaign(group="alone", agent_id=agent)
            client.lease("first", agent)
            client.lease("second", agent)
            client.ClaimTask(agent_id=agent)
        noted.silent, noted.standby, noted.task = agent, standby, task

    def beat(agent, every, since):
        """Until all is over, and never late: since when the daemon has surely heard of nobody else's silence."""
        while not over.wait(every):
            begun = time.monotonic()
            client.Heartbeat(agent_id=agent)
            if time.monotonic() - since > UNREACHABLE_AFTER:
                raise Late
            since = begun
        noted.last_beats.append(since)

    def faithful():
        """Beats as the Python client does with a ttl of 1: every second, just at the edge."""
        begun = time.monotonic()
        agent = noted.faithful = client.agent("faithful", ttl=TTL)
        beat(agent, 1, begun)

    def recovering():
        """Misses one deadline. While it is UNREACHABLE it may use what it has, is given nothing new, and nothing but a
        heartbeat helps it up."""
        with within(DEAD_AFTER):
            agent = noted.recovering = client.agent("recovering", ttl=TTL, tools=["rare"])
            lease = client.lease("kept", agent)
            eventually(lambda: client.GetAgent(agent_id=agent).agent.status != pb.AGENT_STATUS_ALIVE, "it is missed")
            client.RenewLease(task_id="kept", agent_id=agent, token=lease.token)
            client.lease("new", agent)
            noted.leader = client.Campaign(group="campaigned", agent_id=agent).state.leader_agent_id
            noted.found_unreachable = [found.card.name for found in client.Find().agents]
            claim = client.ClaimTask.future(agent_id=agent)
            client.CreateTask(type="x", required_tools=["rare"])
            noted.still = client.GetAgent(agent_id=agent).agent.status
            noted.claimed_unreachable = claim.done()
            begun = time.monotonic()
            client.Heartbeat(agent_id=agent)
        noted.claimed_alive = claim.result().task
        noted.recovered = client.GetAgent(agent_id=agent).agent.status
        beat(agent, 0.5, begun)

    def waiting():
        """Dies while it waits: for a task, and for a lease."""
        client.lease("held", client.agent("holder"))
        agent = client.agent("waiting", ttl=TTL)
        claim = client.ClaimTask.future(agent_id=agent)
        lease = client.AcquireLease.future(task_id="held", agent_id=agent, wait_ms=60_000)
        noted.claim_ended, noted.wait_ended = claim.exception(), lease.exception()

    watcher = Watcher(client.WatchEvents(after_sequence=0, timeout=None))
    watch = Stopwatch(daemon.process)
    failures, noted.last_beats = [], []

    def guarded(scenario):
        try:
            scenario()
        except (Exception, pytest.fail.Exception) as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(each,)) for each in (silent, faithful, recovering, waiting)]
    for thread in threads:
        thread.start()
    died = set()
    try:
        while not {"silent", "waiting"} <= died and not failures:
            noted.events.append(watcher.next())
            if noted.events[-1].topic == "agent.died":
                died.add(payload(noted.events[-1]).card.name)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    for error in sorted(failures, key=lambda error: not isinstance(error, Late)):
        raise error
    last = client.agent("the end")
    if time.monotonic() - min(noted.last_beats) > UNREACHABLE_AFTER:
        raise Late
    while payload_id(noted.events[-1]) != last:
        noted.events.append(watcher.next())
    watch.look()
    noted.slack = SLACK + watch.allowance
    return noted


def payload_id(event):
    return getattr(payload(event), "agent_id", None)


def of_agent(story, agent):
    return [event for event in story.events if payload_id(event) == agent]


def topics(events):
    return [event.topic for event in events]


def test_silence_makes_an_agent_unreachable_and_then_dead(story):
    registered, unreachable, died = of_agent(story, story.silent)
    assert topics([registered, unreachable, died]) == ["agent.registered", "agent.unreachable", "agent.died"]
    begun = seconds(payload(registered).registered_at)
    assert UNREACHABLE_AFTER <= seconds(unreachable.occurred_at) - begun + 0.005 <= UNREACHABLE_AFTER + story.slack
    assert DEAD_AFTER <= seconds(died.occurred_at) - begun + 0.005 <= DEAD_AFTER + story.slack
    assert payload(unreachable).status == pb.AGENT_STATUS_UNREACHABLE
    assert payload(died).status == pb.AGENT_STATUS_DEAD


def test_death_sets_off_everything_in_one_step_and_in_order(story):
    at = story.events.index(of_agent(story, story.silent)[-1])
    step = story.events[at : at + 6]
    assert [event.sequence_number - step[0].sequence_number for event in step] == list(range(6))
    assert topics(step) == ["agent.died"] + ["lease.expired"] * 2 + ["task.requeued"] + ["leader.changed"] * 2
    assert {payload(event).task_id for event in step[1:3]} == {"first", "second"}
    task = payload(step[3])
    assert (task.id, task.status, task.retry_count) == (story.task, pb.TASK_STATUS_PENDING, 0)
    leaders = {payload(event).group: (payload(event).leader_agent_id, payload(event).term) for event in step[4:]}
    assert leaders == {"led": (story.standby, 2), "alone": ("", 2)}


def test_what_the_dead_held_is_free(story):
    for task in ("first", "second"):
        assert story.client.AcquireLease(task_id=task, agent_id=story.standby).acquired


def test_a_dead_agent_never_comes_back(story):
    with refused(Code.NOT_FOUND, story.silent):
        story.client.Heartbeat(agent_id=story.silent)
    assert story.client.GetAgent(agent_id=story.silent).agent.status == pb.AGENT_STATUS_DEAD


def test_a_heartbeat_a_second_keeps_a_ttl_of_one_second_alive(story):
    assert topics(of_agent(story, story.faithful)) == ["agent.registered"]


def test_a_heartbeat_recovers_an_unreachable_agent(story):
    assert topics(of_agent(story, story.recovering)) == ["agent.registered", "agent.unreachable", "agent.recovered"]
    assert story.recovered == pb.AGENT_STATUS_ALIVE


def test_an_unreachable_agent_keeps_and_uses_what_it_holds(story):
    expired = [payload(event).task_id for event in story.events if event.topic == "lease.expired"]
    assert "kept" not in expired and "new" not in expired
    assert story.leader == story.recovering


def test_only_a_heartbeat_proves_life(story):
    assert story.still == pb.AGENT_STATUS_UNREACHABLE


def test_an_unreachable_agent_is_given_no_task_until_it_is_alive(story):
    assert not story.claimed_unreachable
    assert story.claimed_alive.claimed_by_agent_id == story.recovering
    recovered = next(event for event in story.events if event.topic == "agent.recovered")
    claimed = next(
        event for event in story.events if event.topic == "task.claimed" and payload(event).id == story.claimed_alive.id
    )
    assert recovered.sequence_number < claimed.sequence_number


def test_an_unreachable_agent_is_not_found(story):
    assert "recovering" not in story.found_unreachable and "standby" in story.found_unreachable


def test_who_dies_waiting_is_told(story):
    for error in (story.claim_ended, story.wait_ended):
        assert isinstance(error, grpc.RpcError) and error.code() == Code.NOT_FOUND
