"""Messages that are none, text that is not UTF-8, values out of range: each gets its answer, and nothing breaks."""

import itertools

import grpc
import pytest

from keeper import ALL_METHODS, METHODS, Code, pb, refused, send_bytes
from handmade import field, text_fields, with_text

HEARTBEAT = "/agentkeeper.v1.RegistryService/Heartbeat"


@ALL_METHODS
def test_bytes_that_are_no_message_are_an_invalid_argument(client, name):
    for garbage in (b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0c"):
        with refused(Code.INVALID_ARGUMENT):
            send_bytes(client, name, garbage)


@ALL_METHODS
def test_text_that_is_not_utf8_is_an_invalid_argument(client, name):
    paths = list(text_fields(METHODS[name].input_type))
    bad = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\xe2\x82", b"\x80")
    for path, text in itertools.product(paths, bad):
        with refused(Code.INVALID_ARGUMENT):
            send_bytes(client, name, with_text(path, text))


def test_a_nul_inside_a_string_is_kept_or_refused_and_never_cut_off(client):
    agent = client.agent()

    def kept(read, **fields):
        """Whether the text came through; a refusal will do as well."""
        try:
            return read(**fields)
        except grpc.RpcError as error:
            assert error.code() == Code.INVALID_ARGUMENT
            return None

    assert kept(lambda: client.lease("t\0a", agent).task_id) in (None, "t\0a")
    assert kept(lambda: client.lease("t\0b", agent).task_id) in (None, "t\0b")
    assert client.AcquireLease(task_id="t", agent_id=agent).acquired
    named = kept(lambda: client.agent("n\0x", metadata={"k\0": "v\0w"}))
    assert named is None or client.GetAgent(agent_id=named).agent.card == pb.AgentCard(
        name="n\0x", metadata={"k\0": "v\0w"}
    )
    client.SetPolicy(policy=dict(id="p", subject="s", action="a", resource="r", effect=1))
    assert kept(lambda: client.CheckPolicy(subject="s\0", action="a", resource="r").allowed) in (None, False)
    with pytest.raises(grpc.RpcError) as caught:
        client.GetAgent(agent_id=agent + "\0")
    assert caught.value.code() in (Code.NOT_FOUND, Code.INVALID_ARGUMENT)


def test_fields_that_are_not_known_are_passed_over(client):
    agent = client.agent()
    client.raw(
        HEARTBEAT, pb.HeartbeatRequest(agent_id=agent).SerializeToString() + field(77, b"later") + b"\xf8\x07\x05"
    )


def test_an_unknown_enum_value_is_an_invalid_argument(client):
    for call in (
        lambda: client.ListTasks(status=6),
        lambda: client.ListTasks(status=-1),
        lambda: client.SetPolicy(policy=dict(id="p", subject="s", action="a", resource="r", effect=3)),
    ):
        with refused(Code.INVALID_ARGUMENT):
            call()


@ALL_METHODS
def test_an_empty_id_that_a_call_needs_is_an_invalid_argument(client, name):
    agent = client.agent()
    needed = {
        "agent_id": agent,
        "task_id": "t",
        "group": "g",
        "id": "p",
        "subject": "s",
        "action": "a",
        "resource": "r",
        "type": "x",
    }
    fields = [each.name for each in METHODS[name].input_type.fields if each.name in needed]
    if name in ("WatchEvents", "CheckPolicy"):
        fields = []  # filters, and texts that may be empty
    for missing in fields:
        request = {each: needed[each] for each in fields if each != missing}
        with refused(Code.INVALID_ARGUMENT, missing):
            reply = getattr(client, name)(**request)
            if METHODS[name].server_streaming:
                next(reply)
