"""Four mebibytes and no more, however it is packed; identity and gzip, both ways."""

import gzip
import struct

import grpc
import pytest

from keeper import Code, Watcher, pb, refused
from raw_http2 import frame
from handmade import padded

MEBIBYTE = 1024 * 1024
LIMIT = 4 * MEBIBYTE
HEARTBEAT = "/agentkeeper.v1.RegistryService/Heartbeat"
FIND = "/agentkeeper.v1.RegistryService/Find"


def test_four_mebibytes_are_taken_and_one_byte_more_is_not(client):
    heartbeat = pb.HeartbeatRequest(agent_id=client.agent()).SerializeToString()
    client.raw(HEARTBEAT, padded(heartbeat, LIMIT))
    with refused(Code.RESOURCE_EXHAUSTED):
        client.raw(HEARTBEAT, padded(heartbeat, LIMIT + 1))
    client.raw(HEARTBEAT, heartbeat)


def test_a_message_too_long_is_told_from_its_prefix(raw):
    stream = raw.start(HEARTBEAT)
    raw.send(stream, struct.pack(">?I", False, LIMIT + 1), end=False)
    assert raw.reply(stream).grpc_status == Code.RESOURCE_EXHAUSTED.value[0]
    stream = raw.start(HEARTBEAT)
    raw.send(stream, struct.pack(">?I", False, 2**32 - 1) + b"x" * 100, end=False)
    assert raw.reply(stream).grpc_status == Code.RESOURCE_EXHAUSTED.value[0]


def test_the_limit_holds_for_what_comes_out_of_gzip(raw, client):
    heartbeat = pb.HeartbeatRequest(agent_id=client.agent()).SerializeToString()
    for size, status in ((LIMIT, 0), (LIMIT + 1, Code.RESOURCE_EXHAUSTED.value[0]), (100 * MEBIBYTE, 8)):
        body = frame(gzip.compress(padded(heartbeat, size)), compressed=True)
        assert raw.call(HEARTBEAT, body, ("grpc-encoding", "gzip")).grpc_status == status


def test_a_list_too_long_for_one_reply_names_the_paging_fields(client):
    tasks = [client.CreateTask(type="x", input=bytes(MEBIBYTE)).task.id for _ in range(5)]
    with refused(Code.RESOURCE_EXHAUSTED, "page_size", "page_token"):
        client.ListTasks()
    seen, token = [], ""
    for _ in tasks:
        page = client.ListTasks(page_size=1, page_token=token)
        seen, token = seen + [task.id for task in page.tasks], page.next_page_token
    assert seen == tasks and token == ""
    for number in range(1_500):
        client.SetPolicy(
            policy=dict(id=f"{number}", subject="x" * 1_000, action="x" * 1_000, resource="x" * 1_000, effect=1)
        )
    with refused(Code.RESOURCE_EXHAUSTED, "page_size", "page_token"):
        client.ListPolicies()
    assert len(client.ListPolicies(page_size=500).policies) == 500


def test_a_page_token_that_is_none_is_refused(client):
    with refused(Code.INVALID_ARGUMENT, "page_token"):
        client.ListTasks(page_size=1, page_token="made up \N{SNOWMAN}")


def test_gzip_is_taken_and_given(daemon, raw):
    client = daemon.client(compression=grpc.Compression.Gzip)
    description = "the same words again and again " * 1_000
    client.agent("packed", description=description)
    assert client.Find().agents[0].card.description == description
    # Who compresses is answered in kind.
    reply = raw.call(FIND, frame(b""), ("grpc-accept-encoding", "identity,gzip"), ("grpc-encoding", "gzip"))
    assert reply.headers["grpc-encoding"] == "gzip"
    ((compressed, body),) = raw.messages(reply)
    assert compressed and len(body) < len(description) / 10
    assert pb.FindResponse.FromString(gzip.decompress(body)).agents[0].card.name == "packed"


def test_without_asking_nothing_is_compressed(daemon, raw):
    daemon.client().agent("plain", description="the same words again and again " * 1_000)
    reply = raw.call(FIND, frame(b""))
    ((compressed, body),) = raw.messages(reply)
    assert not compressed and pb.FindResponse.FromString(body).agents[0].card.name == "plain"
    assert reply.headers.get("grpc-encoding", "identity") == "identity"


def test_a_stream_can_be_compressed(daemon):
    client = daemon.client(compression=grpc.Compression.Gzip)
    watcher = Watcher(client.Watch())
    client.agent("packed", description="x" * 20_000)
    assert watcher.next().topic == "agent.registered"


@pytest.mark.parametrize("encoding", ["deflate", "br", "nonsense"])
def test_another_encoding_is_unimplemented_and_the_known_ones_are_told(raw, encoding):
    reply = raw.call(HEARTBEAT, frame(b"xyz", compressed=True), ("grpc-encoding", encoding))
    assert reply.grpc_status == Code.UNIMPLEMENTED.value[0]
    told = ((reply.headers or {}) | (reply.trailers or {}))["grpc-accept-encoding"]
    assert {each.strip() for each in told.split(",")} == {"identity", "gzip"}


def test_broken_gzip_is_internal(raw):
    whole = gzip.compress(pb.FindRequest(query="some words").SerializeToString())
    for broken in (b"no gzip at all", whole[:-4], whole[:-8] + b"\0" * 8, whole[:12]):
        reply = raw.call(FIND, frame(broken, compressed=True), ("grpc-encoding", "gzip"))
        assert reply.grpc_status == Code.INTERNAL.value[0]


def test_a_compressed_message_without_an_encoding_is_internal(raw):
    assert raw.call(FIND, frame(gzip.compress(b""), compressed=True)).grpc_status == Code.INTERNAL.value[0]
