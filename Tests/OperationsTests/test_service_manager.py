"""What the daemon tells a service manager, and takes from it: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from keeper import BINARY, PATIENCE, Client, accepts, eventually, free_ports
from machine import read, stands_still
from manager import Manager, listener, port_of

ANYWHERE = ("--addr=127.0.0.1:0", "--metrics-addr=off")


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    yield
    Manager.end_all()


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as reply:
        return reply.read().decode()


# MARK: What it tells


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_it_is_ready_when_it_takes_calls_and_says_when_it_stops(abstract):
    (port,) = free_ports(1)
    manager = Manager(f"--addr=127.0.0.1:{port}", "--metrics-addr=off", abstract=abstract)
    word = manager.hear_until("READY")
    assert word["READY"] == "1" and f"127.0.0.1:{port}" in word["STATUS"]
    client = Client(port)
    assert client.agent()  # at once, and not soon
    client.close()
    assert manager.stop() == 0
    word = manager.hear_until("STOPPING")
    assert word["STOPPING"] == "1" and word["STATUS"]
    assert manager.hear_all() == []


def test_what_keeps_it_from_starting_is_its_status_and_it_never_was_ready():
    with listener() as taken:
        manager = Manager(f"--addr=127.0.0.1:{port_of(taken)}", "--metrics-addr=off")
        assert manager.process.wait(PATIENCE) == 1
    words = manager.hear_all()
    assert not any("READY" in word for word in words)
    assert "another program listens there" in words[-1]["STATUS"]


def test_it_asks_for_time_while_state_is_loaded(tmp_path):
    manager = Manager(*ANYWHERE, f"--data-dir={tmp_path}")
    first = manager.hear()
    assert int(first["EXTEND_TIMEOUT_USEC"]) == 30_000_000 and str(tmp_path) in first["STATUS"]
    assert manager.hear_until("READY")
    assert manager.stop() == 0


def test_it_tells_nothing_of_a_watchdog_that_nobody_keeps_or_that_another_process_is_to_feed():
    for environment in ({}, {"WATCHDOG_USEC": "100000", "SET_WATCHDOG_PID": "1"}):
        manager = Manager(*ANYWHERE, **environment)
        manager.hear_until("READY")
        assert manager.hear(timeout=0.5) is None
        assert manager.stop() == 0


def test_a_watchdog_is_fed_at_half_its_time_and_not_more_often():
    begun = time.monotonic()
    manager = Manager(*ANYWHERE, watchdog=1)
    manager.hear_until("READY")
    for _ in range(4):
        assert manager.hear() == {"WATCHDOG": "1"}
    # The fourth comes after four halves of a second, however late this machine lets anybody hear of them. That it is
    # often enough is proven by a real systemd, in test_systemd.py.
    assert time.monotonic() - begun >= 2
    assert manager.stop() == 0


def test_a_daemon_that_is_stopped_feeds_no_watchdog_and_feeds_it_again_when_it_goes_on():
    manager = Manager(*ANYWHERE, watchdog=0.2)
    manager.hear_until("WATCHDOG")
    manager.process.send_signal(signal.SIGSTOP)
    eventually(lambda: stands_still(manager.process.pid), "it is stopped")
    manager.hear_all()
    assert manager.hear(timeout=1) is None
    manager.process.send_signal(signal.SIGCONT)
    assert manager.hear_until("WATCHDOG")
    assert manager.stop() == 0


def threads(pid):
    return {int(each.name): read(each / "comm").strip() for each in Path(f"/proc/{pid}/task").iterdir()}


def test_an_event_loop_that_no_longer_comes_round_starves_the_watchdog():
    manager = Manager(*ANYWHERE, "--threads=2", watchdog=0.2)
    manager.hear_until("WATCHDOG")
    loops = sorted(thread for thread, name in threads(manager.process.pid).items() if name.startswith("NIO-ELT"))
    assert len(loops) == 2, threads(manager.process.pid)
    with freezing(loops[1]):
        # A round that was under way may still end.
        eventually(lambda: "event loop 2 of 2 does not answer" in manager.output(), "that it does not answer")
        manager.hear_all()
        assert manager.hear(timeout=1) is None
    assert manager.hear_until("WATCHDOG")
    eventually(lambda: "works again" in manager.output(), "that it works again")
    assert manager.stop() == 0


class freezing:
    """Keeps one thread from running: it is traced, and stopped."""

    def __init__(self, thread):
        self.thread = thread

    def __enter__(self):
        self.ready, self.done = threading.Event(), threading.Event()
        self.tracer = threading.Thread(target=self.hold)
        self.tracer.start()
        assert self.ready.wait(PATIENCE)

    def hold(self):
        libc = ctypes.CDLL(None, use_errno=True)
        attach, detach, interrupt, wait_all = 0x4206, 17, 0x4207, 0x40000000
        call = libc.ptrace
        call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        assert call(attach, self.thread, None, None) == 0, os.strerror(ctypes.get_errno())
        assert call(interrupt, self.thread, None, None) == 0
        os.waitpid(self.thread, wait_all)
        self.ready.set()
        self.done.wait()
        assert call(detach, self.thread, None, None) == 0

    def __exit__(self, *_):
        self.done.set()
        self.tracer.join()


def are_traced(pid):
    """Whether every thread of a process has a tracer."""
    statuses = [read(status) for status in Path(f"/proc/{pid}/task").glob("*/status")]
    return not any("TracerPid:\t0\n" in status for status in statuses)


def test_a_disk_that_does_not_answer_starves_the_watchdog(tmp_path):
    # The log's sync hangs for as long as strace is there to hold it up, and everything else goes on.
    (port,) = free_ports(1)
    manager = Manager(f"--addr=127.0.0.1:{port}", "--metrics-addr=off", f"--data-dir={tmp_path}", watchdog=0.4)
    manager.hear_until("WATCHDOG")
    client = Client(port)
    agent = client.agent()
    # Which thread commits is seen from the outside: the one that syncs when something is written.
    slow = subprocess.Popen(
        ["strace", "-qq", "-f", "-p", str(manager.process.pid), "-o", "/dev/null", "-e", "trace=fdatasync,pwritev2,fsync,pwrite64,pwritev"]
        + ["-e", "inject=fdatasync,pwritev2,fsync,pwrite64,pwritev:delay_enter=600000000"],
        stderr=subprocess.PIPE,
    )
    try:
        eventually(lambda: are_traced(manager.process.pid), "strace is there")
        call = client.AcquireLease.future(task_id="t", agent_id=agent)
        eventually(lambda: "the disk does not answer" in manager.output(), "the disk is what it waits for")
        assert not call.done()
    finally:
        slow.terminate()
        slow.wait(PATIENCE)
    assert call.result().acquired
    manager.hear_all()
    assert manager.hear_until("WATCHDOG")
    client.close()
    assert manager.stop() == 0


def test_a_daemon_that_belongs_to_a_program_does_not_speak_for_that_program():
    manager = Manager(*ANYWHERE, "--exit-with-parent", watchdog=0.1)
    assert manager.process.wait(PATIENCE) == 0  # the end of its input has come
    assert manager.hear_all() == []


def test_a_manager_that_is_gone_is_told_of_once_and_does_no_harm():
    (port,) = free_ports(1)
    manager = Manager(f"--addr=127.0.0.1:{port}", "--metrics-addr=off", watchdog=0.1)
    manager.hear_until("WATCHDOG")
    manager.notify.close()
    eventually(lambda: "can't tell the service manager" in manager.output(), "that nobody hears it")
    time.sleep(0.3)
    assert manager.output().count("can't tell the service manager") == 1
    assert accepts(port) and manager.stop() == 0


@pytest.mark.parametrize(
    "variables",
    [
        {"NOTIFY_SOCKET": "relative/path"},
        {"NOTIFY_SOCKET": "@"},
        {"NOTIFY_SOCKET": "/" + "x" * 200},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "1000", "SET_WATCHDOG_PID": "me"},
        {"LISTEN_FDS": "many"},
        {"LISTEN_FDS": "1", "SET_LISTEN_PID": "me"},
    ],
    ids=lambda variables: " ".join(f"{name}={value[:12]}" for name, value in variables.items()),
)
def test_an_environment_that_no_manager_makes_is_one_line_that_names_the_variable(variables):
    manager = Manager(*ANYWHERE, **variables)
    assert manager.process.wait(PATIENCE) == 1
    (line,) = manager.output().splitlines()
    assert any(name.removeprefix("SET_") in line for name in variables), line


# MARK: What it takes


@pytest.mark.parametrize("names", [["grpc", "metrics"], None, ["agentkeeper.socket", "agentkeeper.socket"], ["grpc", "unknown"]])
def test_passed_sockets_are_the_listeners_and_win_over_the_flags(names):
    unused = free_ports(2)
    with listener() as grpc, listener() as metrics:
        manager = Manager(
            f"--addr=127.0.0.1:{unused[0]}", f"--metrics-addr=127.0.0.1:{unused[1]}", sockets=[grpc, metrics], names=names
        )
        assert f"127.0.0.1:{port_of(grpc)}" in manager.hear_until("READY")["STATUS"]
        client = Client(port_of(grpc))
        assert client.agent()
        client.close()
        assert "agentkeeper_agents_alive 1\n" in get(port_of(metrics), "/metrics")
        assert not any(accepts(port) for port in unused)
        lines = [line for line in manager.output().splitlines() if "service manager passed" in line]
        assert len(lines) == 2 and "--addr" in lines[1] and "--metrics-addr" in lines[0]
        for descriptor in (3, 4):  # no child would have them
            flags = re.search(r"flags:\t(\d+)", Path(f"/proc/{manager.process.pid}/fdinfo/{descriptor}").read_text())[1]
            assert int(flags, 8) & os.O_CLOEXEC
        assert manager.stop() == 0


@pytest.mark.parametrize("names", [["metrics", "grpc"], ["metrics", ""]], ids=":".join)
def test_names_say_which_is_which_whatever_their_order(names):
    with listener() as metrics, listener() as grpc:
        manager = Manager(sockets=[metrics, grpc], names=names)
        manager.hear_until("READY")
        assert get(port_of(metrics), "/readyz").strip() == "ready"
        client = Client(port_of(grpc))
        assert client.agent()
        client.close()
        assert manager.stop() == 0


def test_one_socket_alone_leaves_the_other_listener_to_its_flag():
    (port,) = free_ports(1)
    with listener() as grpc:
        manager = Manager(f"--metrics-addr=127.0.0.1:{port}", sockets=[grpc], names=["grpc"])
        manager.hear_until("READY")
        assert get(port, "/healthz").strip() == "ok" and accepts(port_of(grpc))
        assert manager.stop() == 0
    with listener() as metrics:
        manager = Manager("--addr=127.0.0.1:0", "--metrics-addr=off", sockets=[metrics], names=["metrics"])
        manager.hear_until("READY")
        assert get(port_of(metrics), "/healthz").strip() == "ok"
        assert manager.stop() == 0


def test_an_ipv6_socket_is_one_like_any_other():
    with listener("::1") as grpc:
        manager = Manager("--metrics-addr=off", sockets=[grpc])
        assert f"[::1]:{port_of(grpc)}" in manager.hear_until("READY")["STATUS"]
        assert accepts(port_of(grpc), "::1")
        assert manager.stop() == 0


def test_connections_that_came_before_the_start_are_served():
    with listener() as grpc:
        early = [Client(port_of(grpc)) for _ in range(20)]
        futures = [client.Register.future(card=dict(name="early"), ttl_seconds=60) for client in early]
        manager = Manager("--metrics-addr=off", sockets=[grpc])
        assert len({future.result().agent_id for future in futures}) == 20
        for client in early:
            client.close()
        assert manager.stop() == 0


def test_the_port_stays_open_from_one_daemon_to_the_next():
    with listener() as grpc:
        first = Manager("--metrics-addr=off", sockets=[grpc])
        first.hear_until("READY")
        assert first.stop() == 0
        client = Client(port_of(grpc))
        between = client.Register.future(card=dict(name="between"), ttl_seconds=60)
        time.sleep(0.2)  # long enough to be refused, if anybody refused
        assert not between.done()
        second = Manager("--metrics-addr=off", sockets=[grpc])
        assert between.result().agent_id
        client.close()
        assert second.stop() == 0


def test_sockets_that_are_meant_for_another_process_are_left_alone():
    with listener() as other:
        manager = Manager(*ANYWHERE, sockets=[other], SET_LISTEN_PID="1")
        assert f":{port_of(other)};" not in manager.hear_until("READY")["STATUS"]
        assert manager.stop() == 0


def unix_listener(directory):
    opened = socket.socket(socket.AF_UNIX)
    opened.bind(str(directory / "socket"))
    opened.listen()
    return opened


def connected():
    with listener() as opened:
        return socket.create_connection(opened.getsockname())


@pytest.mark.parametrize(
    "make, complaint",
    [
        (lambda _: socket.socket(), "does not listen"),
        (lambda _: connected(), "does not listen"),
        (lambda _: socket.socket(type=socket.SOCK_DGRAM), "is no stream socket"),
        (unix_listener, "is no TCP socket"),
        (lambda directory: open(directory / "file", "w"), "is no socket"),
    ],
    ids=["not listening", "connected", "datagram", "unix", "file"],
)
def test_what_is_no_listening_tcp_socket_is_one_clear_line_and_status_1(make, complaint, tmp_path):
    with make(tmp_path) as wrong:
        manager = Manager(*ANYWHERE, sockets=[wrong], names=["grpc"])
        assert manager.process.wait(PATIENCE) == 1
    (line,) = manager.output().splitlines()
    assert complaint in line and "descriptor 3" in line and "grpc" in line and "Accept=no" in line


def test_a_descriptor_that_is_not_there_is_one_clear_line():
    with listener() as grpc:
        manager = Manager(*ANYWHERE, sockets=[grpc], SET_LISTEN_FDS="200")
        assert manager.process.wait(PATIENCE) == 1
    (line,) = manager.output().splitlines()
    assert "Accept=no" in line and ("is not open" in line or "is no socket" in line)


@pytest.mark.parametrize("names", [["grpc", "grpc"], ["a", "b", "c"]], ids=":".join)
def test_more_sockets_than_listeners_is_one_clear_line(names):
    opened = [listener() for _ in names]
    manager = Manager(*ANYWHERE, sockets=opened, names=names)
    assert manager.process.wait(PATIENCE) == 1
    (line,) = manager.output().splitlines()
    assert "grpc" in line and "sockets" in line
    for each in opened:
        each.close()


def test_systemds_own_tool_for_trying_it_out_is_served():
    grpc, metrics = free_ports(2)
    process = subprocess.Popen(
        ["systemd-socket-activate", f"--listen=127.0.0.1:{grpc}", f"--listen=127.0.0.1:{metrics}", "--fdname=grpc:metrics", BINARY],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: accepts(metrics), "its ports are open")  # which starts the daemon
        client = Client(grpc)
        assert client.agent()
        client.close()
        assert get(metrics, "/healthz").strip() == "ok"
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        process.stderr.close()
