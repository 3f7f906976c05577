"""gzip in both directions, and everything that can be wrong with it.

Source: grpc/doc/compression.md: an encoding that the server lacks is UNIMPLEMENTED with the list of those it has; a
compressed message without an encoding, or one that does not decompress, is INTERNAL.
"""

import gzip
import zlib

import pytest
from hyperframe.frame import WindowUpdateFrame

from messages import (
    CLAIM, GET_AGENT, HEARTBEAT, INTERNAL, INVALID_ARGUMENT, MAX_MESSAGE, OK, RESOURCE_EXHAUSTED, UNIMPLEMENTED, fields,
    frame, message, unframed,
)

GZIP = ("grpc-encoding", "gzip")
ACCEPT = ("grpc-accept-encoding", "gzip, identity")


def zipped(body, level=9):
    return frame(gzip.compress(body, level), flag=1)


def test_a_compressed_message_is_taken(daemon, wire):
    assert wire.call(HEARTBEAT, zipped(message(_1=daemon.agent)), GZIP).status == OK


def test_a_message_may_be_plain_though_an_encoding_is_named(daemon, wire):
    assert wire.call(HEARTBEAT, daemon.heartbeat, GZIP).status == OK


def test_identity_may_be_named(daemon, wire):
    assert wire.call(HEARTBEAT, daemon.heartbeat, ("grpc-encoding", "identity")).status == OK


def test_a_gzip_of_several_members_or_with_a_name_is_taken(daemon, wire):
    body = message(_1=daemon.agent)
    split = gzip.compress(body[:10]) + gzip.compress(body[10:])
    # RFC 1952, 2.2 allows several members; zlib stops after the first unless asked to go on.
    assert wire.call(HEARTBEAT, frame(split, flag=1), GZIP).status in {OK, INTERNAL}
    named = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = named.compress(body) + named.flush()
    with_name = data[:3] + b"\x08" + data[4:10] + b"a name\0" + data[10:]
    assert wire.call(HEARTBEAT, frame(with_name, flag=1), GZIP).status == OK


def test_a_large_reply_is_compressed_for_a_client_that_compresses(daemon, wire):
    agent = daemon.register(message(_1="wire-large", _2="abcdefgh" * 5_000))
    plain = wire.call(GET_AGENT, frame(message(_1=agent)))
    reply = wire.call(GET_AGENT, zipped(message(_1=agent)), GZIP, ACCEPT)
    assert reply.status == OK and dict(reply.headers)["grpc-encoding"] == "gzip"
    assert reply.body[0] == 1 and len(reply.body) < 5_000
    assert int.from_bytes(reply.body[1:5], "big") == len(reply.body) - 5
    assert gzip.decompress(reply.body[5:]) == unframed(plain.body)[0]


def test_a_reply_is_never_compressed_for_a_client_that_accepts_no_encoding(daemon, wire):
    agent = daemon.register(message(_1="wire-large", _2="abcdefgh" * 5_000))
    wire.send(WindowUpdateFrame(0, 1 << 20))  # room for all three replies
    for accept in ([], [("grpc-accept-encoding", "identity")], [("grpc-accept-encoding", "br,snappy")]):
        reply = wire.call(GET_AGENT, frame(message(_1=agent)), *accept)
        assert reply.status == OK and len(unframed(reply.body)) == 1


@pytest.mark.parametrize("encoding", ["br", "snappy", "deflate", "zstd", "x"])
def test_an_unknown_encoding_is_unimplemented_and_the_known_ones_are_named(daemon, wire, encoding):
    reply = wire.call(HEARTBEAT, frame(message(_1=daemon.agent), flag=1), ("grpc-encoding", encoding))
    assert reply.status == UNIMPLEMENTED
    accepted = {name.strip() for name in reply.get("grpc-accept-encoding").split(",")}
    assert "gzip" in accepted and accepted <= {"gzip", "identity"}


def test_a_compressed_message_without_an_encoding_is_internal(daemon, wire):
    assert wire.call(HEARTBEAT, zipped(message(_1=daemon.agent))).status == INTERNAL
    identity = ("grpc-encoding", "identity")
    assert wire.call(HEARTBEAT, zipped(message(_1=daemon.agent)), identity).status == INTERNAL


@pytest.mark.parametrize("flag", [2, 3, 128, 255])
def test_a_flag_that_is_neither_0_nor_1_is_an_error(daemon, wire, flag):
    reply = wire.call(HEARTBEAT, frame(message(_1=daemon.agent), flag=flag), GZIP)
    assert reply.status in {INTERNAL, INVALID_ARGUMENT, UNIMPLEMENTED}


def broken_gzips():
    whole = gzip.compress(message(_1="x" * 3_000))
    return {
        "no gzip": b"this is no gzip at all",
        "only a header": whole[:10],
        "cut in the middle": whole[: len(whole) // 2],
        "without its checksum": whole[:-8],
        "with a wrong checksum": whole[:-8] + bytes(4) + whole[-4:],
        "with a wrong length": whole[:-4] + bytes(4),
        "a broken block": whole[:10] + b"\xff" * 20,
        "zlib instead": zlib.compress(b"x" * 100),
    }


@pytest.mark.parametrize("data", broken_gzips().values(), ids=broken_gzips().keys())
def test_broken_gzip_is_internal(wire, data):
    assert wire.call(HEARTBEAT, frame(data, flag=1), GZIP).status == INTERNAL


def test_a_compressed_message_of_no_bytes_is_broken_or_empty(wire):
    # No gzip at all, or, as some servers have it, an empty message, which names no agent.
    assert wire.call(HEARTBEAT, frame(b"", flag=1), GZIP).status in {INTERNAL, INVALID_ARGUMENT}


@pytest.mark.parametrize("size", [MAX_MESSAGE + 1, 64 << 20])
def test_a_message_that_expands_beyond_four_mebibytes_is_refused(daemon, wire, size):
    before = daemon.resident_kib()
    stream = wire.open(HEARTBEAT, None, GZIP, end=False)
    assert wire.send_body(stream, zipped(bytes(size)))
    assert wire.reply(stream).status == RESOURCE_EXHAUSTED
    assert daemon.resident_kib() - before < 24 << 10, "it was expanded before it was refused"


def test_many_bombs_at_once_cost_no_more_than_one(daemon, wire):
    before, bomb = daemon.resident_kib(), zipped(bytes(64 << 20))
    streams = [wire.open(HEARTBEAT, None, GZIP, end=False) for _ in range(20)]
    for stream in streams:
        assert wire.send_body(stream, bomb)
    assert {wire.reply(stream).status for stream in streams} == {RESOURCE_EXHAUSTED}
    assert daemon.resident_kib() - before < 24 << 10


def test_a_message_of_four_mebibytes_may_come_compressed(daemon, wire):
    body = message(_1=daemon.agent)
    body += message(_15=bytes(MAX_MESSAGE - len(body) - 5))
    assert len(body) == MAX_MESSAGE
    assert wire.call(HEARTBEAT, zipped(body), GZIP).status == OK
    assert fields(body)[1] == [daemon.agent.encode()]


def test_a_waiting_call_does_not_keep_its_request(daemon, wire):
    # 100 claims of 4 KB each on the wire and of 4 MB unpacked, in a field that the daemon does not know.
    before = daemon.resident_kib()
    claim = zipped(message(_1=daemon.agent, _99=bytes(4_000_000)))
    streams = [wire.open(CLAIM, claim, GZIP) for _ in range(100)]
    assert wire.ping()
    assert not any(wire.replies[stream].done for stream in streams)
    assert daemon.resident_kib() - before < 48 << 10
