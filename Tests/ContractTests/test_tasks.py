"""CreateTask, ClaimTask, CompleteTask, FailTask, GetTask, ListTasks. Cancellation is in test_cancellation.py."""

import re

import pytest

from keeper import PATIENCE, Code, Stopwatch, Watcher, payload, pb, refused, seconds
from machine import STAMPED

UNKNOWN = "0" * 32
PENDING, CLAIMED = pb.TASK_STATUS_PENDING, pb.TASK_STATUS_CLAIMED
COMPLETED, DEAD = pb.TASK_STATUS_COMPLETED, pb.TASK_STATUS_DEAD


@pytest.fixture
def worker(client):
    return client.agent("worker", tools=["browser", "sql"])


@pytest.fixture
def other(client):
    return client.agent("other", tools=["browser", "sql"])


def create(client, type="work", **fields):
    return client.CreateTask(type=type, **fields).task


def claim(client, agent, **fields):
    return client.ClaimTask(agent_id=agent, **fields)


def nothing_to_claim(client, agent):
    with refused(Code.DEADLINE_EXCEEDED):
        claim(client, agent, timeout=0.2)


def ids(tasks):
    return [task.id for task in tasks]


def test_a_new_task_is_pending_and_as_it_was_asked_for(client):
    task = create(client, "parse", input=b"\x00\xff", required_tools=["sql"], max_retries=3, ttl_seconds=5)
    assert re.fullmatch("[0-9a-f]{32}", task.id)
    assert (task.type, task.input, list(task.required_tools)) == ("parse", b"\x00\xff", ["sql"])
    assert (task.status, task.max_retries, task.retry_count, task.claimed_by_agent_id) == (PENDING, 3, 0, "")
    assert task.HasField("created_at") and not task.HasField("claimed_at") and not task.HasField("completed_at")
    assert client.GetTask(task_id=task.id).task == task


def test_a_task_needs_a_type_and_a_ttl_of_a_week_at_most(client):
    with refused(Code.INVALID_ARGUMENT, "type"):
        client.CreateTask(input=b"x")
    with refused(Code.INVALID_ARGUMENT, "ttl_seconds", "604801"):
        create(client, ttl_seconds=604_801)
    create(client, ttl_seconds=604_800)


def test_a_request_id_makes_one_task_of_a_repeated_creation(client):
    first = create(client, input=b"1", request_id="c-1")
    assert create(client, input=b"1", request_id="c-1").id == first.id
    assert len(client.ListTasks().tasks) == 1
    with refused(Code.ALREADY_EXISTS, "c-1"):
        create(client, input=b"2", request_id="c-1")


def test_a_claim_is_a_lease_of_the_tasks_ttl(client, worker):
    task = create(client, ttl_seconds=77)
    reply = claim(client, worker)
    assert (reply.task.id, reply.task.status, reply.task.claimed_by_agent_id) == (task.id, CLAIMED, worker)
    assert reply.task.HasField("claimed_at")
    assert (reply.lease.task_id, reply.lease.holder_agent_id) == (task.id, worker)
    assert seconds(reply.lease.expires_at) - seconds(reply.lease.acquired_at) == pytest.approx(77, abs=0.01)
    create(client)
    default = claim(client, worker).lease
    assert seconds(default.expires_at) - seconds(default.acquired_at) == pytest.approx(60, abs=0.01)


def test_the_oldest_task_that_fits_goes_first(client, worker):
    plain = client.agent("plain")
    first = create(client, required_tools=["sql", "browser"])
    second, third = create(client), create(client)
    assert claim(client, plain).task.id == second.id
    assert claim(client, worker).task.id == first.id
    assert claim(client, worker).task.id == third.id
    create(client, required_tools=["sql", "printer"])
    nothing_to_claim(client, worker)


def test_the_longest_waiting_claimer_that_fits_goes_first(client, worker, other):
    plain = client.agent("plain")
    waiting = [client.ClaimTask.future(agent_id=agent) for agent in (plain, worker, other)]
    tasks = [create(client, required_tools=["sql"]), create(client), create(client)]
    got = [future.result().task.id for future in waiting]
    assert got == [tasks[1].id, tasks[0].id, tasks[2].id]


def test_a_claimer_may_wait_without_a_deadline(client, worker):
    waiting = client.ClaimTask.future(agent_id=worker, timeout=None)
    task = create(client)
    assert waiting.result(timeout=PATIENCE).task.id == task.id


def test_only_the_living_claim(client, worker):
    with refused(Code.NOT_FOUND, UNKNOWN):
        claim(client, UNKNOWN)
    waiting = client.ClaimTask.future(agent_id=worker)
    client.Deregister(agent_id=worker)
    with refused(Code.NOT_FOUND, worker):
        waiting.result()
    with refused(Code.NOT_FOUND, worker):
        claim(client, worker)


def test_a_completed_task_keeps_its_result(client, worker):
    task = create(client)
    claim(client, worker)
    client.CompleteTask(task_id=task.id, agent_id=worker, output=b"done")
    done = client.GetTask(task_id=task.id).task
    assert (done.status, done.output, done.claimed_by_agent_id) == (COMPLETED, b"done", worker)
    assert done.HasField("completed_at")


def test_only_the_claimer_finishes(client, worker, other):
    task = create(client)
    for end in (client.CompleteTask, client.FailTask):
        with refused(Code.NOT_FOUND, UNKNOWN):
            end(task_id=UNKNOWN, agent_id=worker)
        with refused(Code.FAILED_PRECONDITION):
            end(task_id=task.id, agent_id=worker)
    claim(client, worker)
    for end in (client.CompleteTask, client.FailTask):
        with refused(Code.PERMISSION_DENIED):
            end(task_id=task.id, agent_id=other)
    client.CompleteTask(task_id=task.id, agent_id=worker)
    with refused(Code.FAILED_PRECONDITION):
        client.FailTask(task_id=task.id, agent_id=worker)


def test_the_same_completion_again_is_ok_and_changes_nothing(client, worker):
    task = create(client)
    claim(client, worker)
    client.CompleteTask(task_id=task.id, agent_id=worker, output=b"first")
    watcher = Watcher(client.WatchEvents(topics=["task."]))
    client.CompleteTask(task_id=task.id, agent_id=worker, output=b"second")
    assert client.GetTask(task_id=task.id).task.output == b"first"
    create(client)
    assert watcher.next().topic == "task.created"


def test_a_failed_task_goes_back_while_retries_are_left_and_then_dies(client, worker):
    watcher = Watcher(client.WatchEvents(topics=["task."], exclude_topics=["task.created", "task.claimed"]))
    task = create(client, max_retries=2)
    for number in (1, 2):
        assert claim(client, worker).task.retry_count == number - 1
        client.FailTask(task_id=task.id, agent_id=worker, reason=f"reason {number}")
        failed = client.GetTask(task_id=task.id).task
        assert (failed.status, failed.retry_count, failed.failure_reason) == (PENDING, number, f"reason {number}")
        assert failed.claimed_by_agent_id == ""
    claim(client, worker)
    client.FailTask(task_id=task.id, agent_id=worker, reason="the last")
    dead = client.GetTask(task_id=task.id).task
    assert (dead.status, dead.retry_count, dead.failure_reason) == (DEAD, 2, "the last")
    assert [event.topic for event in watcher.take(3)] == ["task.failed", "task.failed", "task.dead"]
    nothing_to_claim(client, worker)


def test_the_same_failure_again_is_ok_until_the_task_is_claimed_again(client, worker, other):
    task = create(client, max_retries=5)
    claim(client, worker)
    for _ in range(2):
        client.FailTask(task_id=task.id, agent_id=worker, reason="once")
    assert client.GetTask(task_id=task.id).task.retry_count == 1
    claim(client, other)
    with refused(Code.PERMISSION_DENIED):
        client.FailTask(task_id=task.id, agent_id=worker, reason="once")


def test_the_last_failure_may_be_repeated_too(client, worker):
    task = create(client)
    claim(client, worker)
    for _ in range(2):
        client.FailTask(task_id=task.id, agent_id=worker)
    assert client.GetTask(task_id=task.id).task.status == DEAD


def test_an_old_worker_of_the_same_agent_cannot_end_a_new_claim(client, worker):
    task = create(client, max_retries=1)
    old = claim(client, worker).lease.token
    client.FailTask(task_id=task.id, agent_id=worker, token=old)
    new = claim(client, worker).lease.token
    assert new.value > old.value
    for end in (client.CompleteTask, client.FailTask):
        with refused(Code.PERMISSION_DENIED):
            end(task_id=task.id, agent_id=worker, token=old)
    client.CompleteTask(task_id=task.id, agent_id=worker, token=new)


def test_renew_lease_prolongs_a_claim(client, worker):
    watcher = Watcher(client.WatchEvents(topics=["task.", "lease."]))
    task = create(client)
    lease = claim(client, worker).lease
    longer = client.RenewLease(task_id=task.id, agent_id=worker, token=lease.token, ttl_seconds=900).lease
    assert longer.token == lease.token
    assert seconds(longer.expires_at) - seconds(lease.acquired_at) >= 900
    client.CompleteTask(task_id=task.id, agent_id=worker)
    events = watcher.take(4)
    # Never lease.*: a claim's events are the task's alone.
    assert [event.topic for event in events] == ["task.created", "task.claimed", "task.renewed", "task.completed"]
    assert {payload(event).id for event in events} == {task.id}
    with refused(Code.NOT_FOUND, task.id):
        client.RenewLease(task_id=task.id, agent_id=worker, token=lease.token)


def test_a_claim_that_runs_out_goes_back_with_no_retry_spent(daemon, client, worker, other):
    watch = Stopwatch(daemon.process)
    watcher = Watcher(client.WatchEvents(topics=["task.requeued", "lease."]))
    task = create(client)
    lease = claim(client, worker).lease
    # The first claim alone is short: the second must not run out while it is looked at.
    lease = client.RenewLease(task_id=task.id, agent_id=worker, token=lease.token, ttl_seconds=1).lease
    event = watcher.next()
    watch.look()
    assert event.topic == "task.requeued"
    assert -STAMPED <= seconds(event.occurred_at) - seconds(lease.expires_at) <= 0.5 + watch.allowance
    back = payload(event)
    assert (back.id, back.status, back.retry_count, back.claimed_by_agent_id) == (task.id, PENDING, 0, "")
    with refused(Code.FAILED_PRECONDITION):
        client.CompleteTask(task_id=task.id, agent_id=worker)
    assert claim(client, other).task.id == task.id
    with refused(Code.PERMISSION_DENIED):
        client.CompleteTask(task_id=task.id, agent_id=worker)
    client.CompleteTask(task_id=task.id, agent_id=other)


def test_a_task_of_a_dead_agent_goes_to_who_waits(client, worker, other):
    task = create(client)
    claim(client, worker)
    waiting = client.ClaimTask.future(agent_id=other)
    watcher = Watcher(client.WatchEvents(topics=["agent.", "task.", "lease."]))
    client.Deregister(agent_id=worker)
    assert waiting.result().task.id == task.id
    assert [event.topic for event in watcher.take(3)] == ["agent.died", "task.requeued", "task.claimed"]


def test_a_task_that_went_back_keeps_its_place(client, worker, other):
    first, second = create(client, max_retries=1), create(client)
    claim(client, worker)
    client.FailTask(task_id=first.id, agent_id=worker)
    assert claim(client, other).task.id == first.id
    assert claim(client, other).task.id == second.id


def test_tasks_are_listed_oldest_first_and_by_status(client, worker):
    tasks = [create(client, max_retries=0) for _ in range(5)]
    for _ in range(3):
        claim(client, worker)
    client.CompleteTask(task_id=tasks[1].id, agent_id=worker)
    client.FailTask(task_id=tasks[2].id, agent_id=worker)
    assert ids(client.ListTasks().tasks) == ids(tasks)
    by_status = {PENDING: tasks[3:], CLAIMED: tasks[:1], COMPLETED: tasks[1:2], DEAD: tasks[2:3]}
    for status, expected in by_status.items():
        assert ids(client.ListTasks(status=status).tasks) == ids(expected)
    assert ids(client.ListTasks(status=pb.TASK_STATUS_FAILED).tasks) == []


def test_tasks_can_be_read_in_pages_while_they_are_worked_on(client, worker):
    tasks = [create(client) for _ in range(25)]
    seen, token, pages = [], "", 0
    while token or not pages:
        page = client.ListTasks(page_size=10, page_token=token)
        assert len(page.tasks) <= 10
        seen, token, pages = seen + ids(page.tasks), page.next_page_token, pages + 1
        claim(client, worker)
    assert seen == ids(tasks) and pages == 3


def test_an_unknown_task_is_not_found(client):
    with refused(Code.NOT_FOUND, UNKNOWN):
        client.GetTask(task_id=UNKNOWN)


def test_task_events_carry_the_task_as_it_was_just_after(client, worker):
    watcher = Watcher(client.Watch(topics=["task."]))
    create(client, input=b"in")
    claim(client, worker)
    task = client.ListTasks().tasks[0]
    client.CompleteTask(task_id=task.id, agent_id=worker, output=b"out")
    events = watcher.take(3)
    assert [event.topic for event in events] == ["task.created", "task.claimed", "task.completed"]
    assert [payload(event).status for event in events] == [PENDING, CLAIMED, COMPLETED]
    assert payload(events[1]) == task
    assert payload(events[2]) == client.GetTask(task_id=task.id).task
