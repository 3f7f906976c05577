"""The process: flags and environment, ports, the startup lines, how it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from isolated import namespace
from keeper import BINARY, PATIENCE, Code, Daemon, Stopwatch, Watcher, accepts, count_of, eventually, free_ports
from machine import stands_still
from raw_http2 import Connection, frame

# How long the daemon may take to stop, in seconds of its own: calls under way have three, and a data directory is on a
# disk that may be busy with other work.
STOPPED_IN = 15 if os.environ.get("AGENTKEEPER_TEST_DATA_DIR") else 5


def run(*arguments, environment=None):
    """Runs the binary to its end."""
    return subprocess.run(
        [BINARY, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=os.environ | (environment or {})
    )


@pytest.mark.parametrize("form", [["--addr=127.0.0.1:PORT"], ["--addr", "127.0.0.1:PORT"]], ids=["=", "space"])
def test_a_flag_takes_its_value_in_both_forms(form):
    daemon = Daemon(*form, "--metrics-addr=127.0.0.1:0")
    assert daemon.client().agent()
    assert daemon.stop() == 0


def test_a_flag_has_an_environment_variable_and_wins_over_it():
    by_environment = Daemon("--metrics-addr=127.0.0.1:0", environment={"AGENTKEEPER_ADDR": "127.0.0.1:PORT"})
    assert by_environment.client().agent()
    assert by_environment.stop() == 0
    (other,) = free_ports(1)
    by_flag = Daemon(
        "--addr=127.0.0.1:PORT",
        "--metrics-addr=127.0.0.1:0",
        environment={"AGENTKEEPER_ADDR": f"127.0.0.1:{other}"},
    )
    assert by_flag.client().agent() and not accepts(other)
    assert by_flag.stop() == 0


def test_without_flags_it_serves_on_the_default_ports_of_the_loopback_interface():
    script = """
        import subprocess, urllib.request
        from keeper import BINARY, PATIENCE, Client, accepts, eventually
        daemon = subprocess.Popen([BINARY])
        try:
            eventually(lambda: accepts(7070) and accepts(9090), "both default ports are open")
            assert not accepts(7070, "127.0.0.2") and not accepts(9090, "127.0.0.2")
            assert Client(7070).agent()
            assert urllib.request.urlopen("http://127.0.0.1:9090/healthz").read().strip() == b"ok"
        finally:
            daemon.terminate()
            assert daemon.wait(PATIENCE) == 0
    """
    alone_with_the_default_ports(script)


def alone_with_the_default_ports(script):
    done = subprocess.run(
        [*namespace(), sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stderr


def test_a_port_alone_means_every_interface_with_one_warning():
    daemon = Daemon("--addr=:PORT", "--metrics-addr=127.0.0.1:0")
    assert accepts(daemon.port, "127.0.0.2")
    assert daemon.stop() == 0
    assert count_of(daemon.output(), "warning") == 1


def test_beyond_loopback_is_allowed_with_one_warning_and_loopback_needs_none():
    wide, narrow = Daemon("--addr=0.0.0.0:PORT", "--metrics-addr=127.0.0.1:0"), Daemon()
    assert accepts(wide.port, "127.0.0.2") and not accepts(narrow.port, "127.0.0.2")
    assert wide.stop() == narrow.stop() == 0
    assert (count_of(wide.output(), "warning"), count_of(narrow.output(), "warning")) == (1, 0)


def test_the_startup_lines_say_what_listens_where_and_where_state_is(daemon):
    state = daemon.directory.name if daemon.directory else "memory"
    for word in (f"127.0.0.1:{daemon.port}", f"127.0.0.1:{daemon.metrics_port}", state):
        eventually(lambda: word in daemon.output(), word)


def test_a_taken_port_is_one_clear_line_and_status_1():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = run(f"--addr={address}", "--metrics-addr=127.0.0.1:0")
    assert done.returncode == 1
    lines = (done.stdout + done.stderr).splitlines()
    assert [address in line for line in lines].count(True) == 1 and count_of("\n".join(lines), "error") <= 1


@pytest.mark.parametrize("asked", ["flag", "environment"])
def test_a_taken_metrics_port_that_was_asked_for_is_status_1(asked):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        (port,) = free_ports(1)
        if asked == "flag":
            done = run(f"--addr=127.0.0.1:{port}", f"--metrics-addr={address}")
        else:
            done = run(f"--addr=127.0.0.1:{port}", environment={"AGENTKEEPER_METRICS_ADDR": address})
    assert done.returncode == 1 and address in done.stdout + done.stderr


def test_a_taken_default_metrics_port_is_a_warning():
    script = """
        from keeper import Daemon, count_of
        first, second = Daemon("--addr=127.0.0.1:PORT"), Daemon("--addr=127.0.0.1:PORT")
        assert second.client().agent()
        assert second.stop() == first.stop() == 0
        assert (count_of(first.output(), "warning"), count_of(second.output(), "warning")) == (0, 1)
        assert "9090" in second.output()
    """
    alone_with_the_default_ports(script)


def test_who_wants_to_act_from_the_page_wants_the_page():
    script = """
        from keeper import Daemon
        first, second = Daemon("--addr=127.0.0.1:PORT"), Daemon("--addr=127.0.0.1:PORT", "--dashboard-actions", ready=False)
        assert second.wait() == 1 and "9090" in second.output()
        assert first.stop() == 0
    """
    alone_with_the_default_ports(script)


def test_a_bare_connect_is_no_trouble():
    daemon = Daemon()
    for _ in range(200):
        assert accepts(daemon.port)
    assert daemon.client().agent()
    assert daemon.stop() == 0
    assert count_of(daemon.output(), "error") == count_of(daemon.output(), "warning") == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_good_order(how):
    daemon = Daemon()
    client = daemon.client()
    holder, waiter = client.agent("holder"), client.agent("waiter")
    client.lease("t", holder)
    client.Campaign(group="g", agent_id=holder)
    streams = [Watcher(client.Watch()), Watcher(client.WatchEvents()), Watcher(client.WatchElection(group="g"))]
    waits = [
        client.ClaimTask.future(agent_id=waiter, timeout=None),
        client.AcquireLease.future(task_id="t", agent_id=waiter, wait_ms=3_600_000, timeout=None),
    ]
    client.Heartbeat(agent_id=holder)
    watch = Stopwatch(daemon.process)
    daemon.process.send_signal(how)
    assert [stream.ended() for stream in streams] == [Code.UNAVAILABLE] * 3
    assert [wait.exception().code() for wait in waits] == [Code.UNAVAILABLE] * 2
    status, seconds = watch.until_end()
    assert status == 0 and seconds < STOPPED_IN
    assert not accepts(daemon.port) and not accepts(daemon.metrics_port)
    client.close()


def test_it_stops_although_a_connection_is_idle_or_stuck():
    daemon = Daemon()
    silent = socket.create_connection(("127.0.0.1", daemon.port))  # never sends a byte
    raw = Connection(daemon.port, window=0)  # never reads
    stream = raw.start("/agentkeeper.v1.RegistryService/Watch")
    raw.send(stream, frame(b""))
    watch = Stopwatch(daemon.process)
    daemon.process.send_signal(signal.SIGTERM)
    status, seconds = watch.until_end()
    assert status == 0 and seconds < STOPPED_IN
    silent.close()
    raw.close()


def test_who_comes_while_it_stops_is_nothing_to_warn_of():
    """Every restart has some, and the limit of connections has nothing to do with it."""
    for _ in range(10):  # whether the daemon takes them before it closes its port is a race
        daemon = Daemon()
        daemon.process.send_signal(signal.SIGSTOP)
        eventually(lambda: stands_still(daemon.process.pid), "it stands still")
        waiting = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(100)]
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGCONT)
        assert daemon.stop() == 0
        assert count_of(daemon.output(), "warning") == 0, daemon.output()
        for each in waiting:
            each.close()


def test_a_connection_is_told_to_go_away_in_two_steps():
    daemon = Daemon()
    raw = Connection(daemon.port)
    raw.call("/agentkeeper.v1.RegistryService/Find", frame(b""))
    daemon.process.send_signal(signal.SIGTERM)
    while raw.receive():
        pass
    # First the promise that every stream is still served, then the last one that was (RFC 9113, 6.8).
    assert [event.last_stream_id for event in raw.goaway] == [2**31 - 1, 1]
    assert {event.error_code for event in raw.goaway} == {0}
    assert daemon.wait() == 0


def test_calls_in_flight_are_finished():
    daemon = Daemon()
    client = daemon.client()
    agent = client.agent()
    futures = [client.Heartbeat.future(agent_id=agent) for _ in range(500)]
    daemon.process.send_signal(signal.SIGTERM)
    codes = {future.exception() and future.exception().code() for future in futures}
    assert codes <= {None, Code.UNAVAILABLE}  # done, or never begun and safe to send elsewhere
    assert daemon.wait() == 0
    client.close()


def test_version_and_help_are_told_to_a_stranger():
    version, help = run("--version"), run("--help")
    assert version.returncode == help.returncode == 0
    assert version.stdout.strip()[-1].isdigit() or version.stdout.strip()[0].isdigit()
    for flag in ("--addr", "--metrics-addr", "--log-level", "--log-format", "--version"):
        assert flag in help.stdout
    for default in ("127.0.0.1:7070", "127.0.0.1:9090"):
        assert default in help.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-flag"],
        ["--addr"],
        ["--addr=nonsense"],
        ["--addr=127.0.0.1:99999"],
        ["--addr=127.0.0.1:http"],
        ["--log-level=shouting"],
        ["--log-format=xml"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_a_bad_flag_is_a_clear_line_and_not_status_0(arguments):
    done = run(*arguments)
    assert done.returncode not in (0, 1) and done.returncode > 0
    assert arguments[0].split("=")[-1].lstrip("-") in done.stderr


def test_log_lines_can_be_json():
    daemon = Daemon("--addr=127.0.0.1:PORT", "--metrics-addr=127.0.0.1:0", "--log-format=json")
    assert daemon.stop() == 0
    lines = daemon.output().splitlines()
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)


def test_fencing_tokens_do_not_run_backwards_over_a_restart():
    tokens = []
    for _ in range(2):
        before = int(time.time() * 1_000) << 10
        daemon = Daemon()
        client = daemon.client()
        tokens.append(client.lease("t", client.agent()).token.value)
        assert before <= tokens[-1] < 2**53
        assert daemon.stop() == 0
    assert tokens[1] > tokens[0]


def with_parent(stdin):
    """A daemon that belongs to whoever holds the other end of its standard input."""
    process = subprocess.Popen(
        [BINARY, "--exit-with-parent", "--addr=127.0.0.1:0", "--metrics-addr=off"],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


def test_with_its_parent_it_says_where_it_serves_and_stops_at_the_end_of_its_input():
    process, address = with_parent(subprocess.PIPE)
    host, port = address.split(":")
    assert accepts(int(port), host)
    process.stdin.write("whatever is written does not matter\n")
    process.stdin.flush()
    assert accepts(int(port), host)
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert "stopped" in process.stderr.read()


def test_with_a_parent_that_is_gone_before_it_looks_it_stops_at_once():
    process, _ = with_parent(subprocess.DEVNULL)
    assert process.wait(PATIENCE) == 0


def test_without_the_flag_the_end_of_its_input_means_nothing():
    process = subprocess.Popen(
        [BINARY, "--addr=127.0.0.1:0", "--metrics-addr=off"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "state is in memory" in line:
            break
    process.send_signal(signal.SIGTERM)
    assert "SIGTERM" in process.stderr.read()
    assert process.wait(PATIENCE) == 0
