"""A file system without room: what needs space is refused, everything else goes on, and nothing promised is lost."""

import os
import random
import subprocess

import grpc
import pytest

from keeper import Code, Watcher, eventually, payload, refused
from lives import kill, start
from survivor import Survivor

# In bytes. Room for what a daemon lays out at its start, and small enough to be filled in a moment.
SIZE = 96 << 20


class Disk:
    """A file system of its own."""

    def __init__(self, path):
        self.path, self.ballast = path, path / "ballast"

    def fill(self):
        """To the last byte."""
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    pass

    def make_room(self):
        os.remove(self.ballast)


@pytest.fixture
def disk(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "agentkeeper-test", tmp_path], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system needs the right to mount: {mounted.stderr.strip()}")
    yield Disk(tmp_path)
    subprocess.run(["umount", "-l", tmp_path], check=True)


def held(lease):
    return dict(task_id=lease.task_id, agent_id=lease.holder_agent_id, token=dict(value=lease.token.value))


def is_refused(call, **fields):
    """The call is refused for want of space, or else it is done."""
    try:
        call(**fields)
        return False
    except grpc.RpcError as error:
        assert error.code() == Code.RESOURCE_EXHAUSTED, f"{error.code()}: {error.details()}"
        return True


def create_until_refused(client):
    """Tasks that were acknowledged."""
    made = []
    for number in range(5_000):
        fields = dict(type="big", input=b"%8d" % number * 4096)
        try:
            made.append(client.CreateTask(**fields).task)
        except grpc.RpcError as error:
            assert error.code() == Code.RESOURCE_EXHAUSTED, f"{error.code()}: {error.details()}"
            assert any(word in error.details() for word in ("disk", "space", "room", "full")), error.details()
            return made
    pytest.fail("the disk is full, and nothing is refused")


def test_on_a_full_disk_reads_releases_and_expiry_go_on_and_it_recovers_by_itself(disk):
    daemon = start(disk.path / "data")
    client = daemon.client()
    watcher = Watcher(client.WatchEvents(topics=["lease."], timeout=None))
    agent = client.agent(ttl=3600)
    kept = client.lease("kept", agent, ttl_seconds=3600)
    given_back = [client.lease(f"given back {number}", agent, ttl_seconds=3600) for number in range(50)]
    task = client.CreateTask(type="before").task
    running_out = client.lease("runs out", agent, ttl_seconds=2)
    eventually(lambda: (disk.path / "data" / "ballast").exists(), "it has put some room by")
    disk.fill()
    made = create_until_refused(client)
    # It is not for one refusal: while there is no room, there is none.
    assert is_refused(client.CreateTask, type="small")
    assert is_refused(client.AcquireLease, task_id="another", agent_id=agent)

    # Reads, and what proves life.
    client.Heartbeat(agent_id=agent)
    assert client.GetAgent(agent_id=agent).agent.agent_id == agent
    assert [found.agent_id for found in client.Find().agents] == [agent]
    assert client.GetTask(task_id=task.id).task == task
    assert client.DescribeLease(task_id="kept").lease.lease == kept
    assert not client.CheckPolicy(subject="a", action="b", resource="c").allowed
    # Releases, each of them, and twice.
    for lease in given_back:
        client.ReleaseLease(**held(lease))
    client.ReleaseLease(**held(given_back[0]))
    # Expiry.
    ended = []
    while running_out.token not in ended:
        event = watcher.next()
        if event.topic in ("lease.expired", "lease.released"):
            ended.append(payload(event).token)
    with refused(Code.NOT_FOUND):
        client.ReleaseLease(**held(running_out))

    # The worst: to be killed now, and to come back to a disk that is still full.
    kill(daemon)
    daemon = start(disk.path / "data")
    client = daemon.client()
    check(client, agent, kept, task, made, given_back)
    assert is_refused(client.CreateTask, type="big", input=b"x" * 1_000_000)
    client.ReleaseLease(**held(given_back[1]))

    disk.make_room()
    eventually(lambda: not is_refused(client.CreateTask, type="after"), "it recovers by itself")
    made += [client.CreateTask(type="big", input=b"x" * 100_000).task for _ in range(10)]
    kill(daemon)
    daemon = start(disk.path / "data")
    check(daemon.client(), agent, kept, task, made, given_back)
    assert daemon.stop() == 0


def check(client, agent, kept, task, made, given_back):
    """Everything that was acknowledged is there, and what was given back is not held."""
    assert client.GetAgent(agent_id=agent).agent.agent_id == agent
    assert client.GetTask(task_id=task.id).task == task
    for each in made:
        assert client.GetTask(task_id=each.id).task == each
    for lease in given_back:
        with refused(Code.NOT_FOUND):
            client.DescribeLease(task_id=lease.task_id)
    assert client.DescribeLease(task_id="kept").lease.lease.token == kept.token


def test_it_stops_in_good_order_on_a_full_disk(disk):
    daemon = start(disk.path / "data")
    client = daemon.client()
    disk.fill()
    made = create_until_refused(client)
    assert daemon.stop() == 0
    disk.make_room()
    daemon = start(disk.path / "data")
    client = daemon.client()
    for each in made:
        assert client.GetTask(task_id=each.id).task == each
    assert daemon.stop() == 0


def test_under_load_a_disk_that_fills_and_empties_loses_nothing(disk, seed):
    rng = random.Random(seed)
    calls = {"Register", "AcquireLease", "RenewLease", "Campaign", "SetPolicy", "DeletePolicy", "CreateTask"}
    calls |= {"ClaimTask", "CompleteTask", "FailTask", "Resign", "Deregister"}
    survivor = Survivor(disk.path / "data", rng, no_room=calls)
    for worker in survivor.workers:
        worker.bulk = 20_000  # bytes that each task takes, so that what is laid out in advance is soon used up
    for _ in range(4):
        survivor.open()
        survivor.check_state()
        load = survivor.load(200)
        disk.fill()
        survivor.told.wait_for(len(survivor.told.calls) + rng.randint(300, 1_500), load.alive)
        if rng.random() < 0.5:
            disk.make_room()
            survivor.told.wait_for(len(survivor.told.calls) + 200, load.alive)
        survivor.kill(load)
        if disk.ballast.exists():
            disk.make_room()
    survivor.open()
    survivor.check_state(of_all=True)
    survivor.check_history()
    survivor.stop()
    refusals = sum(call.code is Code.RESOURCE_EXHAUSTED for call in survivor.told.calls)
    assert refusals > 0, "the disk was never full"
