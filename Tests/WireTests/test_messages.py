"""Messages that are wrong: the prefix, the number of them, the protobuf, the text inside.

A peer's fault gets a status and costs nobody else anything. Where gRPC leaves the code open, those in use are accepted.
Source: grpc/doc/PROTOCOL-HTTP2.md, grpc/doc/statuscodes.md, protobuf's encoding guide.
"""

import pytest

from messages import (
    ACQUIRE, GET_AGENT, HEARTBEAT, INTERNAL, INVALID_ARGUMENT, MAX_MESSAGE, OK, REGISTER, RESOURCE_EXHAUSTED,
    UNIMPLEMENTED, WATCH, fields, frame, message, unframed, varint,
)

# A body that is no whole message: the contract says INVALID_ARGUMENT, gRPC's own servers say INTERNAL.
BROKEN = {INVALID_ARGUMENT, INTERNAL}


@pytest.mark.parametrize("length", [MAX_MESSAGE + 1, 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize("path", [HEARTBEAT, WATCH])
def test_a_message_over_four_mebibytes_is_refused_by_its_prefix_alone(wire, path, length):
    # Nothing but the prefix is sent, and the stream is left open.
    stream = wire.open(path, frame(b"", length=length), end=False)
    assert wire.reply(stream).status == RESOURCE_EXHAUSTED


def test_the_rest_of_a_refused_message_does_not_disturb_the_connection(daemon, wire):
    stream = wire.open(HEARTBEAT, frame(b"", length=8 << 20), end=False)
    wire.send_body(stream, bytes(1 << 20))
    assert wire.reply(stream).status == RESOURCE_EXHAUSTED
    assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK


@pytest.mark.parametrize("kept", [1, 4, 5, 20, 38])
def test_a_message_that_ends_early_is_an_error(daemon, wire, kept):
    # grpcio sees no message at all in it, which is UNIMPLEMENTED.
    assert wire.call(HEARTBEAT, daemon.heartbeat[:kept]).status in BROKEN | {UNIMPLEMENTED}


def test_a_prefix_that_promises_less_than_comes_is_an_error(daemon, wire):
    # The rest reads as a second message; whatever that looks like, the call has no effect.
    body = message(_1="wire-lying-prefix", _2=daemon.agent, _3=60)
    lying = wire.call(ACQUIRE, frame(body, length=19))
    assert lying.status in BROKEN | {UNIMPLEMENTED, RESOURCE_EXHAUSTED}
    honest = wire.call(ACQUIRE, frame(body))
    assert fields(unframed(honest.body)[0])[2] == [1], "the lease was taken by the broken call"


@pytest.mark.parametrize("path", [HEARTBEAT, WATCH])
def test_a_call_without_a_message_is_unimplemented(wire, path):
    assert wire.call(path).status == UNIMPLEMENTED
    assert wire.call(path, b"").status == UNIMPLEMENTED


@pytest.mark.parametrize("path", [HEARTBEAT, WATCH])
def test_a_second_message_is_unimplemented(daemon, wire, path):
    body = daemon.heartbeat if path == HEARTBEAT else frame(message())
    stream = wire.open(path, body + body)
    assert wire.reply(stream).status == UNIMPLEMENTED


def test_a_second_message_undoes_the_call(daemon, wire):
    body = frame(message(_1="wire-two-messages", _2=daemon.agent, _3=60))
    assert wire.call(ACQUIRE, body + body).status == UNIMPLEMENTED
    reply = wire.call(ACQUIRE, body)
    assert fields(unframed(reply.body)[0])[2] == [1], "the refused call took the lease"


NO_MESSAGES = {
    "a field numbered 0": b"\x02\x01x",
    "wire type 6": b"\x0e\x00",
    "wire type 7": b"\x0f\x00",
    "a key without a value": b"\x0a",
    "a length beyond the end": b"\x0a\x7fabc",
    "a length of 2^64-1": b"\x0a" + b"\xff" * 9 + b"\x01",
    "a length of 2^31": b"\x0a" + varint(1 << 31),
    "a varint that never ends": b"\x78" + b"\xff" * 20,
    "a varint cut short": b"\x78\xff",
    "a cut 64-bit number": b"\x79\x00\x00",
    "a cut 32-bit number": b"\x7d\x00",
    "an end of a group alone": b"\x7c",
    "a group that never ends": b"\x7b\x08\x01",
    "text": b"{\"agent_id\": \"x\"}",
    "0xff": b"\xff" * 64,
    "100 000 groups, one in the other": b"\x7b" * 100_000,
}


@pytest.mark.parametrize("bytes_", NO_MESSAGES.values(), ids=NO_MESSAGES.keys())
def test_bytes_that_are_no_protobuf_are_an_invalid_argument(wire, bytes_):
    stream = wire.open(HEARTBEAT, end=False)
    assert wire.send_body(stream, frame(bytes_))
    assert wire.reply(stream).status == INVALID_ARGUMENT


def test_an_inner_message_that_is_broken_is_an_invalid_argument(wire):
    assert wire.call(REGISTER, frame(message(_1=b"\x0a\x7fabc"))).status == INVALID_ARGUMENT


def test_a_deep_unknown_field_is_skipped_or_refused(daemon, wire):
    deep = b""
    for _ in range(2_000):
        deep = message(_15=deep)
    stream = wire.open(HEARTBEAT, end=False)
    assert wire.send_body(stream, frame(message(_1=daemon.agent) + deep))
    assert wire.reply(stream).status in {OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED}


def test_a_hundred_thousand_unknown_fields_are_skipped_or_refused(daemon, wire):
    stream = wire.open(HEARTBEAT, end=False)
    assert wire.send_body(stream, frame(message(_1=daemon.agent) + message(_15=1) * 100_000))
    assert wire.reply(stream).status in {OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED}


def test_the_last_of_a_repeated_single_field_counts(daemon, wire):
    assert wire.call(HEARTBEAT, frame(message(_1="nobody") + message(_1=daemon.agent))).status == OK


NOT_UTF8 = {
    "a lone continuation": b"\x80",
    "a cut character": b"\xe6\x97",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xc0\x80",
    "a surrogate": b"\xed\xa0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "0xff": b"\xff",
}


@pytest.mark.parametrize("text", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_text_that_is_not_utf8_is_an_invalid_argument(wire, text):
    cards = (
        message(_1=b"name" + text), message(_1="a", _2=text), message(_1="a", _5=["good", text]),
        message(_1="a", _4=message(_1=text)), message(_1="a", _6=message(_1=text, _2="value")),
        message(_1="a", _6=message(_1="key", _2=text)),
    )
    for card in cards:
        assert wire.call(REGISTER, frame(message(_1=card))).status == INVALID_ARGUMENT, card
    assert wire.call(GET_AGENT, frame(message(_1=text))).status == INVALID_ARGUMENT


@pytest.mark.parametrize("text", ["日本語", "😀", "e\u0301", "\U0010ffff", "\ufeffbom"])
def test_any_utf8_is_kept_as_it_came(daemon, wire, text):
    agent = daemon.register(message(_1=text))
    reply = wire.call(GET_AGENT, frame(message(_1=agent)))
    assert fields(fields(fields(unframed(reply.body)[0])[1][0])[2][0])[1] == [text.encode()]


def test_a_nul_inside_a_text_is_kept_or_refused_and_never_ends_it(wire):
    reply = wire.call(REGISTER, frame(message(_1=message(_1="before\0after"), _2=60)))
    assert reply.status in {OK, INVALID_ARGUMENT}
    if reply.status == OK:
        read = wire.call(GET_AGENT, reply.body)  # RegisterResponse and GetAgentRequest have the same one field
        assert fields(fields(fields(unframed(read.body)[0])[1][0])[2][0])[1] == [b"before\0after"]


def test_two_tasks_that_differ_after_a_nul_are_two_tasks(daemon, wire):
    for task in ("wire-nul\0a", "wire-nul\0b"):
        reply = wire.call(ACQUIRE, frame(message(_1=task, _2=daemon.agent, _3=60)))
        assert reply.status in {OK, INVALID_ARGUMENT}
        if reply.status == OK:
            assert fields(unframed(reply.body)[0])[2] == [1], "cut off at U+0000"
