"""Frames by the ten thousand that cost the sender nothing: he is told to calm down, and nobody else notices.

Each is legal by itself, so the count is what makes the attack. RFC 9113, 10.5: such a peer may be met with a connection
error ENHANCE_YOUR_CALM. Where nghttp2 itself is the guard, its own code or none is in order.
"""

import pytest
from hyperframe.frame import ContinuationFrame, HeadersFrame, PingFrame, RstStreamFrame, WindowUpdateFrame

from messages import CLAIM, HEARTBEAT, OK, UNIMPLEMENTED, frame, message
from wire import CANCEL, ENHANCE_YOUR_CALM, INTERNAL_ERROR, PROTOCOL_ERROR, STREAM_CLOSED, Wire, raw_frame

MANY = 50_000
# CPU seconds that a flood may cost the daemon before it ends: far more than 50 000 frames are worth to any parser.
FLOOD_CPU_SECONDS = 2.0
# Resident memory that a flood may add, KiB.
FLOOD_KIB = 24 << 10

FLOODS = {
    # The frame, and whether it needs an open stream.
    "PING, CVE-2019-9512": (raw_frame(6, payload=b"flooding"), False),
    "SETTINGS, CVE-2019-9515": (raw_frame(4), False),
    "SETTINGS with entries": (raw_frame(4, payload=b"\0\1\0\0\x10\0\0\4\0\1\0\0"), False),
    "empty DATA, CVE-2019-9518": (raw_frame(0, stream=1), True),
    "DATA of padding alone": (raw_frame(0, 8, 1, b"\0"), True),
    "PRIORITY, CVE-2019-9513": (raw_frame(2, stream=3, payload=b"\0\0\0\0\x10"), False),
    "WINDOW_UPDATE of a stream": (raw_frame(8, stream=1, payload=b"\0\0\0\1"), True),
    "WINDOW_UPDATE of the connection": (raw_frame(8, payload=b"\0\0\0\1"), False),
    "unknown frames": (raw_frame(0xBE), False),
    "unknown frames of a stream": (raw_frame(0xBE, stream=1, payload=b"x"), True),
    "PING acknowledgements": (raw_frame(6, 1, payload=b"flooding"), False),
}


def assert_calmed(daemon, wire, *batches, codes=frozenset({ENHANCE_YOUR_CALM})):
    """Pours the flood out, batch by batch; the daemon ends the connection for it, at a bounded cost."""
    cpu, memory = daemon.cpu_seconds(), daemon.resident_kib()
    for number, batch in enumerate(batches):
        if wire.goaways or not wire.pour(batch):
            break
        if len(batches) > 1:  # between two batches the daemon is given the time to answer the first
            ping = number.to_bytes(8, "big")
            wire.send_quietly(PingFrame(0, ping))
            wire.read_until(lambda: ping in wire.pongs or wire.goaways)
    wire.read_until(lambda: wire.closed or wire.goaways)
    assert wire.closed or wire.goaways, "the flood was taken to its end"
    if wire.goaways:
        assert wire.goaways[-1].error_code in codes
    assert wire.read_to_end(), "the connection was left open after its GOAWAY"
    assert daemon.cpu_seconds() - cpu < FLOOD_CPU_SECONDS
    assert daemon.resident_kib() - memory < FLOOD_KIB


@pytest.mark.parametrize("bytes_, needs_stream", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_of_frames_that_bring_nothing_ends_its_connection(daemon, bytes_, needs_stream):
    with Wire(daemon.port) as other, Wire(daemon.port) as wire:
        if needs_stream:
            assert wire.open(HEARTBEAT, end=False) == 1
        assert_calmed(daemon, wire, bytes_ * MANY)
        assert other.call(HEARTBEAT, daemon.heartbeat).status == OK


@pytest.mark.parametrize("kind", ["DATA", "HEADERS"])
def test_a_flood_for_a_stream_that_is_over_ends_its_connection(daemon, wire, kind):
    # nghttp2 skips both without telling anyone: they may have crossed the stream's end. 50 000 have not.
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK
    block = wire.encoder.encode(wire.headers(HEARTBEAT))
    late = raw_frame(0, stream=1) if kind == "DATA" else raw_frame(1, 4 | 1, 1, block)
    assert_calmed(daemon, wire, late * MANY, codes={ENHANCE_YOUR_CALM, STREAM_CLOSED, PROTOCOL_ERROR})


def test_a_mixed_flood_gains_nothing(daemon, wire):
    wire.open(HEARTBEAT, end=False)
    assert_calmed(daemon, wire, b"".join(bytes_ for bytes_, _ in FLOODS.values()) * (MANY // len(FLOODS)))


def test_a_rapid_reset_ends_its_connection(daemon, wire):
    # CVE-2023-44487
    data = b""
    for _ in range(10_000):
        stream = wire.stream()
        data += wire.headers_frame(stream, wire.headers(CLAIM)).serialize()
        data += RstStreamFrame(stream, CANCEL).serialize()
    assert_calmed(daemon, wire, data, codes={ENHANCE_YOUR_CALM, INTERNAL_ERROR})


def test_resets_that_the_server_is_made_to_send_end_the_connection(daemon, wire):
    # CVE-2025-8671, MadeYouReset: a window beyond its maximum is a stream error, answered with RST_STREAM.
    def batch():
        for _ in range(50):  # fewer than may be open at once
            stream = wire.stream()
            yield wire.headers_frame(stream, wire.headers(CLAIM)).serialize()
            yield WindowUpdateFrame(stream, (1 << 31) - 1).serialize()

    assert_calmed(daemon, wire, *(b"".join(batch()) for _ in range(100)))


def test_malformed_requests_by_the_thousand_end_the_connection(daemon, wire):
    def batch():
        for _ in range(50):
            yield wire.headers_frame(wire.stream(), wire.headers(HEARTBEAT, ("Upper", "x")), end=True).serialize()

    assert_calmed(daemon, wire, *(b"".join(batch()) for _ in range(100)))


def test_a_header_block_that_never_ends_ends_the_connection(daemon, wire):
    # CVE-2024-28182
    stream = wire.stream()
    block = wire.encoder.encode(wire.headers(HEARTBEAT))
    data = HeadersFrame(stream, block).serialize() + ContinuationFrame(stream, b"").serialize() * MANY
    assert_calmed(daemon, wire, data, codes={ENHANCE_YOUR_CALM, INTERNAL_ERROR, PROTOCOL_ERROR})


def test_a_header_block_that_grows_for_ever_ends_the_connection(daemon, wire):
    stream = wire.stream()
    # A literal that is not indexed: 16 KB of header after header, in CONTINUATION after CONTINUATION.
    field = b"\x00\x01a\x7f\x81\x7e" + b"v" * 16_256
    data = HeadersFrame(stream, wire.encoder.encode(wire.headers(HEARTBEAT))).serialize()
    data += ContinuationFrame(stream, field).serialize() * 2_000
    assert_calmed(daemon, wire, data, codes={ENHANCE_YOUR_CALM, INTERNAL_ERROR, PROTOCOL_ERROR})


def test_a_header_block_that_expands_ends_its_stream_or_its_connection(daemon, wire):
    # CVE-2016-6581: an entry of 4 KB in the table, then an index of one byte for each copy: 64 MB out of 16 KB.
    memory, cpu = daemon.resident_kib(), daemon.cpu_seconds()
    stream = wire.stream()
    block = wire.encoder.encode(wire.headers(HEARTBEAT)) + b"\x40\x01b\x7f\xa1\x1e" + b"v" * 4_000
    wire.send(*wire.block_frames(stream, block + b"\xbe" * 16_000))
    wire.read_until(lambda: wire.closed or wire.goaways or wire.replies[stream].done)
    reply = wire.replies[stream]
    refused = reply.reset is not None or reply.http == "431" or reply.status not in {None, OK}
    assert wire.closed or wire.goaways or refused
    assert daemon.resident_kib() - memory < FLOOD_KIB and daemon.cpu_seconds() - cpu < FLOOD_CPU_SECONDS


def test_a_table_that_the_peer_makes_huge_for_our_headers_stays_bounded(daemon):
    # SETTINGS_HEADER_TABLE_SIZE says how much the peer would keep for us; we need not use it.
    memory = daemon.resident_kib()
    with Wire(daemon.port, settings={1: (1 << 32) - 1}) as wire:
        wire.decoder.max_allowed_table_size = 1 << 32
        for i in range(200):
            wire.call(HEARTBEAT, frame(message(_1=f"{i:032}")))
        assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK
    assert daemon.resident_kib() - memory < FLOOD_KIB


def test_streams_without_a_body_are_answered_one_by_one(daemon, wire):
    # An honest mistake at any speed, not an attack: each gets its answer.
    memory = daemon.resident_kib()
    for _ in range(20):
        streams = [wire.open(HEARTBEAT) for _ in range(90)]
        assert {wire.reply(stream).status for stream in streams} == {UNIMPLEMENTED}
    assert daemon.resident_kib() - memory < FLOOD_KIB


def test_a_thousand_deadlines_that_pass_together_are_no_attack(daemon, wire):
    # Clients cancel the calls whose deadline has passed; with many calls that looks like a rapid reset.
    body = frame(message(_1=daemon.agent))
    for _ in range(10):
        streams = [wire.open(CLAIM, body) for _ in range(90)]
        assert wire.ping()
        wire.send(*(RstStreamFrame(stream, CANCEL) for stream in streams))
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK
    assert not wire.goaways


def test_pings_in_proportion_to_work_are_no_attack(daemon, wire):
    # grpc-go measures its bandwidth-delay product with a ping for each burst of data that it reads.
    for i in range(2_000):
        wire.send_bytes(raw_frame(6, payload=i.to_bytes(8, "big")))
        if i % 10 == 0:
            assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK and not wire.goaways


def test_others_are_served_while_one_floods(daemon):
    with Wire(daemon.port) as other:
        for _ in range(10):
            with Wire(daemon.port) as wire:
                wire.pour(raw_frame(6, payload=b"flooding") * 20_000)
            assert other.call(HEARTBEAT, daemon.heartbeat).status == OK
