"""A connection's beginning and end: every kind of preface, idle and slow peers, those that vanish, a stop."""

import signal
import socket
import struct
import threading
import time

import pytest
from hyperframe.frame import PingFrame, SettingsFrame

from daemon import Daemon
from machine import PATIENCE, Stopwatch
from messages import CLAIM, HEARTBEAT, OK, UNAVAILABLE, WATCH, frame, message
from wire import NO_ERROR, PREFACE, Wire

# How long the daemon may bear a connection that says nothing sensible, in seconds.
HANDSHAKE_SECONDS = 20


def answer_to(port, data, seconds=PATIENCE):
    """Everything that the server sends to these bytes until it closes; fails when it does not close in time."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        answer = b""
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


# --- Beginnings ---


@pytest.mark.parametrize(
    "request_",
    [b"GET / HTTP/1.1\r\nHost: keeper\r\n\r\n",
     b"POST /agentkeeper.v1.RegistryService/Heartbeat HTTP/1.1\r\nHost: k\r\nContent-Length: 0\r\n\r\n",
     b"GET / HTTP/1.0\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: k\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n"],
    ids=["GET", "POST", "HTTP/1.0", "h2c upgrade"])
def test_http_1_gets_an_answer_of_its_own_or_is_closed_cleanly(daemon, request_):
    answer = answer_to(daemon.port, request_)
    # HTTP/1 in HTTP/1's own words, or in HTTP/2's (SETTINGS and GOAWAY), or the bare end.
    assert answer == b"" or answer.startswith(b"HTTP/1.") or answer[3:4] in (b"\x04", b"\x07")


GARBAGE = {
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(505),
    "zeros": bytes(64),
    "text": b"hello, keeper, are you there?\n\n",
    "a preface with a wrong end": PREFACE[:-4] + b"MS\r\n",
    "a preface in lower case": PREFACE.lower(),
    "HTTP/3.0": b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_http_is_closed(daemon, data):
    # RFC 9113, 3.4. 24 bytes are enough to tell.
    answer = answer_to(daemon.port, data.ljust(24, b"\r"))
    assert len(answer) < 1_000


def test_a_preface_may_take_its_time(daemon):
    with Wire(daemon.port, preface=False) as wire:
        wire.send_bytes(PREFACE[:10])
        time.sleep(0.3)
        wire.send_bytes(PREFACE[10:])
        time.sleep(0.1)
        wire.send(SettingsFrame(0))
        assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK


def test_a_connection_that_is_closed_without_a_byte_is_in_order(daemon):
    # The Python package looks in this way whether the daemon is up.
    for _ in range(200):
        socket.create_connection(("127.0.0.1", daemon.port)).close()


@pytest.mark.parametrize(
    "sent", [b"", PREFACE[:12], PREFACE, PREFACE + b"\0\0\6\4"], ids=["nothing", "half", "all", "more"])
def test_a_client_that_half_closes_early_is_let_go(daemon, sent):
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


@pytest.fixture(scope="module")
def unfinished(running):
    """Connections that stop in the middle of their beginning, opened when this file's tests begin."""
    port = running[0].port
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
    for connection, sent in zip(connections, (b"", PREFACE[:12], PREFACE[:23])):
        connection.sendall(sent)
    yield connections, time.monotonic()
    for connection in connections:
        connection.close()


def test_a_hundred_connections_may_be_open_and_idle(daemon, unfinished):
    idle = [Wire(daemon.port) for _ in range(100)]
    try:
        for wire in idle:
            assert wire.ping()
        daemon.serves()
        for wire in idle:
            assert wire.call(HEARTBEAT, daemon.heartbeat).status == OK
    finally:
        for wire in idle:
            wire.socket.close()


# --- Ends ---


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_may_vanish_in_the_middle_of_its_calls(daemon, how):
    for _ in range(10):
        wire = Wire(daemon.port)
        for _ in range(10):
            wire.open(CLAIM, frame(message(_1=daemon.agent)))
            wire.open(WATCH, frame(message()))
            wire.open(HEARTBEAT, daemon.heartbeat[:20], end=False)
        if how == "reset":
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.socket.close()


def test_a_client_that_only_closes_its_side_still_gets_its_answers(daemon, wire):
    stream = wire.open(HEARTBEAT, daemon.heartbeat)
    wire.socket.shutdown(socket.SHUT_WR)
    wire.acknowledge = False
    # The answer that was under way, or the end of the connection; never a hang.
    wire.read_until(lambda: wire.replies[stream].done or wire.closed)
    assert wire.replies[stream].done or wire.closed


def test_a_client_may_say_goodbye_and_still_get_its_answer(daemon, wire):
    stream = wire.open(HEARTBEAT, daemon.heartbeat, end=False)
    wire.send_bytes(b"\0\0\x08\x07\0\0\0\0\0" + bytes(8))
    wire.send(wire.data_frame(stream, b"", end=True))
    assert wire.reply(stream).status == OK


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_is_in_flight_and_says_goodbye_in_two_steps(signal_):
    # A daemon of its own is told to stop while one call waits, one streams and one is half sent.
    daemon = Daemon()
    try:
        with Wire(daemon.port) as wire:
            waiting = wire.open(CLAIM, frame(message(_1=daemon.agent)))
            watching = wire.open(WATCH, frame(message()))
            sending = wire.open(HEARTBEAT, daemon.heartbeat[:20], end=False)
            assert wire.ping()
            watch = Stopwatch(daemon.process)
            daemon.process.send_signal(signal_)
            assert wire.read_until(lambda: wire.goaways), "no GOAWAY"
            # RFC 9113, 6.8: the first names the highest stream there can be, so that none on its way is lost.
            first = wire.goaways[0]
            assert (first.last_stream_id, first.error_code) == ((1 << 31) - 1, NO_ERROR)
            wire.send(wire.data_frame(sending, daemon.heartbeat[20:], end=True))
            assert wire.reply(sending).status == OK, "a call in flight was not finished"
            assert wire.reply(waiting).status == UNAVAILABLE
            assert wire.reply(watching).status == UNAVAILABLE
            assert wire.read_to_end(), "the connection was left open"
            last = wire.goaways[-1]
            assert len(wire.goaways) >= 2 and sending <= last.last_stream_id < (1 << 31) - 1
            assert last.error_code == NO_ERROR
        status, seconds = watch.until_end()
        assert status == 0 and seconds < 5
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", daemon.port))
    finally:
        daemon.stop()


def test_a_stop_does_not_wait_for_those_who_will_not_leave():
    daemon = Daemon()
    try:
        with Wire(daemon.port) as silent, Wire(daemon.port, settings={4: 0}) as unread, \
                Wire(daemon.port, preface=False) as unfinished:
            silent.open(HEARTBEAT, daemon.heartbeat[:20], end=False)
            unread.open(HEARTBEAT, daemon.heartbeat)
            unfinished.send_bytes(PREFACE[:12])
            assert silent.ping() and unread.ping()
            watch = Stopwatch(daemon.process)
            daemon.terminate()
            status, seconds = watch.until_end()
            assert status == 0 and seconds < 5, "within five seconds, whoever is connected"
    finally:
        daemon.stop()


def test_calls_that_arrive_while_the_daemon_stops_are_answered_or_refused_and_none_is_lost():
    daemon = Daemon()
    try:
        with Wire(daemon.port) as wire:
            assert wire.ping()
            threading.Timer(0.1, daemon.terminate).start()
            streams = []
            try:
                while not wire.closed and not wire.goaways and len(streams) < 100_000:
                    streams.append(wire.open(HEARTBEAT, daemon.heartbeat))
                    wire.read_until(lambda: wire.replies[streams[-1]].done or wire.goaways)
            except OSError:
                pass
            assert wire.goaways, "closed without a word"
            wire.read_to_end()
            limit = wire.goaways[-1].last_stream_id
            for stream in streams:
                if stream <= limit:
                    assert wire.replies[stream].status in {OK, UNAVAILABLE}, "the last GOAWAY said it was taken in"
        assert daemon.process.wait(PATIENCE) == 0
    finally:
        daemon.stop()


def test_a_beginning_that_never_ends_is_given_up(daemon, unfinished):
    # Half a preface holds a connection for nothing. It stands last: the others' time is its waiting time.
    connections, since = unfinished
    for connection in connections[1:]:
        connection.settimeout(max(0.1, since + HANDSHAKE_SECONDS - time.monotonic()))
        try:
            while connection.recv(65_536):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            pytest.fail(f"half a preface was borne for {HANDSHAKE_SECONDS} s")


def test_a_call_that_would_wait_is_told_when_it_comes_while_the_daemon_stops():
    daemon = Daemon()
    try:
        with Wire(daemon.port) as wire:
            take, held = wire.take, []
            # The ping that follows the first GOAWAY is answered late, as by a client that is far away.
            wire.take = lambda each: held.append(each) if isinstance(each, PingFrame) else take(each)
            first = wire.open(CLAIM, frame(message(_1=daemon.agent)))
            wire.send(PingFrame(0, b"are you?"))
            wire.read_until(lambda: held)
            held.clear()
            wire.open(CLAIM, end=False)  # Without a call on its way in the connection would be left soon, being idle.
            daemon.terminate()
            wire.read_until(lambda: wire.replies[first].done and held)
            late = [wire.open(CLAIM, frame(message(_1=daemon.agent))), wire.open(WATCH, frame(b""))]
            wire.read_until(lambda: all(wire.replies[stream].done for stream in late))
            assert [wire.replies[stream].status for stream in [first, *late]] == [UNAVAILABLE] * 3
    finally:
        daemon.stop()
