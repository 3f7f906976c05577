"""The log tells the story of an incident: a line for each thing that matters, in order, with what to find it by."""

import array
import fcntl
import itertools
import json
import os
import re
import socket
import subprocess
import termios
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from keeper import (
    BINARY, PATIENCE, Client, Code, Daemon, accepts, again_when_late, eventually, free_ports, pb, refused, within,
)  # fmt: skip
from raw_http2 import Connection

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET = "sesame-open-yourself"


@pytest.fixture
def logged():
    """A daemon whose log is JSON: its arguments, then the daemon; stopped at the end."""
    running = []

    def start(*arguments, **options):
        daemon = Daemon("--addr=127.0.0.1:PORT", "--metrics-addr=off", "--log-format=json", *arguments, **options)
        running.append(daemon)
        return daemon

    yield start
    for daemon in running:
        assert daemon.stop() == 0, daemon.output()


def lines(daemon, *messages):
    """The lines with one of these messages, or that belong to an event."""
    found = [json.loads(line) for line in daemon.output().splitlines()]
    return [line for line in found if line["message"] in messages or not messages and "sequence" in line]


def story(daemon, count):
    """The first lines about events."""
    eventually(lambda: len(lines(daemon)) >= count, f"{count} lines: {daemon.output()}")
    return lines(daemon)


@again_when_late
def test_an_incident_is_told_in_order_with_what_it_ended(logged):
    daemon = logged()
    client = daemon.client()
    register = client.Register
    with within(1.5):  # before anna is missed
        anna = register.stub(
            register.request(card=dict(name="anna", metadata={"key": SECRET}), ttl_seconds=1),
            metadata=[("traceparent", TRACE)],
        ).agent_id
        ben = client.agent("ben")
        token = client.lease("report", anna, ttl_seconds=600).token.value
        client.Campaign(group="planners", agent_id=anna)
        client.Campaign(group="planners", agent_id=ben)
        task = client.CreateTask(type="summarize", input=SECRET.encode()).task.id
        assert client.ClaimTask(agent_id=anna).task.id == task
    # anna is silent; nothing else happens, so time alone brings these.
    found = story(daemon, 8)
    assert [(line["level"], line["message"], line.get("reason")) for line in found] == [
        ("info", "agent registered", None),
        ("info", "agent registered", None),
        ("info", "leader changed", "campaigned"),
        ("warning", "agent unreachable", None),
        ("warning", "agent died", "silence"),
        ("warning", "lease lost", "holder_died"),
        ("warning", "task put back", "holder_died"),
        ("warning", "leader changed", "leader_died"),
    ]
    registered, _, _, unreachable, died, lost, requeued, changed = found
    for line in (registered, unreachable, died, lost, requeued):
        assert (line["agent_id"], line["agent"]) == (anna, "anna")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", registered["peer"])
    assert registered["trace_id"] == TRACE.split("-")[1]
    # Nobody's call, but one asks for the host first.
    assert unreachable["peer"] == died["peer"] == registered["peer"] and "trace_id" not in died
    assert "peer" not in lost
    assert (died["leases"], died["claims"], died["led"]) == ("1", "1", "planners")
    assert (lost["task_id"], lost["token"]) == ("report", str(token))
    assert (requeued["task_id"], requeued["type"]) == (task, "summarize")
    assert (changed["agent"], changed["from_agent"]) == ("ben", "anna")
    assert (changed["group"], changed["term"]) == ("planners", "2")
    sequences = [int(line["sequence"]) for line in found]
    assert sequences == sorted(sequences)
    times = [line["time"] for line in found]
    assert times == sorted(times)
    assert SECRET not in daemon.output()


def test_what_is_done_all_the_time_makes_no_line_unless_it_is_asked_for(logged):
    def work(client):
        agent = client.agent("anna")
        lease = client.lease("t", agent)
        client.Heartbeat(agent_id=agent)
        client.RenewLease(task_id="t", agent_id=agent, token=lease.token)
        client.ReleaseLease(task_id="t", agent_id=agent, token=lease.token)
        client.CreateTask(type="w", input=SECRET.encode())
        task = client.ClaimTask(agent_id=agent).task
        client.CompleteTask(task_id=task.id, agent_id=agent, output=SECRET.encode())
        with refused(Code.NOT_FOUND):
            client.GetAgent(agent_id="0" * 32)
        client.Deregister(agent_id=agent)

    quiet, chatty = logged(), logged("--log-level=debug")
    for daemon in (quiet, chatty):
        work(daemon.client())
        eventually(lambda: lines(daemon, "agent died"), "the last line is there")
        assert SECRET not in daemon.output()
    assert [line["message"] for line in lines(quiet)] == ["agent registered", "agent died"]
    assert not lines(quiet, "call refused")
    assert [line["message"] for line in lines(chatty)] == [
        "agent registered",
        "lease acquired",
        "lease renewed",
        "lease released",
        "task created",
        "task claimed",
        "task completed",
        "agent died",
    ]
    eventually(lambda: lines(chatty, "call refused"), "what was refused is written behind the events")
    (call,) = lines(chatty, "call refused")
    assert (call["code"], call["method"]) == ("NOT_FOUND", "/agentkeeper.v1.RegistryService/GetAgent")


def test_of_a_failure_the_log_tells_how_long_its_reason_is_and_not_the_reason(logged):
    daemon = logged()
    client = daemon.client()
    agent = client.agent("anna")
    for retries in (1, 0):
        client.CreateTask(type="w", max_retries=retries)
        task = client.ClaimTask(agent_id=agent).task
        client.FailTask(task_id=task.id, agent_id=agent, reason=SECRET)
        if retries:
            client.CompleteTask(task_id=client.ClaimTask(agent_id=agent).task.id, agent_id=agent)
    found = [line for line in story(daemon, 3) if line["message"].startswith("task failed")]
    assert [(line["level"], line["message"]) for line in found] == [
        ("info", "task failed, and will be tried again"),
        ("warning", "task failed for good"),
    ]
    assert all(line["failure_bytes"] == str(len(SECRET)) for line in found)
    assert SECRET not in daemon.output()


def test_policies_are_told_with_what_they_say(logged):
    daemon = logged()
    client = daemon.client()
    policy = dict(id="browse", subject="agent:*", action="call", resource="tool:*", effect=pb.POLICY_EFFECT_DENY)
    client.SetPolicy(policy=policy)
    client.DeletePolicy(id="browse")
    was_set, deleted = story(daemon, 2)
    assert (was_set["message"], deleted["message"]) == ("policy set", "policy deleted")
    for line in (was_set, deleted):
        assert (line["policy"], line["effect"], line["subject"]) == ("browse", "deny", "agent:*") and line["peer"]


def test_a_name_cannot_forge_a_line(daemon):
    daemon.client().agent('x\n2026-01-01T00:00:00.000Z INFO agent died agent="y\u2028\x9b2J\u202e')
    eventually(lambda: "agent registered" in daemon.output(), "the line is there")
    (line,) = [line for line in daemon.output().split("\n") if "agent registered" in line]
    assert "agent died" in line
    assert not [each for each in line if ord(each) < 32 or 127 <= ord(each) < 160 or each in "\u2028\u202e"]


def test_a_limit_that_is_met_again_and_again_makes_one_line(logged):
    daemon = logged()
    client = daemon.client()
    agent = client.agent("anna")
    for _ in range(200):
        with refused(Code.RESOURCE_EXHAUSTED):
            # More than a reply may have comes back as more than a request may have.
            client.CreateTask(type="w", input=bytes(5 << 20))
    eventually(lambda: lines(daemon, "limit hit"), "the line is there")
    client.Deregister(agent_id=agent)
    eventually(lambda: lines(daemon, "agent died"), "a later line is there")
    found = lines(daemon, "limit hit")
    for line in found:
        assert line["level"] == "warning" and line["method"] == "/agentkeeper.v1.TaskService/CreateTask"
        assert line["code"] == "RESOURCE_EXHAUSTED" and line["peer"] and "bytes" in line["reason"]
    # There is but one, unless this took longer than the ten seconds for which it is enough.
    times = [datetime.fromisoformat(line["time"]) for line in found]
    assert all(later - earlier >= timedelta(seconds=9.9) for earlier, later in itertools.pairwise(times)), times


def test_a_connection_too_many_is_told_with_its_address(logged):
    # Nobody else looks whether the port is open: that would be a connection, too.
    daemon = logged("--max-connections=2", "--threads=1", ready=False)
    eventually(lambda: lines(daemon, "gRPC is served"), "it is ready")
    # Bare sockets: the daemon may have closed the one too many before anything could be written to it.
    opened = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(3)]
    eventually(lambda: lines(daemon, "connection refused"), "the line is there")
    (line,) = lines(daemon, "connection refused")
    assert line["level"] == "warning" and "2 connections" in line["reason"]
    assert line["peer"] == f"127.0.0.1:{opened[-1].getsockname()[1]}"
    for each in opened:
        each.close()


def test_a_flood_is_told_with_the_rule_that_it_broke(logged):
    daemon = logged()
    connection = Connection(daemon.port)
    peer = f"127.0.0.1:{connection.socket.getsockname()[1]}"
    try:
        for _ in range(50):
            connection.socket.sendall((b"\0\0\x08\x06\0\0\0\0\0" + b"flooding") * 1_000)
    except OSError:
        pass  # It was ended, as it should be.
    eventually(lambda: lines(daemon, "connection ended for abuse"), "the line is there")
    (line,) = lines(daemon, "connection ended for abuse")
    assert (line["level"], line["peer"]) == ("warning", peer) and line["reason"]
    connection.close()


@contextmanager
def unread_log():
    """A daemon whose standard error is a pipe: the process, its port, and the end to read."""
    (port,) = free_ports(1)
    reading, writing = os.pipe()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTKEEPER_")}
    command = [BINARY, f"--addr=127.0.0.1:{port}", "--metrics-addr=off", "--log-format=json"]
    process = subprocess.Popen(command, stderr=writing, env=clean)
    os.close(writing)
    try:
        eventually(lambda: accepts(port), "the daemon is ready")
        yield process, port, reading
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def register(client, count):
    """A pipe holds 65 536 bytes: some 400 lines."""
    for start in range(0, count, 500):
        futures = [client.Register.future(card=dict(name=f"a{start + n}")) for n in range(500)]
        for future in futures:
            assert future.result().agent_id


def waiting_bytes(descriptor):
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def fill(client, descriptor):
    register(client, 1_000)
    eventually(lambda: waiting_bytes(descriptor) > 60_000, "the pipe is full")


def read_all(descriptor, text):
    while piece := os.read(descriptor, 65_536):
        text.extend(piece)


def test_a_storm_is_counted_and_holds_nobody_up_while_nobody_reads_the_log():
    """Standard error is a pipe that is full: the daemon serves on, and says afterwards what it left out."""
    with unread_log() as (process, port, reading):
        client = Client(port)
        register(client, 5_000)
        last = client.agent("last")
        client.Heartbeat(agent_id=last)
        assert client.GetStatus().last_sequence == 5_001
        text = bytearray()
        reader = threading.Thread(target=read_all, args=(reading, text))
        reader.start()
        eventually(lambda: b"left out" in text, "the log says what it left out")
        process.terminate()
        assert process.wait(PATIENCE) == 0
        reader.join(PATIENCE)
        found = [json.loads(line) for line in text.decode().splitlines()]
        registered = [line for line in found if line["message"] == "agent registered"]
        left_out = [line for line in found if line["message"].startswith("more happened than the log tells")]
        counted = sum(int(line["agent.registered"]) for line in left_out)
        assert len(registered) + counted == 5_001 and len(registered) < 4_000
        client.close()


def test_it_ends_in_good_order_while_nobody_reads_the_log():
    with unread_log() as (process, port, reading):
        client = Client(port)
        fill(client, reading)
        client.close()
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_lines_that_found_no_room_are_counted():
    with unread_log() as (process, port, reading):
        client = Client(port)
        fill(client, reading)
        process.terminate()
        # That it was stopping is said before the port is closed.
        eventually(lambda: not accepts(port), "the port is closed")
        text = bytearray()
        read_all(reading, text)
        assert process.wait(PATIENCE) == 0
        found = [json.loads(line) for line in text.decode().splitlines()]
        messages = [line["message"] for line in found]
        assert messages[-1] == "stopped" and not [each for each in messages if each.startswith("stopping")]
        (missing,) = [line for line in found if line["message"].startswith("nobody read standard error")]
        assert (missing["level"], missing["count"]) == ("warning", "1")
        client.close()
