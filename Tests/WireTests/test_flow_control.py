"""Windows and peers that do not read: a reply waits as long as it has to, and costs a bounded amount meanwhile.

Source: RFC 9113, 5.2 and 6.9. The attacks: CVE-2019-9511 (data dribble), CVE-2019-9517 (internal data buffering).
"""

import subprocess
import tempfile

import pytest
from hyperframe.frame import SettingsFrame, WindowUpdateFrame

from daemon import Daemon
from machine import PATIENCE
from messages import (
    ACQUIRE, CREATE_TASK, GET_AGENT, GET_TASK, HEARTBEAT, OK, RENEW, RESOURCE_EXHAUSTED, WATCH, fields, frame, message,
    unframed,
)
from wire import FLOW_CONTROL_ERROR, FRAME_BYTES, PROTOCOL_ERROR, REFUSED_STREAM, Wire

INITIAL_WINDOW = SettingsFrame.INITIAL_WINDOW_SIZE
WIDEST = (1 << 31) - 1
LARGE = 40_000  # bytes of the card that a large reply carries; the contract's limit of a card is 64 KiB

# What a peer who does not read may add to the daemon's memory, KiB. What he asks for is many times as much.
UNREAD_KIB = 48 << 10


@pytest.fixture
def large(daemon):
    """The body of a GetAgent whose reply has 40 KB."""
    return frame(message(_1=daemon.register(message(_1="wire-large", _2="d" * LARGE))))


def test_a_reply_waits_for_a_closed_window_to_open(daemon):
    with Wire(daemon.port, settings={INITIAL_WINDOW: 0}) as wire:
        stream = wire.open(GET_AGENT, daemon.heartbeat)
        assert wire.ping()
        assert not wire.replies[stream].body and not wire.replies[stream].done
        wire.send(SettingsFrame(0, settings={INITIAL_WINDOW: 65_535}))
        reply = wire.reply(stream)
        assert reply.status == OK and len(unframed(reply.body)) == 1


def test_a_window_may_open_byte_by_byte(daemon):
    with Wire(daemon.port, settings={INITIAL_WINDOW: 0}) as wire:
        stream = wire.open(GET_AGENT, daemon.heartbeat)
        assert wire.ping()
        for count in range(1, 31):
            wire.send(WindowUpdateFrame(stream, 1))
            assert wire.read_until(lambda: len(wire.replies[stream].body) >= count)
            assert len(wire.replies[stream].body) == count, "more was sent than the window had room for"
        wire.send(WindowUpdateFrame(stream, 10_000))
        reply = wire.reply(stream)
        assert reply.status == OK and len(unframed(reply.body)) == 1


def test_a_window_may_shrink_below_zero_and_come_back(daemon, large):
    # RFC 9113, 6.9.2
    with Wire(daemon.port, settings={INITIAL_WINDOW: 1_000}) as wire:
        stream = wire.open(GET_AGENT, large)
        assert wire.read_until(lambda: len(wire.replies[stream].body) == 1_000)
        wire.send(SettingsFrame(0, settings={INITIAL_WINDOW: 0}), WindowUpdateFrame(stream, 900))
        assert wire.ping()
        assert len(wire.replies[stream].body) == 1_000, "the window was 100 below zero"
        wire.send(SettingsFrame(0, settings={INITIAL_WINDOW: 65_535}))
        reply = wire.reply(stream)
        assert reply.status == OK and len(reply.body) > LARGE


def test_the_window_of_the_connection_is_kept_too(daemon, large):
    with Wire(daemon.port, settings={INITIAL_WINDOW: WIDEST}) as wire:
        streams = [wire.open(GET_AGENT, large) for _ in range(4)]
        received = lambda: sum(len(wire.replies[stream].body) for stream in streams)
        assert wire.read_until(lambda: received() == 65_535)
        assert wire.ping(b"in time.")
        assert received() == 65_535, "more was sent than the connection's window has"
        wire.send(WindowUpdateFrame(0, 1 << 20))
        for stream in streams:
            assert wire.reply(stream).status == OK


def test_a_reply_fits_the_frames_that_the_peer_takes(daemon, large):
    with Wire(daemon.port, settings={INITIAL_WINDOW: 1 << 20}) as wire:
        reply = wire.call(GET_AGENT, large)
        assert reply.status == OK and max(reply.pieces) <= 16_384


@pytest.mark.parametrize("acknowledge", [True, False])
def test_streams_beyond_the_announced_number_are_refused(daemon, acknowledge):
    # RFC 9113, 5.1.2: a stream error REFUSED_STREAM or PROTOCOL_ERROR, or the end of the connection.
    with Wire(daemon.port, acknowledge=acknowledge) as wire:
        assert wire.read_until(lambda: wire.peer_settings)
        most = wire.peer_settings.get(SettingsFrame.MAX_CONCURRENT_STREAMS, 1 << 32)
        assert 100 <= most <= 10_000
        streams = [wire.open(HEARTBEAT, end=False) for _ in range(most)]
        assert wire.ping() and not wire.closed
        assert not [stream for stream in streams if wire.replies[stream].done], "a stream within the limit was ended"
        beyond = wire.open(HEARTBEAT, end=False)
        refused = lambda: wire.goaways or wire.replies[beyond].reset in {PROTOCOL_ERROR, REFUSED_STREAM}
        assert wire.read_until(refused)
        if not wire.goaways:
            assert wire.send_body(streams[0], daemon.heartbeat)
            assert wire.reply(streams[0]).status == OK


def test_a_peer_who_sends_more_than_his_window_is_stopped(daemon):
    # A body that nobody reads yet: its message is never complete, so the window stays as it is at some point.
    with Wire(daemon.port) as wire:
        assert wire.read_until(lambda: wire.peer_settings)
        stream = wire.open(WATCH, end=False)
        window = wire.peer_settings.get(INITIAL_WINDOW, 65_535)
        excess = frame(b"", length=4 << 20) + bytes(4 << 20)
        pieces = (excess[at : at + FRAME_BYTES] for at in range(0, len(excess), FRAME_BYTES))
        wire.pour(b"".join(wire.data_frame(stream, piece).serialize() for piece in pieces))
        # Legal: it kept up with the reading and took all; or it told of the excess on the stream or the connection.
        reply = wire.replies[stream]
        told = lambda: reply.reset == FLOW_CONTROL_ERROR or reply.status is not None
        kept_up = lambda: wire.stream_window(stream) >= len(excess)
        assert window <= 16 << 20
        assert wire.read_until(lambda: told() or kept_up() or wire.goaways), "the excess was swallowed"


def test_half_sent_messages_cost_a_bounded_amount_of_memory(daemon):
    # 100 messages of almost 4 MiB, none complete. Who takes them all in without a bound holds 400 MB for one peer.
    before = daemon.resident_kib()
    with Wire(daemon.port) as wire:
        assert wire.read_until(lambda: wire.peer_settings)
        for _ in range(100):
            if wire.closed or wire.goaways:
                break
            stream = wire.open(HEARTBEAT, end=False)
            if not wire.send_body(stream, frame(b"", length=4 << 20) + bytes((4 << 20) - 100), end=False, seconds=1):
                break
            assert daemon.resident_kib() - before < 96 << 10, "it buffers without a bound"
        daemon.serves()


def renew_for_ever(daemon, task, times):
    """Events by the thousand: renewals of one lease, by h2load, which sends one body again and again."""
    with Wire(daemon.port) as wire:
        reply = wire.call(ACQUIRE, frame(message(_1=task, _2=daemon.agent, _3=600)))
    token = fields(fields(unframed(reply.body)[0])[1][0])[3][0]
    body = frame(message(_1=task, _2=daemon.agent, _3=token, _4=600))
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        done = subprocess.run(
            ["h2load", "-c4", "-m50", f"-n{times}", "-d", file.name, "-H", "content-type: application/grpc",
             "-H", "te: trailers", f"http://127.0.0.1:{daemon.port}{RENEW}"],
            stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert f"{times} succeeded, 0 failed" in done.stdout, done.stdout


@pytest.mark.parametrize("window", [0, WIDEST], ids=["closed windows", "open windows"])
def test_watchers_who_never_read_cost_bounded_memory_and_hold_up_nobody(daemon, window):
    before = daemon.resident_kib()
    with Wire(daemon.port, settings={INITIAL_WINDOW: window}) as wire:
        wire.send(WindowUpdateFrame(0, WIDEST - 65_535))
        watchers = [wire.open(WATCH, frame(message(_1="lease."))) for _ in range(50)]
        assert wire.ping()
        # 20 000 events of 150 bytes or so for each of 50 watchers: 150 MB, were they all kept for them.
        renew_for_ever(daemon, f"wire-unread-{window}", 20_000)
        assert daemon.resident_kib() - before < UNREAD_KIB
        daemon.serves()
        # Whoever reads at last finds his events in order, none missing, and then why there are no more.
        if not window:
            wire.send(SettingsFrame(0, settings={INITIAL_WINDOW: WIDEST}))
        for watcher in watchers[:5]:
            wire.read_until(lambda: wire.replies[watcher].done, seconds=2)
            reply = wire.replies[watcher]
            assert reply.reset is None and reply.status in {None, RESOURCE_EXHAUSTED}
            if reply.done:
                sequences = [fields(event)[3][0] for event in unframed(reply.body)]
                assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def test_a_peer_who_asks_for_ever_and_never_reads_costs_bounded_memory(daemon, large):
    # 200 MB of replies; the windows are wide open, but nobody reads the socket. So the server has to stop reading.
    before = daemon.resident_kib()
    with Wire(daemon.port, settings={INITIAL_WINDOW: WIDEST}) as wire:
        wire.send(WindowUpdateFrame(0, WIDEST - 65_535))
        wire.socket.settimeout(1)
        frames = b""
        for _ in range(5_000):
            stream = wire.stream()
            frames += wire.headers_frame(stream, wire.headers(GET_AGENT)).serialize()
            frames += wire.data_frame(stream, large, end=True).serialize()
        try:
            wire.send_bytes(frames)
        except OSError:
            pass  # it does not take more, or has closed: both are in order
        assert daemon.resident_kib() - before < UNREAD_KIB
        daemon.serves()


def test_a_peer_who_pings_for_ever_and_never_reads_costs_bounded_memory(daemon):
    # CVE-2019-9512
    before = daemon.resident_kib()
    with Wire(daemon.port) as wire:
        wire.socket.settimeout(1)
        try:
            wire.send_bytes(b"\x00\x00\x08\x06\x00\x00\x00\x00\x00flooding" * 1_000_000)
        except OSError:
            pass
        assert daemon.resident_kib() - before < UNREAD_KIB
        daemon.serves()


def test_a_dribble_of_window_costs_bounded_memory(daemon, large):
    # 90 replies of 40 KB wait for windows of one byte.
    before = daemon.resident_kib()
    with Wire(daemon.port, settings={INITIAL_WINDOW: 1}) as wire:
        streams = [wire.open(GET_AGENT, large) for _ in range(90)]
        assert wire.read_until(lambda: all(len(wire.replies[stream].body) == 1 for stream in streams))
        wire.send(*(WindowUpdateFrame(stream, 1) for stream in streams))
        assert wire.read_until(lambda: all(len(wire.replies[stream].body) == 2 for stream in streams))
        assert daemon.resident_kib() - before < UNREAD_KIB


def test_answers_that_nobody_takes_are_bounded_for_a_connection():
    # 200 answers of 3 MB for a peer that reads the socket and opens no window of a stream: 600 MB, were they all kept.
    daemon = Daemon()
    try:
        with Wire(daemon.port) as wire:
            stream = wire.open(CREATE_TASK, end=False)
            assert wire.send_body(stream, frame(message(_1="large", _2=bytes(3_000_000))))
            wire.send(WindowUpdateFrame(0, WIDEST - 65_535), WindowUpdateFrame(stream, 4_000_000))
            task = fields(fields(unframed(wire.reply(stream).body)[0])[1][0])[1][0]
        before = daemon.resident_kib()
        with Wire(daemon.port, settings={INITIAL_WINDOW: 0}) as wire:
            streams = [wire.open(GET_TASK, frame(message(_1=task))) for _ in range(200)]
            # A PING would be answered before what waits in line; each stream has its headers when it was looked at.
            assert wire.read_until(lambda: all(wire.replies[stream].header_blocks for stream in streams))
            assert daemon.resident_kib() - before < 160 << 10
            refused = [stream for stream in streams if wire.replies[stream].status == RESOURCE_EXHAUSTED]
            assert 100 < len(refused) < 200, "the first are answered, the others told to read"
        daemon.serves()
    finally:
        daemon.stop()
