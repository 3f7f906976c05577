"""Frames that break the protocol: the connection ends, with the reason in a GOAWAY, and only that connection.

RFC 9113, 5.4.1 asks for a GOAWAY and lets it be omitted; the code is then nobody's business.
"""

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from messages import HEARTBEAT, OK
from wire import (
    COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PREFACE, PROTOCOL_ERROR, STREAM_CLOSED, Wire, raw_frame,
)

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8

BROKEN = {
    "a frame above the announced size": (raw_frame(DATA, stream=1, length=16_385), {FRAME_SIZE_ERROR}),
    "a frame of 16 MB": (raw_frame(0x77, length=(1 << 24) - 1), {FRAME_SIZE_ERROR}),
    "DATA on stream 0": (raw_frame(DATA, payload=b"x"), {PROTOCOL_ERROR}),
    "HEADERS on stream 0": (raw_frame(HEADERS, END_HEADERS, 0, b"\x82"), {PROTOCOL_ERROR}),
    "HEADERS on an even stream": (raw_frame(HEADERS, END_HEADERS, 2, b"\x82"), {PROTOCOL_ERROR}),
    "DATA on an idle stream": (raw_frame(DATA, stream=9, payload=b"x"), {PROTOCOL_ERROR, STREAM_CLOSED}),
    "RST_STREAM on an idle stream": (raw_frame(RST_STREAM, stream=9, payload=bytes(4)), {PROTOCOL_ERROR}),
    "RST_STREAM of 3 bytes": (raw_frame(RST_STREAM, stream=1, payload=bytes(3)), {FRAME_SIZE_ERROR}),
    "WINDOW_UPDATE on an idle stream": (raw_frame(WINDOW_UPDATE, stream=9, payload=b"\0\0\0\1"), {PROTOCOL_ERROR}),
    "WINDOW_UPDATE of 0": (raw_frame(WINDOW_UPDATE, payload=bytes(4)), {PROTOCOL_ERROR}),
    "WINDOW_UPDATE beyond 2^31-1": (raw_frame(WINDOW_UPDATE, payload=b"\x7f\xff\xff\xff"), {FLOW_CONTROL_ERROR}),
    "WINDOW_UPDATE of 5 bytes": (raw_frame(WINDOW_UPDATE, payload=bytes(5)), {FRAME_SIZE_ERROR}),
    "SETTINGS of 5 bytes": (raw_frame(SETTINGS, payload=bytes(5)), {FRAME_SIZE_ERROR}),
    "SETTINGS on a stream": (raw_frame(SETTINGS, stream=1), {PROTOCOL_ERROR}),
    "SETTINGS ACK with a payload": (raw_frame(SETTINGS, ACK, payload=bytes(6)), {FRAME_SIZE_ERROR}),
    "a window in SETTINGS beyond 2^31-1": (raw_frame(SETTINGS, payload=b"\0\4\x80\0\0\0"), {FLOW_CONTROL_ERROR}),
    "a frame size in SETTINGS below 16384": (raw_frame(SETTINGS, payload=b"\0\5\0\0\0\1"), {PROTOCOL_ERROR}),
    "a wrong ENABLE_PUSH": (raw_frame(SETTINGS, payload=b"\0\2\0\0\0\2"), {PROTOCOL_ERROR}),
    "PING of 7 bytes": (raw_frame(PING, payload=bytes(7)), {FRAME_SIZE_ERROR}),
    "PING on a stream": (raw_frame(PING, stream=1, payload=bytes(8)), {PROTOCOL_ERROR}),
    "GOAWAY on a stream": (raw_frame(GOAWAY, stream=1, payload=bytes(8)), {PROTOCOL_ERROR}),
    "PUSH_PROMISE of a client": (raw_frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2\x82"), {PROTOCOL_ERROR}),
    "CONTINUATION without HEADERS": (raw_frame(CONTINUATION, END_HEADERS, 1, b"\x82"), {PROTOCOL_ERROR}),
    "HEADERS that PING interrupts": (
        raw_frame(HEADERS, 0, 1, b"\x82") + raw_frame(PING, payload=bytes(8)), {PROTOCOL_ERROR}),
    "padding longer than the frame": (
        raw_frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff\x82"), {PROTOCOL_ERROR, FRAME_SIZE_ERROR}),
    "an HPACK index that is not there": (raw_frame(HEADERS, END_HEADERS, 1, b"\xff\xff\x7f"), {COMPRESSION_ERROR}),
    "an HPACK index 0": (raw_frame(HEADERS, END_HEADERS, 1, b"\x80"), {COMPRESSION_ERROR}),
    "an HPACK integer without end": (raw_frame(HEADERS, END_HEADERS, 1, b"\xff" * 40), {COMPRESSION_ERROR}),
    "a header cut in the middle": (raw_frame(HEADERS, END_HEADERS, 1, b"\x40\x05ab"), {COMPRESSION_ERROR}),
    "broken Huffman code": (raw_frame(HEADERS, END_HEADERS, 1, b"\x40\x84\xff\xff\xff\xff\x00"), {COMPRESSION_ERROR}),
    "a table larger than announced": (raw_frame(HEADERS, END_HEADERS, 1, b"\x3f\xe1\xff\x7f"), {COMPRESSION_ERROR}),
}


@pytest.mark.parametrize("bytes_, codes", BROKEN.values(), ids=BROKEN.keys())
def test_a_frame_that_breaks_the_protocol_ends_its_connection_with_the_reason(daemon, bytes_, codes):
    with Wire(daemon.port) as other, Wire(daemon.port) as wire:
        assert wire.ping() and other.ping()
        wire.send_bytes(bytes_)
        assert wire.ended_with() in codes | {None}
        assert other.call(HEARTBEAT, daemon.heartbeat).status == OK, "another connection suffered"


def test_data_after_the_end_of_its_stream_is_an_error(daemon, wire):
    # RFC 9113, 5.1: STREAM_CLOSED. The stream may be forgotten by then, and its late frames be ignored.
    stream = wire.open(HEARTBEAT, daemon.heartbeat)
    wire.send(DataFrame(stream, b"more"))
    wire.read_until(lambda: wire.replies[stream].done or wire.goaways)
    reply = wire.replies[stream]
    assert wire.goaways or reply.reset == STREAM_CLOSED or reply.status == OK


def test_a_stream_number_that_goes_back_ends_the_connection(daemon, wire):
    # RFC 9113, 5.1.1. nghttp2 ignores HEADERS of a closed stream, for they may have crossed its end.
    wire.next_stream = 101
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK
    wire.next_stream = 51
    stream = wire.open(HEARTBEAT, daemon.heartbeat)
    wire.read_until(lambda: wire.goaways or wire.replies[stream].done, seconds=0.3)
    assert wire.replies[stream].status is None, "a stream from the past was served"


def test_a_window_beyond_its_maximum_ends_the_stream_alone(daemon, wire):
    # RFC 9113, 6.9.1
    stream = wire.open(HEARTBEAT, end=False)
    wire.send(WindowUpdateFrame(stream, (1 << 31) - 1))
    assert wire.reply(stream).reset == FLOW_CONTROL_ERROR
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK


def test_a_reset_right_after_the_headers_is_in_order(daemon, wire):
    for _ in range(50):
        stream = wire.open(HEARTBEAT, end=False)
        wire.send(RstStreamFrame(stream, 8))
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK
    assert not wire.goaways


def test_a_reset_of_an_answered_call_is_in_order(daemon, wire):
    stream = wire.open(HEARTBEAT, daemon.heartbeat)
    wire.send(RstStreamFrame(stream, 8))
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK


def test_trailers_without_end_of_stream_are_refused(daemon, wire):
    # RFC 9113, 8.1: a second HEADERS frame has to end the stream.
    stream = wire.open(HEARTBEAT, daemon.heartbeat, end=False)
    wire.send(HeadersFrame(stream, wire.encoder.encode([("x", "1")]), flags=["END_HEADERS"]))
    reply = wire.reply(stream)
    assert reply.reset == PROTOCOL_ERROR or (reply.http or "").startswith("4") or reply.status not in {None, OK}
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK


def test_a_first_frame_that_is_not_settings_ends_the_connection(daemon):
    # RFC 9113, 3.4
    with Wire(daemon.port, preface=False) as wire:
        wire.send_bytes(PREFACE + raw_frame(PING, payload=bytes(8)))
        assert wire.ended_with() in {PROTOCOL_ERROR, None}
        assert not wire.pongs


def test_an_acknowledgement_of_settings_that_were_never_sent_is_harmless(wire, daemon):
    wire.send(*(SettingsFrame(0, flags=["ACK"]) for _ in range(10)))
    # Ignored, or a protocol error: the document does not say.
    if wire.ping() and not wire.goaways:
        assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK


def test_a_request_that_never_was_one_is_not_counted(daemon, wire):
    # RFC 9113, 8.2.2: `connection` makes a request malformed, and libnghttp2 resets its stream.
    series = 'agentkeeper_rpc_open{method="/agentkeeper.v1.RegistryService/Heartbeat"}'
    # What the tests before left half sent ends when the daemon hears that their connections have.
    daemon.waits_for(lambda: daemon.metric(series) == 0, "no call is open")
    for _ in range(5):
        stream = wire.open(HEARTBEAT, None, ("connection", "close"))
        assert wire.reply(stream).reset is not None
    assert daemon.metric(series) == 0
