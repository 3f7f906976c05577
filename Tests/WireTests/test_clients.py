"""Clients that others wrote: curl, nghttp, h2load and grpcio, each as a person would use it."""

import socket
import subprocess
import threading

import grpc
import pytest
from daemon import LONGEST_TTL
from h2.connection import H2Connection
from h2.events import ResponseReceived, TrailersReceived

from machine import PATIENCE
from messages import ACQUIRE, CLAIM, GET_AGENT, HEARTBEAT, REGISTER, REGISTRY, WATCH, fields, frame, message

GRPC_FIELDS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, timeout=PATIENCE)


@pytest.fixture
def body(daemon, tmp_path):
    path = tmp_path / "body"
    path.write_bytes(daemon.heartbeat)
    return path


@pytest.fixture
def channel(daemon):
    # Without a subchannel of its own each channel would share grpcio's one connection.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", 16 << 20)]
    with grpc.insecure_channel(f"127.0.0.1:{daemon.port}", options=options) as channel:
        yield channel


def test_curl_makes_a_call(daemon, body, tmp_path):
    url = f"http://127.0.0.1:{daemon.port}{HEARTBEAT}"
    headers = tmp_path / "headers"
    done = run("curl", "-sS", "--http2-prior-knowledge", *GRPC_FIELDS, "--data-binary", f"@{body}", "-D", headers, url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == frame(b"")
    assert headers.read_text().startswith("HTTP/2 200") and "grpc-status: 0" in headers.read_text()


def test_curl_gets_405_for_a_get_and_415_for_json(daemon):
    url = f"http://127.0.0.1:{daemon.port}{HEARTBEAT}"
    status = ["-s", "-o", "/dev/null", "-w", "%{http_code}"]
    assert run("curl", "--http2-prior-knowledge", *status, url).stdout == b"405"
    # Without a body: curl before 8.0 loses an answer that comes before it has sent one whole.
    json = run("curl", "--http2-prior-knowledge", *status, "-H", "content-type: application/json", "-X", "POST", url)
    assert json.stdout == b"415"


def test_nghttp_makes_a_call(daemon, body):
    done = run("nghttp", "-v", "-d", body, *GRPC_FIELDS, f"http://127.0.0.1:{daemon.port}{HEARTBEAT}")
    assert done.returncode == 0
    assert b":status: 200" in done.stdout and b"grpc-status: 0" in done.stdout


def test_nghttp_makes_a_call_with_padding_and_a_trailer(daemon, body):
    done = run("nghttp", "-v", "-b200", "--trailer", "x-sum: 1", "-d", body, *GRPC_FIELDS,
               f"http://127.0.0.1:{daemon.port}{HEARTBEAT}")
    assert done.returncode == 0 and b"grpc-status: 0" in done.stdout


@pytest.mark.parametrize("shape", [("-c1", "-m1"), ("-c8", "-m32"), ("-c2", "-m100")])
def test_h2load_has_no_failure(daemon, body, shape):
    url = f"http://127.0.0.1:{daemon.port}{HEARTBEAT}"
    done = run("h2load", *shape, "-n5000", "-d", body, *GRPC_FIELDS, url)
    assert b"5000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout
    assert b"5000 2xx" in done.stdout


def test_h2_finds_nothing_wrong_with_what_the_daemon_sends(daemon):
    # The package h2 raises at any frame that breaks RFC 9113.
    client, found = H2Connection(), {}
    client.initiate_connection()
    calls = {HEARTBEAT: daemon.heartbeat, GET_AGENT: frame(message(_1="0" * 32)), REGISTRY + "Reboot": b""}
    for stream, (path, body) in zip((1, 3, 5), calls.items()):
        client.send_headers(stream, [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "keeper"),
            ("content-type", "application/grpc"), ("te", "trailers")])
        client.send_data(stream, body, end_stream=True)
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE) as connection:
        connection.sendall(client.data_to_send())
        while len(found) < len(calls):
            data = connection.recv(65_536)
            assert data, "closed before all was answered"
            for event in client.receive_data(data):
                if isinstance(event, (ResponseReceived, TrailersReceived)):
                    found.update((event.stream_id, value) for name, value in event.headers if name == b"grpc-status")
            connection.sendall(client.data_to_send())
    assert found == {1: b"0", 3: b"5", 5: b"12"}


# --- grpcio, with messages as bytes ---


def test_grpcio_makes_a_call(daemon, channel):
    assert channel.unary_unary(HEARTBEAT)(message(_1=daemon.agent), timeout=PATIENCE) == b""


def test_grpcio_sees_the_code_and_the_text_of_an_error(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(GET_AGENT)(message(_1="naïve 日本 100%"), timeout=PATIENCE)
    assert error.value.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}
    assert "naïve 日本 100%" in error.value.details()


def test_grpcio_sends_compressed_messages_and_reads_compressed_replies(daemon, channel):
    agent = daemon.register(message(_1="wire-large", _2="abcdefgh" * 5_000))
    reply = channel.unary_unary(GET_AGENT)(message(_1=agent), timeout=PATIENCE, compression=grpc.Compression.Gzip)
    assert len(reply) > 40_000


def test_grpcio_gets_deadline_exceeded_and_the_connection_lives_on(daemon, channel):
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(CLAIM)(message(_1=daemon.agent), timeout=0.1)
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert channel.unary_unary(HEARTBEAT)(message(_1=daemon.agent), timeout=PATIENCE) == b""


def test_grpcio_may_cancel_a_stream_and_a_waiting_call(daemon, channel):
    stream = channel.unary_stream(WATCH)(message())
    stream.initial_metadata()
    waiting = channel.unary_unary(CLAIM).future(message(_1=daemon.agent))
    stream.cancel()
    waiting.cancel()
    assert channel.unary_unary(HEARTBEAT)(message(_1=daemon.agent), timeout=PATIENCE) == b""


def test_grpcio_watches_and_registers_without_waiting(channel):
    # On a connection that is not there yet, grpcio sends queued calls in an order of its own.
    grpc.channel_ready_future(channel).result(timeout=PATIENCE)
    stream = channel.unary_stream(WATCH)(message(_1="agent."), timeout=PATIENCE)
    reply = channel.unary_unary(REGISTER)(message(_1=message(_1="wire-watched"), _2=LONGEST_TTL), timeout=PATIENCE)
    agent = fields(reply)[1][0]
    event = fields(next(stream))
    assert event[1] == [b"agent.registered"]
    assert fields(fields(event[2][0])[2][0])[1] == [agent]
    stream.cancel()


def test_grpcio_is_told_that_five_mebibytes_are_too_much(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(HEARTBEAT)(bytes(5 << 20), timeout=PATIENCE)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_grpcio_is_told_that_a_method_is_unimplemented(channel):
    for path in (REGISTRY + "Reboot", "/no.such.Service/Call"):
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(path)(b"", timeout=PATIENCE)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_grpcio_sends_a_stream_of_one_message_to_a_unary_call(daemon, channel):
    # On the wire a call of one request is the same whatever the client calls it.
    assert channel.stream_unary(HEARTBEAT)(iter([message(_1=daemon.agent)]), timeout=PATIENCE) == b""


def test_grpcio_sends_metadata_of_every_kind(daemon, channel):
    metadata = [("trace-bin", bytes(range(256))), ("empty-bin", b""), ("plain", "yes"), ("plain", "twice")]
    assert channel.unary_unary(HEARTBEAT)(message(_1=daemon.agent), timeout=PATIENCE, metadata=metadata) == b""


def test_threads_of_grpcio_that_race_for_a_lease_have_one_winner(daemon, channel):
    call, won = channel.unary_unary(ACQUIRE), []

    def race():
        reply = fields(call(message(_1="wire-race", _2=daemon.agent, _3=60), timeout=PATIENCE))
        won.append(reply.get(2) == [1])

    threads = [threading.Thread(target=race) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 19 + [True]
