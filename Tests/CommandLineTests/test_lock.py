"""A program under a lease: it runs alone, it hears the signals, and it is ended when the lease is lost."""

import os
import signal
import subprocess
import time

import pytest

from keeper import BINARY, PATIENCE, Watcher, eventually, payload, seconds
from shell import Terminal, lives

SLOW = ["sleep", "600"]


def pids(path, count):
    """The process ids that a script has written, one a line."""
    eventually(lambda: path.exists() and len(path.read_text().split()) == count, "the command runs")
    return [int(each) for each in path.read_text().split()]


def holder(client, task):
    return [each.lease for each in client.ListLeases(task_prefix=task).leases]


def held(client, task):
    eventually(lambda: holder(client, task), "the lease is held")
    return holder(client, task)[0]


def test_the_command_knows_its_task_its_token_and_its_agent(shell, client, daemon):
    watcher = Watcher(client.Watch(topics=["lease.", "agent."]))
    script = 'echo "$AGENTKEEPER_TASK|$AGENTKEEPER_TOKEN|$AGENTKEEPER_AGENT_ID|$AGENTKEEPER_ADDR"'
    shown = shell.run("lock", "a task", "--name", "me", "--", "sh", "-c", script).strip().split("|")
    registered, acquired, released, died = watcher.take(4)
    assert [each.topic for each in (registered, acquired, released, died)] == [
        "agent.registered",
        "lease.acquired",
        "lease.released",  # and not expired: the work was done
        "agent.died",
    ]
    lease = payload(acquired)
    assert shown == ["a task", str(lease.token.value), lease.holder_agent_id, f"127.0.0.1:{daemon.port}"]
    assert payload(registered).card.name == "me"


def test_commands_inside_are_for_the_same_lease(shell):
    script = f'{BINARY} leases renew "$AGENTKEEPER_TASK" && {BINARY} leases show t'
    assert "t expires at" in shell.run("lock", "t", "--", "sh", "-c", script)


@pytest.mark.parametrize("status", [0, 1, 7, 75, 127, 255])
def test_the_status_is_the_commands(shell, status):
    shell.run("lock", "t", "--", "sh", "-c", f"exit {status}", status=status)


def test_a_command_that_a_signal_ended_is_128_and_the_signal(shell):
    shell.run("lock", "t", "--", "sh", "-c", "kill -9 $$", status=128 + 9)


def test_streams_are_the_commands(shell):
    done = shell.outcome("lock", "t", "--", "sh", "-c", "cat; echo error >&2", stdin="through\n")
    assert (done.stdout, done.stderr) == ("through\n", "error\n")


def test_a_command_that_cannot_be_run_is_126_or_127_and_the_lease_is_free(shell, client):
    assert "no-such-program" in shell.refusal("lock", "t", "--", "no-such-program", status=127)
    shell.refusal("lock", "t", "--", "/etc/passwd", status=126)
    shell.refusal("lock", "t", "--", "/etc", status=126)
    assert not client.ListLeases().leases


def test_a_lease_that_is_held_is_75_or_what_was_asked_for(shell, client):
    client.lease("t", client.agent(), ttl_seconds=600)
    assert "held" in shell.refusal("lock", "t", "--no-wait", "--", "true", status=75)
    shell.refusal("lock", "t", "--timeout", "200ms", "--", "true", status=75)
    shell.refusal("lock", "t", "--no-wait", "-E", 9, "--", "true", status=9)
    assert client.GetStatus().agents_alive == 1


def test_it_waits_its_turn(shell, client):
    anna = client.agent()
    lease = client.lease("t", anna, ttl_seconds=600)
    waiting = shell.start("lock", "t", "--", "echo", "mine")
    eventually(lambda: client.GetStatus().lease_waiters == 1, "the command waits")
    client.ReleaseLease(task_id="t", agent_id=anna, token=lease.token)
    assert waiting.communicate(timeout=PATIENCE)[0] == "mine\n" and waiting.returncode == 0


def test_a_signal_ends_the_wait_and_leaves_nothing(shell, client):
    client.lease("t", client.agent(), ttl_seconds=600)
    waiting = shell.start("lock", "t", "--", "true")
    eventually(lambda: client.GetStatus().lease_waiters == 1, "the command waits")
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(PATIENCE) == 128 + signal.SIGTERM
    status = client.GetStatus()
    assert (status.lease_waiters, status.agents_alive, status.leases) == (0, 1, 1)


def test_many_that_race_for_one_task_never_overlap(shell, tmp_path):
    """Each enters alone: mkdir fails where somebody is inside."""
    script = f"mkdir {tmp_path}/in || exit 99; echo $AGENTKEEPER_TOKEN >> {tmp_path}/log; rmdir {tmp_path}/in"
    racing = [shell.start("lock", "t", "--", "sh", "-c", script) for _ in range(8)]
    assert [each.wait(PATIENCE) for each in racing] == [0] * 8
    tokens = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert len(tokens) == 8 and tokens == sorted(set(tokens))


def test_the_lease_is_renewed_as_long_as_the_command_runs(shell, client):
    watcher = Watcher(client.Watch(topics=["lease."]))
    running = shell.start("lock", "t", "--ttl", "4s", "--", *SLOW)
    acquired = watcher.next()
    assert acquired.topic == "lease.acquired"
    # Until it would have run out long ago.
    renewed = acquired
    while seconds(renewed.occurred_at) < seconds(payload(acquired).expires_at) + 1:
        renewed = watcher.next()
        assert renewed.topic == "lease.renewed"
    running.terminate()
    assert running.wait(PATIENCE) == 128 + signal.SIGTERM


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_signals_are_passed_on_to_the_whole_group(shell, client, tmp_path, name):
    script = f"""
        trap 'echo got; kill $!; exit 3' {name[3:]}
        sh -c 'trap "echo child; exit" {name[3:]}; echo $$ >> {tmp_path}/pids; while :; do sleep 0.05; done' &
        echo $$ >> {tmp_path}/pids; while :; do wait; done"""
    running = shell.start("lock", "t", "--", "bash", "-c", script)
    pids(tmp_path / "pids", 2)
    running.send_signal(getattr(signal, name))
    output = running.communicate(timeout=PATIENCE)[0]
    assert running.returncode == 3 and "got" in output
    assert not client.ListLeases().leases


def test_what_was_ignored_stays_ignored(shell, tmp_path):
    """As nohup does it, and a shell for its background jobs."""
    script = f"echo $$ > {tmp_path}/pid; until test -e {tmp_path}/end; do sleep 0.05; done; exit 5"
    line = f"trap '' HUP; exec {BINARY} lock t -- sh -c '{script}'"
    process = subprocess.Popen(["sh", "-c", line], env=shell.environment)
    (command,) = pids(tmp_path / "pid", 1)
    process.send_signal(signal.SIGHUP)
    os.kill(command, signal.SIGHUP)
    (tmp_path / "end").touch()
    assert process.wait(PATIENCE) == 5


GROUP = "trap '' TERM; echo $$ >> {0}/pids; sh -c 'trap \"\" TERM; echo $$ >> {0}/pids; sleep 600' & wait; sleep 600"


def start_stubborn(shell, tmp_path, *options):
    """A command of two processes that don't heed SIGTERM."""
    script = GROUP.format(tmp_path)
    running = shell.start("lock", "t", "--name", "me", *options, "--", "sh", "-c", script)
    return running, pids(tmp_path / "pids", 2)


def test_a_lost_lease_ends_the_whole_group_with_76(shell, client, tmp_path):
    running, group = start_stubborn(shell, tmp_path, "--kill-after", "300ms")
    client.Deregister(agent_id=held(client, "t").holder_agent_id)
    error = running.communicate(timeout=PATIENCE)[1]
    assert running.returncode == 76 and error.count("\n") == 1 and "lost" in error
    assert not any(lives(pid) for pid in group)


def test_sigterm_comes_first(shell, client, tmp_path):
    script = f"trap 'echo cleaned; exit 0' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"
    running = shell.start("lock", "t", "--", "sh", "-c", script)
    pids(tmp_path / "pid", 1)
    client.Deregister(agent_id=held(client, "t").holder_agent_id)
    assert running.communicate(timeout=PATIENCE)[0] == "cleaned\n" and running.returncode == 76


def test_a_daemon_that_is_gone_loses_the_lease_within_its_ttl(shell, client, daemon, tmp_path):
    running, group = start_stubborn(shell, tmp_path, "--ttl", "4s")
    held(client, "t")
    daemon.stop(signal.SIGKILL)
    assert running.wait(PATIENCE) == 76 and not any(lives(pid) for pid in group)
    daemon.__init__()  # the fixture wants one that it can stop


def next_finds_nobody_of(group, shell):
    """Whoever has the lease next finds none of these processes alive."""
    looks = "".join(f"grep -q '^State:.[^Z]' /proc/{pid}/status 2> /dev/null && echo {pid} lives; " for pid in group)
    assert shell.run("lock", "t", "--timeout", "30s", "--", "sh", "-c", f"{looks} echo next") == "next\n"


def test_nobody_overlaps_when_the_holder_is_killed(shell, client, tmp_path):
    running, group = start_stubborn(shell, tmp_path, "--ttl", "4s")
    held(client, "t")
    running.kill()
    next_finds_nobody_of(group, shell)


def test_nobody_overlaps_when_the_holder_is_stopped(shell, client, tmp_path):
    running, group = start_stubborn(shell, tmp_path, "--ttl", "4s")
    held(client, "t")
    running.send_signal(signal.SIGSTOP)
    next_finds_nobody_of(group, shell)
    running.send_signal(signal.SIGCONT)
    assert running.wait(PATIENCE) == 76


def test_nobody_overlaps_when_the_daemon_is_stopped_for_a_while(shell, client, daemon, tmp_path):
    running, group = start_stubborn(shell, tmp_path, "--ttl", "4s")
    held(client, "t")
    daemon.process.send_signal(signal.SIGSTOP)
    assert running.wait(PATIENCE) == 76 and not any(lives(pid) for pid in group)
    daemon.process.send_signal(signal.SIGCONT)
    next_finds_nobody_of(group, shell)


def test_a_short_absence_of_the_daemon_costs_nothing(shell, client, daemon, tmp_path):
    script = f"echo $$ > {tmp_path}/pid; while ! test -e {tmp_path}/end; do sleep 0.05; done; exit 4"
    running = shell.start("lock", "t", "--ttl", "10s", "--", "sh", "-c", script)
    pids(tmp_path / "pid", 1)
    before = held(client, "t").expires_at
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    daemon.process.send_signal(signal.SIGCONT)
    eventually(lambda: held(client, "t").expires_at != before, "the lease is renewed")
    (tmp_path / "end").touch()
    assert running.wait(PATIENCE) == 4


def test_the_guardian_leaves_with_the_command(shell, client):
    """Nothing of it stays behind, and whoever reads the output sees its end."""
    line = f"{BINARY} lock t -- sh -c 'echo one; sleep 0.1 & echo two' | cat; {BINARY} lock t -- true"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=shell.environment, timeout=PATIENCE)
    assert done.stdout == "one\ntwo\n" and done.stderr == ""
    remains = ["pgrep", "-f", f"{BINARY} lock t -- sh -c echo one"]
    eventually(lambda: not subprocess.run(remains, capture_output=True).stdout, "nothing of it is left")


# ---- On a terminal


def test_the_command_has_the_terminal_and_its_ctrl_c(shell):
    script = "read line; echo read-$line; trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done"
    terminal = Terminal(shell, [BINARY, "lock", "t", "--", "sh", "-c", script])
    terminal.type("typed\n")
    terminal.expect("read-typed")
    terminal.expect("ready")
    terminal.type("\x03")
    terminal.expect("interrupted")
    assert terminal.rest()[1] == 9


def test_ctrl_z_stops_it_for_the_shell_and_fg_goes_on(shell):
    terminal = Terminal(shell, ["bash", "--norc", "-i"], PS1="prompt> ")
    terminal.expect("prompt> ")
    terminal.type(f"{BINARY} lock t -- sh -c 'echo started; read line; echo after-$line; exit 6'\n")
    terminal.expect("started\r\n")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("\n")
    terminal.expect("prompt> ")
    terminal.type("fg\n")
    terminal.expect("lock t")
    terminal.type("resumed\n")
    terminal.expect("after-resumed")
    terminal.type("echo status-$?\n")
    terminal.expect("status-6")
    terminal.type("exit\n")
    assert terminal.rest()[1] == 0


def test_in_a_pipeline_the_pager_keeps_the_terminal(shell):
    """The command asks for the terminal only when it reads from it."""
    terminal = Terminal(shell, ["bash", "--norc", "-i"], PS1="prompt> ")
    terminal.expect("prompt> ")
    terminal.type(f"{BINARY} lock t -- sh -c 'read line; echo got-$line' | sed s/got/piped/\n")
    terminal.type("x\n")
    terminal.expect("piped-x")
    terminal.expect("prompt> ")
    terminal.type("exit\n")
    assert terminal.rest()[1] == 0


def test_a_person_who_waits_is_told_for_whom(shell, client):
    client.lease("t", client.agent("anna"), ttl_seconds=600)
    terminal = Terminal(shell, [BINARY, "lock", "t", "--", "true"])
    terminal.expect('waiting for "t", held by anna')
    terminal.type("\x03")
    assert terminal.rest()[1] == 128 + signal.SIGINT
