"""A program only while leading."""

import signal

from keeper import PATIENCE, eventually
from shell import lives
from test_lock import pids


def leader(client, group="g"):
    found = client.ListElections(group_prefix=group).elections
    return found[0].state.leader_agent_id if found else ""


def test_the_command_knows_its_group_its_term_and_its_agent(shell, client):
    script = 'echo "$AGENTKEEPER_GROUP|$AGENTKEEPER_TERM|$AGENTKEEPER_AGENT_ID"; exit 7'
    group, term, agent = shell.run("elect", "g", "--", "sh", "-c", script, status=7).strip().split("|")
    assert (group, term) == ("g", "1") and client.GetAgent(agent_id=agent)
    assert leader(client) == ""


def test_the_next_leads_when_the_first_has_ended(shell, client, tmp_path):
    first = shell.start("elect", "g", "--", "sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 600")
    pids(tmp_path / "pid", 1)
    second = shell.start("elect", "g", "--", "echo", "second")
    eventually(lambda: client.ListElections().elections[0].candidates == 2, "the second stands")
    assert second.poll() is None
    first.terminate()
    assert first.wait(PATIENCE) == 128 + signal.SIGTERM
    assert second.communicate(timeout=PATIENCE)[0] == "second\n" and second.returncode == 0


def test_a_group_that_is_led_is_75(shell, client):
    client.Campaign(group="g", agent_id=client.agent())
    assert "leads" in shell.refusal("elect", "g", "--no-wait", "--", "true", status=75)
    shell.refusal("elect", "g", "--timeout", "200ms", "--", "true", status=75)
    shell.refusal("elect", "g", "--no-wait", "-E", 5, "--", "true", status=5)
    eventually(lambda: client.GetStatus().candidates == 1, "the others have left")


def test_a_group_that_can_be_none_is_told(shell):
    assert "INVALID_ARGUMENT" in shell.refusal("elect", "x" * 1_025, "--", "true", status=1)
    shell.refusal("elect", "", "--", "true", status=64)


def test_lost_leadership_ends_the_command_with_76(shell, client, tmp_path):
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 600; sleep 600"
    running = shell.start("elect", "g", "--kill-after", "200ms", "--", "sh", "-c", script)
    (pid,) = pids(tmp_path / "pid", 1)
    client.Resign(group="g", agent_id=leader(client))
    error = running.communicate(timeout=PATIENCE)[1]
    assert running.returncode == 76 and error.count("\n") == 1 and "lost" in error and not lives(pid)


def test_again_stands_and_runs_anew(shell, client, tmp_path):
    script = f"echo $$ >> {tmp_path}/pids; sleep 600"
    running = shell.start("elect", "g", "--again", "--", "sh", "-c", script)
    pids(tmp_path / "pids", 1)
    client.Deregister(agent_id=leader(client))
    first, second = pids(tmp_path / "pids", 2)
    assert not lives(first) and lives(second)
    running.terminate()
    assert running.wait(PATIENCE) == 128 + signal.SIGTERM


def test_a_leader_that_is_killed_takes_its_command_with_it(shell, client, tmp_path):
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 600; sleep 600"
    running = shell.start("elect", "g", "--ttl", "4s", "--", "sh", "-c", script)
    (pid,) = pids(tmp_path / "pid", 1)
    running.kill()
    line = f"grep -q '^State:.[^Z]' /proc/{pid}/status 2> /dev/null && echo lives; echo next"
    assert shell.run("elect", "g", "--", "sh", "-c", line) == "next\n"
