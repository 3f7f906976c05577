"""What each command does, and how it says no."""

import socket

import pytest

from keeper import PATIENCE, Daemon, eventually, free_ports
from shell import Shell


def test_agents_register_beat_and_leave(shell, client):
    id = shell.json("agents", "register", "anna", "--tool", "a", "--tool", "b", "--metadata", "k=v=w", "--ttl", "1h")["agent_id"]
    info = client.GetAgent(agent_id=id).agent
    assert (list(info.card.tools), dict(info.card.metadata)) == (["a", "b"], {"k": "v=w"})
    shell.run("agents", "heartbeat", "anna", id)
    assert client.GetAgent(agent_id=id).agent.last_heartbeat_at != info.registered_at
    shell.run("agents", "deregister", "anna")
    assert "no living agent" in shell.refusal("agents", "deregister", "anna", status=1)
    assert shell.json("agents", "show", id)["status"] == "DEAD"


def test_a_name_that_two_agents_have_is_not_enough(shell, client):
    for _ in range(2):
        client.agent("twin")
    client.agent("twin-3")
    assert "several" in shell.refusal("agents", "show", "twin", status=1)


def test_agents_are_listed_by_status_tool_and_name(shell, client):
    client.agent("ann", tools=["x"])
    client.agent("bob", tools=["x", "y"])
    client.Deregister(agent_id=client.agent("dead"))

    def names(*options):
        return [each["name"] for each in shell.json("agents", "list", *options)]

    assert names() == ["ann", "bob"] and names("--all") == ["ann", "bob", "dead"]
    assert names("--status", "dead") == ["dead"] and names("--status", "DEAD", "--status", "alive") == ["ann", "bob", "dead"]
    assert names("--tool", "x", "--tool", "y") == ["bob"] and names("--name", "a") == ["ann"]
    assert "nobody" in shell.refusal("agents", "list", "--status", "nobody", status=64)


def test_a_lease_is_acquired_renewed_and_released(shell, client):
    client.agent("anna"), client.agent("ben")
    lease = shell.json("leases", "acquire", "t", "--agent", "anna", "--ttl", "90")
    assert lease["acquired"] is True
    held = shell.json("leases", "acquire", "t", "--agent", "ben", status=75)
    assert held["acquired"] is False and held["token"] == lease["token"]
    assert "PERMISSION_DENIED" in shell.refusal("leases", "renew", "t", "--agent", "anna", "--token", "1", status=1)
    shell.run("leases", "renew", "t", "--agent", "anna", "--token", lease["token"], "--ttl", "1h")
    assert shell.json("leases", "show", "t")["ttl_seconds"] == 3600
    assert "PERMISSION_DENIED" in shell.refusal("leases", "release", "t", "--agent", "ben", "--token", lease["token"], status=1)
    shell.run("leases", "release", "t", "--agent", "anna", "--token", lease["token"])
    assert "NOT_FOUND" in shell.refusal("leases", "show", "t", status=1)


def test_acquiring_waits_when_it_is_asked_to(shell, client):
    anna, _ = client.agent("anna"), client.agent("ben")
    lease = client.lease("t", anna, ttl_seconds=600)
    waiting = shell.start("leases", "acquire", "t", "--agent", "ben", "--wait", "30s", "-o", "json")
    eventually(lambda: client.GetStatus().lease_waiters == 1, "the command waits")
    client.ReleaseLease(task_id="t", agent_id=anna, token=lease.token)
    assert waiting.wait(PATIENCE) == 0 and '"acquired": true' in waiting.communicate()[0]


def test_who_acts_and_for_which_lease_is_taken_from_the_environment_of_lock(shell, client):
    anna = client.agent("anna")
    lease = client.lease("t", anna, ttl_seconds=600)
    variables = dict(AGENTKEEPER_AGENT_ID=anna, AGENTKEEPER_TASK="t", AGENTKEEPER_TOKEN=str(lease.token.value))
    shell.run("leases", "renew", "t", environment=variables)
    assert shell.outcome("leases", "renew", "u", environment=variables).returncode == 64
    assert "--agent" in shell.refusal("leases", "acquire", "u", status=64)


def test_candidates_stand_and_resign(shell, client):
    anna, ben = client.agent("anna"), client.agent("ben")
    assert shell.json("elections", "campaign", "g", "--agent", "anna")["leads"] is True
    assert shell.json("elections", "campaign", "g", "--agent", "ben")["leads"] is False
    assert shell.json("elections", "show", "g")["candidate_agent_ids"] == [anna, ben]
    shell.run("elections", "resign", "g", "--agent", "anna")
    assert shell.json("elections", "list", "--candidate", "ben")[0]["leader_agent_id"] == ben
    assert shell.json("elections", "list", "--candidate", "anna") == []


def test_policies_are_set_listed_checked_and_deleted(shell):
    shell.run("policies", "set", "p1", "allow", "agent:*", "call", "tool:*")
    shell.run("policies", "set", "p2", "deny", "agent:*", "call", "tool:shell")
    assert [each["id"] for each in shell.json("policies", "list")] == ["p1", "p2"]
    assert shell.json("check", "agent:x", "call", "tool:browser") == {"allowed": True, "reason": 'allowed by policy "p1"'}
    assert shell.json("policies", "check", "agent:x", "call", "tool:shell", status=77)["allowed"] is False
    assert "no matching policy" in shell.run("check", "agent:x", "read", "tool:browser", status=77)
    shell.run("policies", "delete", "p1", "p2")
    assert shell.json("policies", "list") == []
    assert "NOT_FOUND" in shell.refusal("policies", "delete", "p1", status=1)
    assert "maybe" in shell.refusal("policies", "set", "p", "maybe", "a", "b", "c", status=64)


def test_a_task_goes_through_its_life(shell, client, tmp_path):
    client.agent("anna", tools=["x"])
    (tmp_path / "in").write_bytes(b"from a file")
    tasks = [shell.run("tasks", "create", "a", "--input-file", tmp_path / "in", "--tool", "x", "--retries", 1).strip()]
    tasks.append(shell.run("tasks", "create", "b", "--input-file", "-", stdin="from a pipe").strip())
    claim = shell.json("tasks", "claim", "--agent", "anna")
    assert claim["task"]["id"] == tasks[0] and claim["task"]["input"] == "from a file"
    shell.run("tasks", "fail", tasks[0], "--agent", "anna", "--reason", "no luck", "--token", claim["lease"]["token"])
    again = shell.json("tasks", "claim", "--agent", "anna", "--no-wait")
    assert again["task"]["id"] == tasks[0] and again["task"]["failure_reason"] == "no luck"
    stale = shell.refusal("tasks", "complete", tasks[0], "--agent", "anna", "--token", claim["lease"]["token"], status=1)
    assert "PERMISSION_DENIED" in stale
    shell.run("tasks", "complete", tasks[0], "--agent", "anna", "--result-file", "-", stdin="the result")
    assert shell.run("tasks", "show", tasks[0], "--output-only") == "the result"
    assert [each["id"] for each in shell.json("tasks", "list", "--status", "pending")] == [tasks[1]]
    shell.json("tasks", "claim", "--agent", "anna", "--no-wait")
    assert "in time" in shell.refusal("tasks", "claim", "--agent", "anna", "--wait", "100ms", status=75)
    assert "together" in shell.refusal("tasks", "create", "c", "--input", "x", "--input-file", "y", status=64)
    assert "No such file" in shell.refusal("tasks", "create", "c", "--input-file", "/no/such", status=1)


def test_find_ranks_by_the_query(shell, client):
    client.agent("one", description="bakes bread")
    client.agent("two", description="browses the web")
    assert [each["name"] for each in shell.json("find", "browse", "web")] == ["two", "one"]
    assert [each["name"] for each in shell.json("find", "--limit", 1)] == ["one"]


def test_status_tells_what_there_is(shell, client):
    client.agent("anna")
    status = shell.json("status")
    assert status["agents_alive"] == 1 and status["last_sequence"] == 1 and status["durable"] is False


def test_bench_measures_and_leaves_nobody_behind(shell, client):
    rows = shell.json("bench", "--duration", "200ms", "--connections", 2, "--streams", 2)
    assert [each["call"] for each in rows] == ["heartbeat", "lease", "check"]
    assert all(each["calls"] > 0 and 0 < each["p50_us"] <= each["p999_us"] <= each["max_us"] for each in rows)
    status = client.GetStatus()
    assert (status.agents_alive, status.leases, status.agents_dead) == (0, 0, 2)


def test_a_daemon_that_is_not_there_is_told_at_once():
    (port,) = free_ports(1)
    shell = Shell(f"127.0.0.1:{port}")
    for command in (["status"], ["agents", "list"], ["watch"], ["lock", "t", "--", "true"], ["elect", "g", "--", "true"], ["bench"]):
        line = shell.refusal(*command, status=69)
        assert f"127.0.0.1:{port}" in line and "AGENTKEEPER_ADDR" in line


def test_what_does_not_answer_is_given_up_at_the_deadline():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        shell = Shell("127.0.0.1:%d" % silent.getsockname()[1])
        shell.refusal("status", "--deadline", "300ms", status=69)


@pytest.mark.parametrize("form", [":{0}", "0.0.0.0:{0}", "*:{0}", "localhost:{0}", "127.0.0.1:{0}"])
def test_what_a_daemon_listens_on_will_do_as_its_address(daemon, form):
    address = form.format(daemon.port)
    assert Shell(address).json("status")["agents_alive"] == 0
    assert Shell("127.0.0.1:1").json("status", "--addr", address)["agents_alive"] == 0


def test_an_address_that_is_none_is_told(shell):
    for address in ("nonsense:port", "http://127.0.0.1:7070", "127.0.0.1:0", "127.0.0.1:99999"):
        assert "--addr" in shell.refusal("status", "--addr", address, status=64)
    assert "AGENTKEEPER_ADDR" in Shell("127.0.0.1:0").refusal("status", status=64)


@pytest.mark.parametrize("time", ["", "x", "-1s", "1y", "s", "1e3", "99999999999d"])
def test_a_time_that_is_none_is_told(shell, time):
    shell.refusal("leases", "acquire", "t", "--agent", "a", f"--ttl={time}", status=64)


def test_serve_is_the_daemon_with_and_without_its_name():
    for first in ([], ["serve"]):
        daemon = Daemon(*first, "--addr=127.0.0.1:PORT", "--metrics-addr", "off", "--log-format=json")
        assert Shell(f"127.0.0.1:{daemon.port}").json("status")["version"]
        assert daemon.stop() == 0
