"""Events, as lines and as objects."""

import json
import signal

from keeper import Daemon, accepts, eventually
from shell import on_terminal


def lines(process, count):
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def test_events_come_as_they_happen_one_object_a_line(shell, client):
    watching = shell.start("watch", "--json")
    eventually(lambda: client.GetStatus().watchers == 1, "the command watches")
    agent = client.agent("anna")
    client.lease("t", agent)
    client.SetPolicy(policy=dict(id="p", subject="s", action="a", resource="r", effect=2))
    seen = lines(watching, 3)
    assert [each["topic"] for each in seen] == ["agent.registered", "lease.acquired", "policy.set"]
    assert seen[0]["agent"]["name"] == "anna" and seen[1]["lease"]["task_id"] == "t" and seen[2]["policy"]["effect"] == "DENY"
    assert [each["sequence_number"] for each in seen] == [1, 2, 3]


def test_topics_agents_tasks_and_groups_are_filtered(shell, client):
    anna, ben = client.agent("anna"), client.agent("ben")
    for agent, task in ((anna, "t"), (ben, "u")):
        client.lease(task, agent)
    client.Campaign(group="g", agent_id=anna)

    def topics(*options):
        shown = shell.run("watch", "--after", 0, "--no-follow", "--json", *options)
        return [json.loads(line)["topic"] for line in shown.splitlines()]

    assert topics() == ["agent.registered"] * 2 + ["lease.acquired"] * 2 + ["leader.changed"]
    assert topics("leader.") == ["leader.changed"]
    assert topics("--task", "t", "--limit", 1) == ["lease.acquired"]
    assert topics("--group", "g", "leader.changed") == ["leader.changed"]
    assert topics("--agent", "ben", "--limit", 2) == ["agent.registered", "lease.acquired"]
    assert topics("--exclude", "agent.", "--exclude", "lease.") == ["leader.changed"]
    assert topics("--after", 4) == ["leader.changed"]


def test_letting_go_of_an_open_stream_is_a_quiet_end_each_time(shell, client):
    """The connection once kept a stream by a reference that it had given away: one run in five died of it."""
    client.agent("anna")
    for _ in range(60):
        assert shell.run("watch", "--after", 0, "--no-follow", "--json").count("\n") == 1


def test_without_following_it_ends_where_the_events_end(shell, client):
    assert shell.run("watch", "--no-follow") == "" == shell.run("watch", "--no-follow", "--after", 0)
    client.agent("anna")
    assert shell.run("watch", "--no-follow", "--after", 1) == ""


def test_a_sequence_that_is_not_there_is_told_and_the_oldest_events_follow(shell, client):
    client.agent("anna")
    done = shell.outcome("watch", "--after", 7, "--limit", 1)
    assert done.returncode == 0 and "agent.registered" in done.stdout
    assert done.stderr.count("\n") == 1 and "missed" in done.stderr and "future" in done.stderr


def test_a_connection_that_breaks_is_made_anew_and_a_gap_is_told(shell, client, daemon):
    arguments = (f"--addr=127.0.0.1:{daemon.port}", "--metrics-addr=off")
    watching = shell.start("watch", "--json", "agent.")
    eventually(lambda: client.GetStatus().watchers == 1, "the command watches")
    client.agent("before")
    assert lines(watching, 1)[0]["agent"]["name"] == "before"
    daemon.stop(signal.SIGKILL)
    again = Daemon(*arguments, ready=False)
    daemon.process, daemon.log = again.process, again.log
    eventually(lambda: accepts(daemon.port), "the daemon is there again")
    eventually(lambda: shell.json("status")["watchers"] == 1, "the command watches again")
    shell.run("agents", "register", "after")
    # The history was in memory: it is another one now.
    (seen,) = lines(watching, 1)
    assert seen["gap"]["reason"]
    while "gap" in seen:
        (seen,) = lines(watching, 1)
    assert seen["agent"]["name"] == "after"


def test_lines_are_cut_to_the_terminal(shell, client):
    client.agent("a-name-that-goes-on-and-on-for-ever-and-never-ends")
    shown = on_terminal(shell, "watch", "--after", 0, "--no-follow", columns=60, NO_COLOR="1")
    assert all(len(line) <= 60 for line in shown.splitlines()) and "…" in shown


def test_an_event_tells_why_it_happened_and_on_whose_trace(shell):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    agent = shell.run("agents", "register", "anna", environment={"TRACEPARENT": trace}).strip()
    shell.run("agents", "deregister", agent, environment={"TRACEPARENT": "no trace"})
    registered, died = [json.loads(line) for line in shell.run("watch", "--after", 0, "--no-follow", "--json").splitlines()]
    assert (registered["reason"], registered["trace_parent"]) == (None, trace)
    assert (died["reason"], died["trace_parent"]) == ("deregistered", None)
    assert "(deregistered)" in shell.run("watch", "--after", 1, "--no-follow")
