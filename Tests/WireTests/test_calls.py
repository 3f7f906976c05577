"""Calls as a proper client may send them: however the bytes are cut, the answer is the same.

Source: gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md), RFC 9113.
"""

import pytest
from hyperframe.frame import PriorityFrame, SettingsFrame

from messages import ACQUIRE, GET_AGENT, HEARTBEAT, NOT_FOUND, OK, RENEW, WATCH, fields, frame, message, unframed
from wire import PREFACE, Wire, raw_frame


def assert_beaten(reply):
    """A Heartbeat's whole answer: headers, one empty message, trailers."""
    assert (reply.http, reply.status, reply.body) == ("200", OK, frame(b"")), reply


def test_a_unary_call_is_answered_with_headers_one_message_and_trailers(daemon, wire):
    reply = wire.call(HEARTBEAT, daemon.heartbeat)
    assert_beaten(reply)
    assert reply.header_blocks == 2
    assert ("grpc-status", "0") in reply.trailers
    assert dict(reply.headers)["content-type"].startswith("application/grpc")
    assert not [name for name, _ in reply.trailers if name.startswith(":")]


def test_an_error_before_any_message_comes_in_one_header_block_that_ends_the_stream(wire):
    reply = wire.call(HEARTBEAT, frame(message(_1="0" * 32)))
    assert (reply.http, reply.status, reply.body) == ("200", NOT_FOUND, b"")
    assert reply.header_blocks == 1, "an error without a message is Trailers-Only"
    assert reply.message


def test_a_call_may_arrive_byte_by_byte(daemon):
    with Wire(daemon.port, preface=False) as wire:
        stream = wire.stream()
        frames = SettingsFrame(0), wire.headers_frame(stream, wire.headers(HEARTBEAT))
        data = PREFACE + b"".join(each.serialize() for each in frames)
        data += wire.data_frame(stream, daemon.heartbeat, end=True).serialize()
        for at in range(len(data)):
            wire.send_bytes(data[at : at + 1])
        assert_beaten(wire.reply(stream))


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 7, 38])
def test_a_message_may_be_split_over_data_frames_anywhere(daemon, wire, size):
    stream = wire.open(HEARTBEAT, end=False)
    assert wire.send_body(stream, daemon.heartbeat, size=size)
    assert_beaten(wire.reply(stream))


def test_the_end_of_a_stream_may_come_in_an_empty_data_frame(daemon, wire):
    stream = wire.open(HEARTBEAT, daemon.heartbeat, end=False)
    wire.send(wire.data_frame(stream, b"", end=True))
    assert_beaten(wire.reply(stream))


def test_trailers_of_the_client_end_a_request(daemon, wire):
    stream = wire.open(HEARTBEAT, daemon.heartbeat, end=False)
    wire.send(wire.headers_frame(stream, [("x-checksum", "1")], end=True))
    assert_beaten(wire.reply(stream))


def test_padding_is_no_part_of_a_message(daemon, wire):
    stream = wire.open(HEARTBEAT, end=False)
    assert wire.send_body(stream, daemon.heartbeat, size=10, padding=255)
    assert_beaten(wire.reply(stream))


def test_padding_gives_its_flow_control_window_back(daemon, wire):
    # RFC 9113, 6.1: padding counts for flow control. 1.5 MB of it is more than the windows hold.
    stream = wire.open(HEARTBEAT, end=False)
    body = frame(message(_1=daemon.agent, _15=b"x" * 6_000))
    assert wire.send_body(stream, body, size=1, padding=255), "the window was never given back"
    assert_beaten(wire.reply(stream))


def test_calls_that_share_one_segment_are_all_answered(daemon, wire):
    streams = [wire.stream() for _ in range(80)]
    frames = []
    for stream in streams:
        frames.append(wire.headers_frame(stream, wire.headers(HEARTBEAT)))
        frames.append(wire.data_frame(stream, daemon.heartbeat, end=True))
    wire.send(*frames)
    for stream in streams:
        assert_beaten(wire.reply(stream))


def test_the_preface_and_a_call_may_share_one_segment(daemon):
    with Wire(daemon.port, preface=False) as wire:
        stream = wire.stream()
        wire.send_bytes(
            PREFACE + SettingsFrame(0).serialize()
            + wire.headers_frame(stream, wire.headers(HEARTBEAT)).serialize()
            + wire.data_frame(stream, daemon.heartbeat, end=True).serialize())
        assert_beaten(wire.reply(stream))


def test_bodies_of_several_calls_may_be_interleaved(daemon, wire):
    streams = [wire.open(HEARTBEAT, end=False) for _ in range(20)]
    half = len(daemon.heartbeat) // 2
    wire.send(*(wire.data_frame(stream, daemon.heartbeat[:half]) for stream in streams))
    wire.send(*(wire.data_frame(stream, daemon.heartbeat[half:], end=True) for stream in reversed(streams)))
    for stream in streams:
        assert_beaten(wire.reply(stream))


# libnghttp2 takes eight CONTINUATION frames of a block at the most: more are a flood (CVE-2024-28182).
@pytest.mark.parametrize("size", [20, 30, 50])
def test_a_header_block_may_be_continued(daemon, wire, size):
    stream = wire.stream()
    block = wire.encoder.encode(wire.headers(HEARTBEAT))
    wire.send(*wire.block_frames(stream, block, size), wire.data_frame(stream, daemon.heartbeat, end=True))
    assert_beaten(wire.reply(stream))


def test_priorities_and_unknown_frames_and_settings_are_ignored(daemon):
    # RFC 9113, 4.1, 5.3 and 6.5.2
    with Wire(daemon.port, settings={0x7A7A: 7}) as wire:
        wire.send(PriorityFrame(1, depends_on=0, stream_weight=7))
        wire.send_bytes(raw_frame(0xFA, payload=b"what?"))
        stream = wire.open(HEARTBEAT, end=False)
        wire.send_bytes(raw_frame(0xFB, flags=0xFF, stream=stream))
        assert wire.send_body(stream, daemon.heartbeat)
        assert_beaten(wire.reply(stream))


def test_a_ping_comes_back_with_its_payload(wire):
    assert wire.ping(b"\x00\x01\xfekeep!")


def test_a_field_that_the_daemon_does_not_know_is_skipped(daemon, wire):
    assert_beaten(wire.call(HEARTBEAT, frame(message(_1=daemon.agent, _99="new", _100=7))))


def test_a_message_of_exactly_four_mebibytes_is_taken(daemon, wire):
    known = message(_1=daemon.agent)
    # The filling field costs one byte of key and four of length.
    body = known + message(_15=bytes((4 << 20) - len(known) - 5))
    assert len(body) == 4 << 20
    stream = wire.open(HEARTBEAT, end=False)
    assert wire.send_body(stream, frame(body)), "the windows did not open for a legal message"
    assert_beaten(wire.reply(stream))


def test_a_stream_of_events_begins_with_its_headers_at_once(wire):
    stream = wire.open(WATCH, frame(message()))
    assert wire.read_until(lambda: wire.replies[stream].headers)
    assert wire.replies[stream].http == "200" and not wire.replies[stream].ended


def test_a_subscription_is_in_force_before_the_next_call_of_its_connection(daemon, wire):
    # Both requests in one write: what the second makes happen, the first has to see.
    watch, acquire = wire.stream(), wire.stream()
    lease = frame(message(_1="wire-subscription", _2=daemon.agent, _3=60))
    wire.send(
        wire.headers_frame(watch, wire.headers(WATCH)),
        wire.data_frame(watch, frame(message(_1="lease.")), end=True),
        wire.headers_frame(acquire, wire.headers(ACQUIRE)),
        wire.data_frame(acquire, lease, end=True))
    assert wire.reply(acquire).status == OK
    assert wire.read_until(lambda: wire.replies[watch].body), "the event was missed"
    event = fields(unframed(wire.replies[watch].body)[0])
    assert event[1] == [b"lease.acquired"]


def test_calls_of_one_connection_change_state_in_the_order_of_their_arrival(daemon, wire):
    # Acquire, then renew with a token that nobody has, many times over in one write.
    frames, acquires, renewals = [], [], []
    for i in range(30):
        task = f"wire-order-{i}"
        for path, streams, body in (
            (ACQUIRE, acquires, message(_1=task, _2=daemon.agent, _3=60)),
            (RENEW, renewals, message(_1=task, _2=daemon.agent, _3=message(_1=1))),
        ):
            stream = wire.stream()
            streams.append(stream)
            frames += [wire.headers_frame(stream, wire.headers(path)), wire.data_frame(stream, frame(body), end=True)]
    wire.send(*frames)
    assert [wire.reply(stream).status for stream in acquires] == [OK] * 30
    permission_denied = 7
    assert [wire.reply(stream).status for stream in renewals] == [permission_denied] * 30, "a renewal overtook"


def test_reading_an_agent_gives_back_its_card(daemon, wire):
    card = message(_1="wire-card", _2="describes", _5=["shell", "browser"], _6=message(_1="team", _2="keeper"))
    agent = daemon.register(card)
    reply = wire.call(GET_AGENT, frame(message(_1=agent)))
    assert reply.status == OK
    read = fields(fields(fields(unframed(reply.body)[0])[1][0])[2][0])
    assert (read[1], read[2], read[5]) == ([b"wire-card"], [b"describes"], [b"shell", b"browser"])
    assert fields(read[6][0]) == {1: [b"team"], 2: [b"keeper"]}
