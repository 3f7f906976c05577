"""A task is never lost to a client that went away, and never with two agents at a time."""

import random
import threading
import time

import grpc
import pytest

from keeper import PATIENCE, Code, Watcher, eventually, payload, pb

# Where a race is sought, each run seeks elsewhere; a failure prints the seed that repeats its choices.
SEED = random.SystemRandom().randrange(2**32)


def follow(events):
    """Checks each task's life in the stream of events: claimed only while it waits, finished only by its claimer. Gives
    how often each was completed."""
    claimer, completed = {}, {}
    for event in events:
        task = payload(event)
        match event.topic:
            case "task.created":
                claimer[task.id] = None
            case "task.claimed":
                assert claimer[task.id] is None, f"claimed twice: {task.id}"
                claimer[task.id] = task.claimed_by_agent_id
            case "task.requeued":
                assert claimer[task.id] is not None, f"requeued without a claim: {task.id}"
                claimer[task.id] = None
            case "task.completed":
                assert claimer[task.id] == task.claimed_by_agent_id
                claimer[task.id] = "nobody, ever again"
                completed[task.id] = completed.get(task.id, 0) + 1
    return completed


def test_a_cancelled_wait_is_given_nothing(client):
    gone, patient = client.agent("gone"), client.agent("patient")
    watcher = Watcher(client.WatchEvents(topics=["task."]))
    cancelled = client.ClaimTask.future(agent_id=gone)
    waiting = client.ClaimTask.future(agent_id=patient)
    client.Heartbeat(agent_id=gone)  # behind both, on the same connection: they are in the queue
    cancelled.cancel()
    client.Heartbeat(agent_id=gone)  # behind the cancellation
    task = client.CreateTask(type="x").task
    assert waiting.result().task.id == task.id
    assert [event.topic for event in watcher.take(2)] == ["task.created", "task.claimed"]


def test_a_wait_past_its_deadline_is_given_nothing(client):
    gone, patient = client.agent("gone"), client.agent("patient")
    with pytest.raises(grpc.RpcError) as caught:
        client.ClaimTask(agent_id=gone, timeout=0.2)
    assert caught.value.code() == Code.DEADLINE_EXCEEDED
    client.CreateTask(type="x")
    assert client.ClaimTask(agent_id=patient).task.claimed_by_agent_id == patient


def test_a_wait_whose_connection_closed_is_given_nothing(daemon, client):
    gone, patient = client.agent("gone"), client.agent("patient")
    for _ in range(20):
        leaving = daemon.client()
        leaving.ClaimTask.future(agent_id=gone)
        leaving.Heartbeat(agent_id=gone)
        leaving.close()
        task = client.CreateTask(type="x").task
        # Whether the daemon hears first of the task or of the closed connection is a race; the task comes here anyway.
        assert client.ClaimTask(agent_id=patient).task.id == task.id
        client.CompleteTask(task_id=task.id, agent_id=patient)


def test_a_lease_is_not_lost_to_a_waiter_that_went_away(daemon, client):
    holder, gone = client.agent("holder"), client.agent("gone")
    for round in range(20):
        lease = client.lease(f"t{round}", holder)
        leaving = daemon.client()
        leaving.AcquireLease.future(task_id=lease.task_id, agent_id=gone, wait_ms=60_000)
        leaving.Heartbeat(agent_id=gone)
        leaving.close()
        client.ReleaseLease(task_id=lease.task_id, agent_id=holder, token=lease.token)
        assert client.AcquireLease(task_id=lease.task_id, agent_id=holder, wait_ms=10_000).acquired


def test_every_task_is_done_once_however_many_claimers_go_away_at_random_moments(daemon, client):
    print(f"seed {SEED}")
    tasks, failures, done, finished = 300, [], threading.Event(), []
    watcher = Watcher(client.WatchEvents(topics=["task."], after_sequence=0))

    def guarded(work, number):
        try:
            work(random.Random(f"{SEED}-{number}"))
        except Exception as error:
            failures.append(error)

    def fickle(chance):
        """Waits for tasks, and goes away in the middle of it: by cancelling, by a deadline, by closing the connection.
        What it does receive it finishes. In the end its agent dies, so that what was on its way to it comes back. As
        long as nothing comes through to anybody, each gives it more time."""
        connection = daemon.client()
        agent, patience = connection.agent("fickle"), 0.02
        while not done.is_set():
            patience = 0.02 if finished else min(patience * 1.1, PATIENCE)
            future = connection.ClaimTask.future(agent_id=agent, timeout=chance.uniform(0.0005, patience))
            end = chance.random()
            if end < 0.6:
                time.sleep(chance.uniform(0, patience / 2))
                future.cancel()
            elif end < 0.7:
                connection.close()
                connection = daemon.client()
            try:
                task = future.result().task
            except (grpc.RpcError, grpc.FutureCancelledError, ValueError):
                continue
            connection.CompleteTask(task_id=task.id, agent_id=agent)
            finished.append(task.id)
        connection.Deregister(agent_id=agent)

    def create(chance):
        for number in range(tasks):
            client.CreateTask(type="x", input=str(number).encode(), ttl_seconds=600)
            time.sleep(chance.uniform(0, 0.01))

    claimers = [threading.Thread(target=guarded, args=(fickle, number)) for number in range(4)]
    creator = threading.Thread(target=guarded, args=(create, "creator"))
    for thread in (*claimers, creator):
        thread.start()
    creator.join()
    try:
        eventually(lambda: finished or failures, "something comes through to the fickle")
    finally:
        done.set()
        for thread in claimers:
            thread.join()
    assert not failures

    # Whatever is left is claimed by one that stays.
    steady = client.agent("steady")
    left = client.ListTasks(status=pb.TASK_STATUS_PENDING).tasks
    for _ in left:
        task = client.ClaimTask(agent_id=steady).task
        client.CompleteTask(task_id=task.id, agent_id=steady)
    everything = client.ListTasks().tasks
    assert {task.status for task in everything} == {pb.TASK_STATUS_COMPLETED} and len(everything) == tasks

    events = []
    while sum(event.topic == "task.completed" for event in events) < tasks:
        events.append(watcher.next())
    completed = follow(events)
    assert len(completed) == tasks and set(completed.values()) == {1}
    assert len(left) < tasks


def test_a_claim_whose_reply_could_not_be_written_goes_back(daemon, client):
    """The task and the reset reach the daemon in one packet: it grants the claim, and then the stream is gone."""
    from raw_http2 import Connection, frame

    gone, patient = client.agent("gone"), client.agent("patient")
    claim = frame(pb.ClaimTaskRequest(agent_id=gone).SerializeToString())
    create = frame(pb.CreateTaskRequest(type="x").SerializeToString())
    for _ in range(20):
        raw = Connection(daemon.port)
        waiting = raw.start("/agentkeeper.v1.TaskService/ClaimTask")
        raw.send(waiting, claim)
        raw.call(
            "/agentkeeper.v1.RegistryService/Heartbeat", frame(pb.HeartbeatRequest(agent_id=gone).SerializeToString())
        )
        stream = raw.http2.get_next_available_stream_id()
        raw.http2.send_headers(
            stream,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", "/agentkeeper.v1.TaskService/CreateTask"),
                (":authority", "localhost"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
            ],
        )
        raw.http2.send_data(stream, create, end_stream=True)
        raw.http2.reset_stream(waiting, 8)
        raw.flush()
        task = client.ClaimTask(agent_id=patient).task
        client.CompleteTask(task_id=task.id, agent_id=patient)
        raw.close()
    eventually(lambda: not client.ListTasks(status=pb.TASK_STATUS_PENDING).tasks, "no task is left")
    assert not client.ListTasks(status=pb.TASK_STATUS_CLAIMED).tasks
