"""What holds for every call: deadlines, order, metadata, the texts of errors, and what is no gRPC at all."""

import socket

import pytest

from keeper import ALL_METHODS, Client, Code, Watcher, pb, refused, send_bytes
from raw_http2 import frame

HEARTBEAT = "/agentkeeper.v1.RegistryService/Heartbeat"
REGISTER = "/agentkeeper.v1.RegistryService/Register"
FIND = "/agentkeeper.v1.RegistryService/Find"
CLAIM = "/agentkeeper.v1.TaskService/ClaimTask"


def test_a_call_whose_deadline_has_passed_has_no_effect(client, raw):
    register = frame(pb.RegisterRequest(card=dict(name="late")).SerializeToString())
    for timeout in ("1n", "0S"):
        reply = raw.call(REGISTER, register, timeout=timeout)
        assert reply.grpc_status == Code.DEADLINE_EXCEEDED.value[0]
    assert not client.Find().agents


@pytest.mark.parametrize("timeout", ["200m", "200000u", "99999999n"])
def test_the_daemon_ends_a_wait_at_its_deadline_by_itself(client, raw, timeout):
    claim = frame(pb.ClaimTaskRequest(agent_id=client.agent()).SerializeToString())
    assert raw.call(CLAIM, claim, timeout=timeout).grpc_status == Code.DEADLINE_EXCEEDED.value[0]


def test_a_stream_ends_at_its_deadline(client):
    assert Watcher(client.Watch(timeout=0.2)).ended() == Code.DEADLINE_EXCEEDED


def test_a_long_deadline_is_no_trouble(client, raw):
    heartbeat = frame(pb.HeartbeatRequest(agent_id=client.agent()).SerializeToString())
    for timeout in ("99999999H", "99999999S", "1M"):
        assert raw.call(HEARTBEAT, heartbeat, timeout=timeout).grpc_status == 0


def test_calls_of_one_connection_take_effect_in_the_order_in_which_they_were_sent(client):
    watcher = Watcher(client.Watch(topics=["agent.", "policy.", "task."]))
    expected, futures = [], []
    for number in range(300):
        futures.append(client.Register.future(card=dict(name=f"n{number}")))
        policy = dict(id="p", subject="s", action="a", resource=f"r{number}", effect=1)
        futures.append(client.SetPolicy.future(policy=policy))
        futures.append(client.DeletePolicy.future(id="p"))
        futures.append(client.CreateTask.future(type="x"))
        expected += ["agent.registered", "policy.set", "policy.deleted", "task.created"]
    for future in futures:
        future.result()
    assert [event.topic for event in watcher.take(len(expected))] == expected


def test_metadata_is_taken_and_passed_over(client):
    request = pb.FindRequest().SerializeToString()
    metadata = [("x-note", "plain"), ("x-note", "twice"), ("x-note-bin", b"\x00\xff"), ("x-long", "x" * 4_000)]
    client.raw(FIND, request, metadata=metadata)


def test_a_quoted_text_is_cut_at_200_characters(client):
    for long in ("x" * 1_000, "é" * 400):
        with refused(Code.NOT_FOUND) as caught:
            client.GetAgent(agent_id=long)
        details = caught.value.details()
        assert long[0] * 100 in details or long[0] not in details
        assert long[:201] not in details and len(details) < 500


def test_a_text_beyond_ascii_comes_back_as_it_was(client):
    with refused(Code.NOT_FOUND, "schöne \N{SNOWMAN} 100 %"):
        client.DeletePolicy(id="schöne \N{SNOWMAN} 100 %")


def test_a_name_is_bounded(client):
    agent = client.agent()
    client.lease("x" * 1_024, agent)
    with refused(Code.INVALID_ARGUMENT, "task_id"):
        client.AcquireLease(task_id="x" * 1_025, agent_id=agent)


@ALL_METHODS
def test_a_call_takes_exactly_one_message(client, name):
    for messages in ((), (b"", b"")):
        with refused(Code.UNIMPLEMENTED):
            send_bytes(client, name, *messages)


@pytest.mark.parametrize(
    "path",
    [
        "/agentkeeper.v1.RegistryService/Nothing",
        "/agentkeeper.v1.Nothing/Register",
        "/agentkeeper.v2.RegistryService/Register",
        "/agentkeeper.v1.RegistryService/register",
        "/Register",
        "/",
        "//",
    ],
)
def test_an_unknown_method_is_unimplemented(client, path):
    with refused(Code.UNIMPLEMENTED):
        client.raw(path, b"")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_another_http_method_is_405(raw, method):
    reply = raw.call(HEARTBEAT, method=method)
    assert reply.http_status == 405 and reply.headers["allow"] == "POST" and reply.reset in (None, 0)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json", "application/grpcx"])
def test_another_content_type_is_415(raw, content_type):
    reply = raw.call(HEARTBEAT, frame(b""), content_type=content_type)
    assert reply.http_status == 415 and reply.reset in (None, 0)


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto", "application/grpc;x=y"])
def test_the_content_types_of_grpc_are_taken(client, raw, content_type):
    heartbeat = frame(pb.HeartbeatRequest(agent_id=client.agent()).SerializeToString())
    reply = raw.call(HEARTBEAT, heartbeat, content_type=content_type)
    assert reply.http_status == 200 and reply.grpc_status == 0
    assert reply.headers["content-type"].startswith("application/grpc")


def test_the_daemon_lives_on_after_all_of_it(daemon):
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n", b"\x00" * 1_000, b"\x16\x03\x01\x02\x00\x01"):
        with socket.create_connection(("127.0.0.1", daemon.port)) as plain:
            plain.sendall(garbage)
    assert Client(daemon.port).agent()
