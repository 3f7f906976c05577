"""The wall clock jumps by years, forward and back, while the daemon runs and while it does not: nothing comes of it."""

import time
from pathlib import Path

import pytest

from keeper import Code, Daemon, Watcher, payload, pb, refused, seconds
from lives import kill

YEAR = 365 * 86_400
JUMPS = [10 * YEAR, -10 * YEAR, 0]

LIBRARIES = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="faketime is not installed: .ci/setup test")


class Clock:
    """The wall clock of the daemons that are started with it."""

    def __init__(self, path):
        self.path = path
        self.jump(0)

    def jump(self, offset):
        self.offset = offset
        new = self.path.with_suffix(".new")
        new.write_text(f"{offset:+d}")
        new.rename(self.path)

    def start(self, directory):
        # By environment, as flags would be lost: the library changes the environment, and Swift's runtime finds the
        # arguments by where that lies in memory.
        environment = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
            "AGENTKEEPER_ADDR": "127.0.0.1:PORT",
            "AGENTKEEPER_METRICS_ADDR": "off",
        }
        return Daemon(environment=environment | {"AGENTKEEPER_DATA_DIR": str(directory) if directory else ""})

    def governs(self, timestamp):
        """A timestamp just made is by this clock: else the test would prove nothing."""
        return abs(seconds(timestamp) - time.time() - self.offset) < 3_600


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "clock")


def held(lease):
    return dict(task_id=lease.task_id, agent_id=lease.holder_agent_id, token=dict(value=lease.token.value))


class Holder:
    """Somebody who holds one of everything, and looks whether he still does."""

    def __init__(self, client):
        self.agent = client.agent("holder", ttl=3600)
        self.gone = client.agent("gone")
        client.Deregister(agent_id=self.gone)
        self.lease = client.lease("held", self.agent, ttl_seconds=3600, request_id="r")
        self.released = client.lease("released", self.agent)
        client.ReleaseLease(**held(self.released))
        client.CreateTask(type="x", ttl_seconds=3600)
        self.claim = client.ClaimTask(agent_id=self.agent).lease
        self.finished = client.CreateTask(type="y").task.id
        client.ClaimTask(agent_id=self.agent)
        client.CompleteTask(task_id=self.finished, agent_id=self.agent)
        self.term = client.Campaign(group="g", agent_id=self.agent).state.term
        self.token = self.claim.token.value

    def check(self, client, clock):
        client.Heartbeat(agent_id=self.agent)
        assert client.GetAgent(agent_id=self.agent).agent.status == pb.AGENT_STATUS_ALIVE
        # What is kept for a day is still kept, and what is remembered for minutes still remembered.
        assert client.GetAgent(agent_id=self.gone).agent.status == pb.AGENT_STATUS_DEAD
        assert client.GetTask(task_id=self.finished).task.status == pb.TASK_STATUS_COMPLETED
        client.ReleaseLease(**held(self.released))
        request = dict(task_id="held", agent_id=self.agent, ttl_seconds=3600, request_id="r")
        assert client.AcquireLease(**request).lease.token == self.lease.token
        assert client.RenewLease(**held(self.lease)).lease.token == self.lease.token
        assert client.RenewLease(**held(self.claim)).lease.token == self.claim.token
        state = client.Campaign(group="g", agent_id=self.agent).state
        assert (state.leader_agent_id, state.term) == (self.agent, self.term)
        # Tokens go on upwards, by one.
        new = client.lease(f"new-{self.token}", self.agent)
        assert clock.governs(new.acquired_at)
        assert new.token.value > self.token
        self.token = new.token.value


def test_a_jump_while_it_runs_changes_nothing(directory, clock):
    daemon = clock.start(directory)
    client = daemon.client()
    holder = Holder(client)
    for jump in JUMPS:
        watcher = Watcher(client.WatchEvents(topics=["lease.expired", "agent."]))
        begun = time.monotonic()
        short = client.lease("short", holder.agent, ttl_seconds=2)
        clock.jump(jump)
        holder.check(client, clock)
        # Neither sooner nor, for years, later.
        event = watcher.next()
        assert payload(event).token == short.token and time.monotonic() - begun >= 2
        watcher.cancel()
    assert daemon.stop() == 0


def test_a_jump_while_it_is_down_changes_nothing(directory, clock):
    daemon = clock.start(directory)
    holder = Holder(daemon.client())
    for jump in JUMPS:
        client = daemon.client()
        begun = time.monotonic()
        short = client.lease("short", holder.agent, ttl_seconds=2)
        last = short.token.value
        kill(daemon)
        clock.jump(jump)
        daemon = clock.start(directory)
        client = daemon.client()
        holder.token = last
        holder.check(client, clock)
        events = Watcher(client.WatchEvents(topics=["lease.expired"], after_sequence=0))
        while (event := events.next()) and payload(event).token != short.token:
            pass
        assert time.monotonic() - begun >= 2
        with refused(Code.NOT_FOUND):
            client.RenewLease(**held(short))
        events.cancel()
    assert daemon.stop() == 0


def test_in_memory_too_a_jump_changes_nothing(clock):
    daemon = clock.start(None)
    client = daemon.client()
    holder = Holder(client)
    for jump in JUMPS:
        clock.jump(jump)
        holder.check(client, clock)
    assert daemon.stop() == 0
