"""Lists of everything that is there, one thing with all that belongs to it, and the daemon in numbers."""

import os
import time

import pytest

from keeper import Code, Daemon, Watcher, eventually, pb, refused, seconds

PAGED = [("ListAgents", "agents"), ("ListLeases", "leases"), ("ListElections", "elections")]


def every_page(call, field, size, **filters):
    """The entries of all pages, and how many pages there were."""
    found, token, pages = [], "", 0
    while token or not pages:
        page = call(page_size=size, page_token=token, **filters)
        assert len(getattr(page, field)) <= (size or 1_000)
        found, token, pages = [*found, *getattr(page, field)], page.next_page_token, pages + 1
    return found, pages


def test_agents_are_listed_oldest_first_page_by_page(client):
    agents = [client.agent(f"n{number}") for number in range(25)]
    found, pages = every_page(client.ListAgents, "agents", 10)
    assert [each.agent.agent_id for each in found] == agents and pages == 3
    assert found[3].agent == client.GetAgent(agent_id=agents[3]).agent
    assert found[3].ttl_seconds == 3600 and 0 < found[3].status_changes_in_ms <= 3_600_500


def test_agents_are_filtered_by_status_tools_and_name(client):
    ann = client.agent("ann", tools=["browser", "shell"])
    client.agent("anna", tools=["browser"])
    bob = client.agent("bob", tools=["browser"])
    client.Deregister(agent_id=bob)

    def names(**filters):
        return [each.agent.card.name for each in client.ListAgents(**filters).agents]

    assert names() == ["ann", "anna", "bob"]
    assert names(statuses=[pb.AGENT_STATUS_ALIVE, pb.AGENT_STATUS_UNREACHABLE]) == ["ann", "anna"]
    assert names(statuses=[pb.AGENT_STATUS_DEAD]) == ["bob"]
    assert names(tools=["shell", "browser"]) == ["ann"] and names(tools=["Shell"]) == []
    assert names(name_prefix="ann") == ["ann", "anna"] and names(name_prefix="anna") == ["anna"]
    details = client.DescribeAgent(agent_id=ann).agent
    assert details.agent == client.GetAgent(agent_id=ann).agent
    assert client.DescribeAgent(agent_id=bob).agent.status_changes_in_ms == 0


def test_an_agents_details_count_what_it_holds_stands_for_and_waits_for(client):
    agent, other = client.agent("one"), client.agent("two")
    client.lease("free", agent)
    client.lease("held", other)
    task = client.CreateTask(type="work").task.id
    assert client.ClaimTask(agent_id=agent).task.id == task
    client.Campaign(group="g", agent_id=agent)
    waiting = client.AcquireLease.future(task_id="held", agent_id=agent, wait_ms=60_000)
    eventually(lambda: client.DescribeAgent(agent_id=agent).agent.waiting_calls == 1, "the call waits")
    details = client.DescribeAgent(agent_id=agent).agent
    assert (details.leases, details.candidacies) == (2, 1)
    waiting.cancel()


def test_leases_are_listed_by_token_with_the_time_left_and_their_kind(client):
    agent, begun = client.agent(), time.monotonic()
    leases = [client.lease(f"job:{number}", agent, ttl_seconds=100 + number) for number in range(5)]
    client.CreateTask(type="work")
    claim = client.ClaimTask(agent_id=agent).lease
    found, pages = every_page(client.ListLeases, "leases", 2)
    assert [each.lease for each in found] == [*leases, claim] and pages == 3
    assert [each.kind for each in found] == [pb.LEASE_KIND_LEASE] * 5 + [pb.LEASE_KIND_CLAIM]
    assert [each.ttl_seconds for each in found] == [100, 101, 102, 103, 104, 60]
    gone_ms = (time.monotonic() - begun) * 1_000
    for each in found:
        assert each.ttl_seconds * 1_000 - gone_ms - 1 <= each.remaining_ms <= each.ttl_seconds * 1_000


def test_leases_are_filtered_by_holder_prefix_and_kind(client):
    one, two = client.agent("one"), client.agent("two")
    for task, agent in (("a:1", one), ("a:2", two), ("b:1", one)):
        client.lease(task, agent)
    client.CreateTask(type="work")
    task = client.ClaimTask(agent_id=two).task.id

    def tasks(**filters):
        return [each.lease.task_id for each in client.ListLeases(**filters).leases]

    assert tasks() == ["a:1", "a:2", "b:1", task]
    assert tasks(holder_agent_id=one) == ["a:1", "b:1"] and tasks(holder_agent_id=two) == ["a:2", task]
    assert tasks(task_prefix="a:") == ["a:1", "a:2"] and tasks(task_prefix="a:", holder_agent_id=two) == ["a:2"]
    assert tasks(kind=pb.LEASE_KIND_CLAIM) == [task] and tasks(kind=pb.LEASE_KIND_LEASE) == ["a:1", "a:2", "b:1"]
    client.Deregister(agent_id=one)
    assert tasks(holder_agent_id=one) == [] and tasks() == ["a:2", task]
    with refused(Code.NOT_FOUND, "unknown agent"):
        client.ListLeases(holder_agent_id="0" * 32)


def test_a_lease_tells_who_waits_for_it_the_next_one_first(client):
    holder, *waiters = (client.agent(f"n{number}") for number in range(4))
    client.lease("t", holder)
    calls = []
    for number, waiter in enumerate(waiters):
        calls.append(client.AcquireLease.future(task_id="t", agent_id=waiter, wait_ms=60_000))
        eventually(lambda: client.DescribeLease(task_id="t").lease.waiting_calls == number + 1, "the call waits")
    reply = client.DescribeLease(task_id="t")
    assert list(reply.waiting_agent_ids) == waiters and reply.lease.lease.holder_agent_id == holder
    for call in calls:
        call.cancel()
    with refused(Code.NOT_FOUND, "free"):
        client.DescribeLease(task_id="free")


def test_elections_are_listed_and_told_with_their_candidates_in_order(client):
    one, two, three = (client.agent(name) for name in ("one", "two", "three"))
    for agent in (two, one, three):
        client.Campaign(group="g", agent_id=agent)
    client.Campaign(group="left", agent_id=one)
    client.Resign(group="left", agent_id=one)
    found, pages = every_page(client.ListElections, "elections", 1)
    assert [(each.state.group, each.candidates) for each in found] == [("g", 3), ("left", 0)] and pages == 2
    assert found[0].state.leader_agent_id == two and found[1].state.leader_agent_id == ""
    assert found[1].changed_by_sequence == 6 and seconds(found[1].changed_at) > 0
    reply = client.DescribeElection(group="g")
    assert list(reply.candidate_agent_ids) == [two, one, three] and reply.election == found[0]
    assert not client.DescribeElection(group="left").candidate_agent_ids
    assert [each.state.group for each in client.ListElections(candidate_agent_id=three).elections] == ["g"]
    assert [each.state.group for each in client.ListElections(group_prefix="l").elections] == ["left"]
    with refused(Code.NOT_FOUND, "nobody"):
        client.DescribeElection(group="none")


@pytest.mark.parametrize(("method", "field"), PAGED)
def test_a_page_token_that_no_list_gave_out_is_refused(client, method, field):
    for token in ("x", "-1", "1.5", "99999999999999999999"):
        with refused(Code.INVALID_ARGUMENT, "page_token", method, token):
            getattr(client, method)(page_token=token)
    assert not getattr(getattr(client, method)(page_token="18446744073709551615"), field)


def test_bad_filters_are_told(client):
    for call, fields, text in [
        (client.ListAgents, dict(statuses=[7]), "statuses"),
        (client.ListAgents, dict(statuses=[0]), "statuses"),
        (client.ListAgents, dict(tools=["x"] * 65), "tools"),
        (client.ListAgents, dict(name_prefix="x" * 1_025), "name_prefix"),
        (client.ListLeases, dict(kind=3), "kind"),
        (client.ListLeases, dict(task_prefix="x" * 1_025), "task_prefix"),
        (client.ListElections, dict(group_prefix="x" * 1_025), "group_prefix"),
        (client.DescribeAgent, {}, "agent_id"),
        (client.DescribeLease, {}, "task_id"),
        (client.DescribeElection, {}, "group"),
    ]:
        with refused(Code.INVALID_ARGUMENT, text):
            call(**fields)
    for call, fields in [(client.ListLeases, dict(holder_agent_id="x")), (client.ListElections, dict(candidate_agent_id="x"))]:
        with refused(Code.NOT_FOUND, "32 lowercase hex digits"):
            call(**fields)


def test_a_page_stays_below_4_mib(client):
    """A hundred cards of 60 KB are more than one message."""
    for number in range(100):
        client.agent(f"n{number}", description="x" * 60_000)
    first = client.ListAgents()
    assert 60 < len(first.agents) < 80 and first.ByteSize() <= 4 << 20
    found, pages = every_page(client.ListAgents, "agents", 0)
    assert [each.agent.card.name for each in found] == [f"n{number}" for number in range(100)] and pages == 2


def test_a_call_looks_only_so_far_and_tells_where_to_go_on(client):
    """More leases than one call looks at, and a prefix that only the last has."""
    agent = client.agent()
    window = []
    for number in range(20_001):
        window.append(client.AcquireLease.future(task_id=f"t{number}", agent_id=agent, ttl_seconds=3_600))
        if len(window) == 1_000:
            for call in window:
                call.result()
            window.clear()
    for call in window:
        call.result()
    client.lease("last", agent)
    first = client.ListLeases(task_prefix="last")
    assert not first.leases and first.next_page_token
    second = client.ListLeases(task_prefix="last", page_token=first.next_page_token)
    assert [each.lease.task_id for each in second.leases] == ["last"] and not second.next_page_token
    assert client.GetStatus().leases == 20_002
    # One that holds so many is looked for among all, in the same order.
    held, _ = every_page(client.ListLeases, "leases", 10_000, holder_agent_id=agent)
    assert len(held) == 20_002 and held[-1].lease.task_id == "last"


def test_status_counts_what_there_is(client):
    empty = client.GetStatus()
    assert (empty.last_sequence, empty.oldest_kept_sequence, empty.agents_alive) == (0, 1, 0)
    assert empty.durable == bool(os.environ.get("AGENTKEEPER_TEST_DATA_DIR"))
    assert empty.uptime_ms < 600_000 and seconds(empty.started_at) > 1_700_000_000
    one, two = client.agent("one"), client.agent("two")
    client.Deregister(agent_id=two)
    client.lease("t", one)
    client.Campaign(group="g", agent_id=one)
    client.SetPolicy(policy=dict(id="p", subject="s", action="a", resource="r", effect=1))
    for _ in range(3):
        client.CreateTask(type="work")
    client.CompleteTask(task_id=client.ClaimTask(agent_id=one).task.id, agent_id=one)
    client.ClaimTask(agent_id=one)
    watcher = Watcher(client.Watch(topics=["x"]))
    waiting = client.AcquireLease.future(task_id="t", agent_id=one, wait_ms=60_000)
    eventually(lambda: client.GetStatus().lease_waiters == 1, "the call waits")
    status = client.GetStatus()
    assert (status.agents_alive, status.agents_unreachable, status.agents_dead) == (1, 0, 1)
    assert (status.leases, status.claims, status.elections, status.candidates, status.policies) == (1, 1, 1, 1, 1)
    assert (status.tasks_pending, status.tasks_claimed, status.tasks_completed, status.tasks_dead) == (1, 1, 1, 0)
    assert (status.watchers, status.task_waiters, status.oldest_kept_sequence) == (1, 0, 1)
    assert status.last_sequence == 12
    waiting.cancel()
    watcher.cancel()


def test_the_version_is_the_one_of_the_command_line():
    daemon = Daemon()
    version = daemon.client().GetStatus().version
    assert daemon.stop() == 0
    other = Daemon("--version", ready=False)
    assert other.wait() == 0 and version in other.output()
