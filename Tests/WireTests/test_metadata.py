"""What stands around the message: method, path, content type, timeout, metadata, and the text of an error.

Source: grpc/doc/PROTOCOL-HTTP2.md ("Requests", "Responses"), RFC 9110 for answers that are not gRPC.
"""

import base64

import pytest

from messages import (
    ACQUIRE, CLAIM, DEADLINE_EXCEEDED, GET_AGENT, HEARTBEAT, INTERNAL, INVALID_ARGUMENT, NOT_FOUND, OK, REGISTRY,
    RESOURCE_EXHAUSTED, UNIMPLEMENTED, fields, frame, message, unframed,
)
from wire import PROTOCOL_ERROR, Wire


@pytest.mark.parametrize(
    "path",
    [REGISTRY + "Reboot", REGISTRY + "heartbeat", HEARTBEAT + "/", HEARTBEAT + "?x=1", REGISTRY, REGISTRY[:-1],
     "/agentkeeper.v1.Registry/Heartbeat", "/RegistryService/Heartbeat", "/", "//", "/x", "/%00/x",
     "/" + "x" * 8_000 + "/y"],
    ids=lambda path: path[:40])
def test_an_unknown_method_or_service_is_unimplemented(daemon, wire, path):
    reply = wire.call(path, daemon.heartbeat)
    assert (reply.http, reply.status) == ("200", UNIMPLEMENTED)


def test_an_unknown_method_is_told_before_the_body_is_complete(wire):
    stream = wire.open(REGISTRY + "Reboot", end=False)
    assert wire.reply(stream).status == UNIMPLEMENTED


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_another_method_than_post_is_answered_with_405(wire, method):
    # RFC 9110, 15.5.6: the answer names the methods that are allowed.
    reply = wire.reply(wire.open(HEARTBEAT, method=method))
    assert reply.http == "405" and reply.reset is None
    assert "POST" in (reply.get("allow") or "")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/html", "application/grpc+json", "application/grpc+thrift", "application/grpcx",
     "application/grpc-web", "application/x-www-form-urlencoded", "", "application/gr"])
def test_another_content_type_is_answered_with_415(daemon, wire, content_type):
    reply = wire.call(HEARTBEAT, daemon.heartbeat, ("content-type", content_type), omit=["content-type"])
    assert reply.http == "415"


def test_a_request_without_content_type_is_answered_with_415(daemon, wire):
    assert wire.call(HEARTBEAT, daemon.heartbeat, omit=["content-type"]).http == "415"


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto"])
def test_the_content_types_of_grpc_are_taken(daemon, wire, content_type):
    reply = wire.call(HEARTBEAT, daemon.heartbeat, ("content-type", content_type), omit=["content-type"])
    assert reply.status == OK


def test_a_request_without_te_trailers_gets_a_proper_answer(daemon, wire):
    # The document demands the field to find proxies that drop trailers; most servers do without it.
    reply = wire.call(HEARTBEAT, daemon.heartbeat, omit=["te"])
    assert reply.status in {OK, INTERNAL, INVALID_ARGUMENT} or reply.http == "400"


def test_a_request_without_authority_gets_a_proper_answer(daemon, wire):
    reply = wire.call(HEARTBEAT, daemon.heartbeat, omit=[":authority"])
    assert reply.status == OK or reply.http == "400" or reply.reset == PROTOCOL_ERROR


# --- grpc-timeout ---


@pytest.mark.parametrize("timeout", ["1H", "2M", "3S", "4000m", "5000000u", "99999999n", "00000030S"])
def test_each_unit_of_grpc_timeout_is_understood(daemon, wire, timeout):
    # The longest in nanoseconds is a tenth of a second, which a busy machine may let pass: then it is asked again.
    beats = lambda: wire.call(HEARTBEAT, daemon.heartbeat, ("grpc-timeout", timeout)).status == OK
    daemon.waits_for(beats, f"a call is served within {timeout}")


@pytest.mark.parametrize("timeout", ["100m", "100000u", "50000000n"])
def test_a_waiting_call_ends_at_its_deadline(daemon, wire, timeout):
    body = frame(message(_1=daemon.agent))
    assert wire.call(CLAIM, body, ("grpc-timeout", timeout)).status == DEADLINE_EXCEEDED


@pytest.mark.parametrize("timeout", ["0n", "0S", "0H"])
def test_a_call_whose_deadline_had_passed_before_it_began_has_no_effect(daemon, wire, timeout):
    body = frame(message(_1=f"wire-too-late-{timeout}", _2=daemon.agent, _3=60))
    assert wire.call(ACQUIRE, body, ("grpc-timeout", timeout)).status == DEADLINE_EXCEEDED
    reply = wire.call(ACQUIRE, body)
    assert fields(unframed(reply.body)[0])[2] == [1], "the late call took the lease"


@pytest.mark.parametrize(
    "timeout", ["", "S", "5", "-1S", "+1S", "1.5S", "1X", "1 S", " 1S", "123456789S", "1s", "1SS", "٣S"])
def test_a_malformed_grpc_timeout_is_an_error(daemon, wire, timeout):
    # At most eight digits and one unit. grpc-go answers INTERNAL; a client's fault may as well be INVALID_ARGUMENT.
    reply = wire.call(HEARTBEAT, daemon.heartbeat, ("grpc-timeout", timeout))
    stripped_by_http2 = timeout != timeout.strip() and reply.status == OK
    assert reply.status in {INTERNAL, INVALID_ARGUMENT} or stripped_by_http2 or reply.reset == PROTOCOL_ERROR


def test_a_body_that_never_ends_is_given_up_at_the_deadline(daemon, wire):
    stream = wire.open(HEARTBEAT, daemon.heartbeat[:20], ("grpc-timeout", "200m"), end=False)
    assert wire.reply(stream).status == DEADLINE_EXCEEDED


# --- Metadata ---


@pytest.mark.parametrize("value", [b"", b"\0\xff\n", bytes(range(256))], ids=["empty", "short", "every byte"])
@pytest.mark.parametrize("padded", [True, False])
def test_binary_metadata_is_taken_with_and_without_padding(daemon, wire, value, padded):
    text = base64.b64encode(value).decode()
    reply = wire.call(HEARTBEAT, daemon.heartbeat, ("trace-bin", text if padded else text.rstrip("=")))
    assert reply.status == OK


def test_binary_metadata_may_be_a_list_and_may_be_repeated(daemon, wire):
    assert wire.call(HEARTBEAT, daemon.heartbeat, ("a-bin", "AA,/w"), ("a-bin", "AAA"), ("b", "x")).status == OK


def test_binary_metadata_that_is_no_base64_gets_a_proper_answer(daemon, wire):
    assert wire.call(HEARTBEAT, daemon.heartbeat, ("a-bin", "!!!")).status in {OK, INTERNAL, INVALID_ARGUMENT}


def test_metadata_beyond_ascii_gets_a_proper_answer(daemon, wire):
    reply = wire.call(HEARTBEAT, daemon.heartbeat, ("who", b"\xc3\xa9\xff"))
    assert reply.status in {OK, INTERNAL, INVALID_ARGUMENT} or reply.reset == PROTOCOL_ERROR


# --- grpc-message ---


@pytest.mark.parametrize("text", ["naïve", "100% of %41", "日本", "tab\there", "line\nline", "\x7f", "😀"])
def test_the_text_of_an_error_is_percent_encoded(wire, text):
    reply = wire.call(GET_AGENT, frame(message(_1=text)))
    assert reply.status in {NOT_FOUND, INVALID_ARGUMENT}
    raw = reply.get("grpc-message")
    assert raw and all(0x20 <= ord(character) <= 0x7E for character in raw), raw
    # Control characters may be shown in an escaped form; all else comes back as it was.
    visible = "".join(character for character in text if character.isprintable())
    if visible == text:
        assert text in reply.message


def test_a_text_quoted_in_an_error_is_cut(wire):
    for text in ("x" * 1_000, "日" * 1_000, "%" * 1_000):
        reply = wire.call(GET_AGENT, frame(message(_1=text)))
        assert reply.status in {NOT_FOUND, INVALID_ARGUMENT}
        assert reply.message.count(text[0]) <= 210, "200 characters are quoted at the most"


# --- Malformed HTTP ---


MALFORMED = {
    "an upper-case name": [("X-Upper", "1")],
    "a connection field": [("connection", "close")],
    "transfer-encoding": [("transfer-encoding", "chunked")],
    "te other than trailers": [("te", "gzip")],
    "a late pseudo field": [("x", "1"), (":path", "/again")],
    "an unknown pseudo field": [(":protocol-x", "1")],
    "a line break in a value": [("x", "1\r\ny: 2")],
    "a NUL in a value": [("x", "a\0b")],
}


@pytest.mark.parametrize("extra", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_is_refused_and_the_connection_goes_on(daemon, wire, extra):
    # RFC 9113, 8.1.1: a stream error PROTOCOL_ERROR, possibly after an answer. nghttp2 drops what it may ignore.
    reply = wire.call(HEARTBEAT, daemon.heartbeat, *extra)
    assert reply.reset == PROTOCOL_ERROR or (reply.http or "").startswith("4") or reply.status is not None
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK


@pytest.mark.parametrize("missing", [":method", ":scheme", ":path"])
def test_a_request_without_a_pseudo_field_is_refused(daemon, wire, missing):
    reply = wire.call(HEARTBEAT, daemon.heartbeat, omit=[missing])
    assert reply.reset == PROTOCOL_ERROR or reply.http == "400"
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK


def test_a_content_length_that_lies_is_refused(daemon, wire):
    # RFC 9113, 8.1.1
    reply = wire.call(HEARTBEAT, daemon.heartbeat, ("content-length", "7"))
    assert reply.reset == PROTOCOL_ERROR or reply.http == "400"
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK


@pytest.mark.parametrize("size", [20_000, 60_000])
def test_a_huge_header_block_is_answered_and_the_connection_goes_on_or_ends_cleanly(daemon, size):
    # RFC 6585, 5: 431. As gRPC says it: RESOURCE_EXHAUSTED.
    with Wire(daemon.port) as wire:
        stream = wire.stream()
        block = wire.encoder.encode(wire.headers(HEARTBEAT, *((f"x-{i}", "v" * 990) for i in range(size // 1_000))))
        wire.send(*wire.block_frames(stream, block), wire.data_frame(stream, daemon.heartbeat, end=True))
        reply = wire.reply(stream)
        refused = reply.http == "431" or reply.status == RESOURCE_EXHAUSTED or reply.reset is not None
        assert refused or wire.goaways, reply
        if not wire.goaways:
            assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK
