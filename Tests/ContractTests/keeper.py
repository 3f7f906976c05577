"""The daemon as the tests see it: its schema, its process, its calls.

The schema is compiled from protos/ at every run and kept in a descriptor pool of its own, so that the tests prove what
a stranger's generated client would find, and stand beside the PyPI package's modules, which declare the same names.
"""

import atexit
import functools
import os
import queue
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import grpc
import grpc_tools
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from machine import PATIENCE, Stopwatch, free_ports  # noqa: F401  (for the tests, which know this module alone)

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("AGENTKEEPER_BIN", ROOT / ".build/release/agentkeeper")).resolve()

Code = grpc.StatusCode


def compile_schema():
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "set"
        files = [str(path.relative_to(ROOT / "protos")) for path in (ROOT / "protos").rglob("*.proto")]
        include = Path(grpc_tools.__file__).parent / "_proto"
        arguments = [f"-I{ROOT / 'protos'}", f"-I{include}", "--include_imports", f"--descriptor_set_out={out}"]
        if protoc.main(["protoc", *arguments, *files]) != 0:
            raise RuntimeError("protos/ does not compile")
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


FILES = {file.name: file for file in compile_schema().file}
POOL = descriptor_pool.DescriptorPool()
for _file in FILES.values():  # in dependency order, as protoc wrote them
    POOL.Add(_file)


def message(full_name):
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))


def package_messages(*names):
    files = [POOL.FindFileByName(name) for name in names]
    return {name: message(found.full_name) for file in files for name, found in file.message_types_by_name.items()}


OUR_FILES = tuple(f"agentkeeper/v1/{name}.proto" for name in ("agentkeeper", "watch", "inspection"))
pb = SimpleNamespace(**package_messages(*OUR_FILES))
for _name in OUR_FILES:
    for _enum in POOL.FindFileByName(_name).enum_types_by_name.values():
        vars(pb).update({value.name: value.number for value in _enum.values})

# Every method of ours: its name to its descriptor. Two are called Watch; WatchService's goes by its request's name.
METHODS = {}
for _name in OUR_FILES:
    for _service in POOL.FindFileByName(_name).services_by_name.values():
        for _method in _service.methods:
            METHODS["WatchEvents" if _service.name == "WatchService" else _method.name] = _method
SERVICES = sorted({method.containing_service.full_name for method in METHODS.values()})


# For a rule that holds for every one of them.
ALL_METHODS = pytest.mark.parametrize("name", sorted(METHODS))


def path_of(method):
    return f"/{method.containing_service.full_name}/{method.name}"


class Call:
    """One method of the daemon. Its request's fields are given by name."""

    def __init__(self, channel, method):
        self.request = message(method.input_type.full_name)
        # A stream lives as long as the test that reads it, which waits for each event by itself.
        self.timeout = 10 * PATIENCE if method.server_streaming else PATIENCE
        kind = channel.unary_stream if method.server_streaming else channel.unary_unary
        self.stub = kind(
            path_of(method),
            request_serializer=self.request.SerializeToString,
            response_deserializer=message(method.output_type.full_name).FromString,
        )

    def __call__(self, timeout=..., **fields):
        return self.stub(self.request(**fields), timeout=self.timeout if timeout is ... else timeout)

    def future(self, timeout=..., **fields):
        return self.stub.future(self.request(**fields), timeout=self.timeout if timeout is ... else timeout)


class Client:
    """A connection of its own, with every call of the schema as a method: `client.AcquireLease(task_id="t", …)`."""

    def __init__(self, port, **channel_options):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options, **channel_options)
        for name, method in METHODS.items():
            setattr(self, name, Call(self.channel, method))

    def raw(self, path, request, timeout=PATIENCE, **options):
        """Sends bytes as the message, and gives the reply's bytes."""
        return self.channel.unary_unary(path)(request, timeout=timeout, **options)

    def agent(self, name="agent", ttl=3600, **card):
        return self.Register(card=dict(name=name, **card), ttl_seconds=ttl).agent_id

    def lease(self, task, agent, **fields):
        reply = self.AcquireLease(task_id=task, agent_id=agent, **fields)
        assert reply.acquired
        return reply.lease

    def close(self):
        self.channel.close()


class Watcher:
    """Reads a stream of events in the background, and hands them out in order.

    `watch.progress` comes whenever nothing else has come for some seconds, so on a busy machine at any time: only who
    asks for it is given it.
    """

    def __init__(self, call, progress=False):
        self.call = call
        self.progress = progress
        self.events = queue.Queue()
        self.error = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for event in self.call:
                if self.progress or getattr(event, "topic", None) != "watch.progress":
                    self.events.put(event)
        except grpc.RpcError as error:
            self.error = error
        self.events.put(None)

    def next(self, timeout=PATIENCE):
        """The next event, or None at the end of the stream."""
        try:
            return self.events.get(timeout=timeout)
        except queue.Empty:
            pytest.fail(f"no event within {timeout} s")

    def take(self, count):
        return [self.next() for _ in range(count)]

    def until(self, topic, timeout=PATIENCE):
        """All events up to the first of this topic, that one included."""
        seen = []
        while not seen or seen[-1].topic != topic:
            event = self.next(timeout)
            if event is None:
                pytest.fail(f"the stream ended before {topic}: {self.error}")
            seen.append(event)
        return seen

    def ended(self, timeout=PATIENCE):
        """Waits for the end, and gives the status code."""
        while self.next(timeout) is not None:
            pass
        return self.error.code() if self.error else Code.OK

    def cancel(self):
        self.call.cancel()


def send_bytes(client, name, *messages):
    """Sends these bytes as the messages of one call, and reads the reply."""
    method = METHODS[name]
    kind = client.channel.stream_stream if method.server_streaming else client.channel.stream_unary
    reply = kind(path_of(method))(iter(messages), timeout=PATIENCE)
    return list(reply) if method.server_streaming else reply


def payload(event):
    prefix = "type.googleapis.com/"
    assert event.payload.type_url.startswith(prefix)
    return message(event.payload.type_url.removeprefix(prefix)).FromString(event.payload.value)


def seconds(timestamp):
    return timestamp.seconds + timestamp.nanos / 1e9


@contextmanager
def refused(code, *texts):
    """The block's call ends with this status, and its message contains the texts."""
    with pytest.raises(grpc.RpcError) as caught:
        yield caught
    assert caught.value.code() == code, f"{caught.value.code()}: {caught.value.details()}"
    for text in texts:
        assert text in caught.value.details()


def eventually(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE} s: {what}")
        time.sleep(0.01)


class Late(Exception):
    """The machine let pass more time than a test has: what was to be shown could not be, and nothing is known."""


@contextmanager
def within(seconds):
    """What has to happen before some time of the daemon's is over. Later than that, whatever went wrong means nothing."""
    begun = time.monotonic()
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        if time.monotonic() - begun > seconds:
            raise Late from error
        raise
    if time.monotonic() - begun > seconds:
        raise Late


def again_when_late(test):
    """Begins a test anew when it was too late for what it is about; it starts its daemons by itself."""

    @functools.wraps(test)
    def patient(*arguments, **options):
        for _ in range(20):
            before = set(Daemon.running)
            try:
                return test(*arguments, **options)
            except Late:
                for daemon in Daemon.running - before:
                    daemon.process.send_signal(signal.SIGCONT)
                    daemon.stop()
        pytest.fail("this machine was too slow for it twenty times")

    return patient


def accepts(port, host="127.0.0.1"):
    """The Python package's own way of finding out whether a daemon is ready."""
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


def data_directory(arguments, environment):
    """A fresh data directory, entered into the environment, if the tests are to run with one and this daemon is not
    given its own."""
    own = "AGENTKEEPER_DATA_DIR" in environment or any(each.startswith("--data-dir") for each in arguments)
    if own or not os.environ.get("AGENTKEEPER_TEST_DATA_DIR"):
        return None
    directory = tempfile.TemporaryDirectory(prefix="agentkeeper-test-", ignore_cleanup_errors=True)
    environment["AGENTKEEPER_DATA_DIR"] = directory.name
    return directory


class Daemon:
    """A running daemon on free ports of the loopback interface, unless the arguments say otherwise.

    With AGENTKEEPER_TEST_DATA_DIR set, each has a data directory of its own, for as long as it runs. `prefix` is a
    command that starts it in place of itself, such as `setpriv`; `ports` are those of gRPC and metrics, if not any;
    `program` is a copy of the binary, for somebody who cannot get to this one.
    """

    running = set()

    def __init__(self, *arguments, environment=None, ready=True, prefix=(), ports=None, program=BINARY):
        self.port, self.metrics_port = ports or free_ports(2)
        if not arguments:
            arguments = (f"--addr=127.0.0.1:{self.port}", f"--metrics-addr=127.0.0.1:{self.metrics_port}")
        arguments = [str(each).replace("PORT", str(self.port)) for each in arguments]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTKEEPER_")}
        clean |= {name: value.replace("PORT", str(self.port)) for name, value in (environment or {}).items()}
        self.directory = data_directory(arguments, clean)
        self.log = tempfile.TemporaryFile("w+")
        command = [*prefix, program, *arguments]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=clean)
        Daemon.running.add(self)
        self.clients = []
        if ready:
            eventually(lambda: accepts(self.port) or self.process.poll() is not None, "the daemon is ready")
            assert self.process.poll() is None, f"the daemon ended:\n{self.output()}"

    def client(self, **options):
        """A new connection, in use: on one that is still being made grpcio sends what waited in any order."""
        client = Client(self.port, **options)
        client.raw("/grpc.health.v1.Health/Check", b"")
        self.clients.append(client)
        return client

    def output(self):
        """All the lines that it has written so far."""
        # Not by seeking: the daemon writes through the same open file, and would go on from there. A line that is
        # being written can be seen by half.
        return os.pread(self.log.fileno(), 1 << 24, 0).rpartition(b"\n")[0].decode()

    def wait(self, timeout=PATIENCE):
        status = self.process.wait(timeout)
        Daemon.running.discard(self)
        return status

    def stop(self, how=signal.SIGTERM):
        """Stops it, and gives the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail("the daemon does not stop")
        finally:
            for client in self.clients:
                client.close()
            if self.directory:
                self.directory.cleanup()


@atexit.register
def leave_nothing_behind():
    """A test that failed has not stopped its daemons."""
    for daemon in Daemon.running:
        daemon.process.kill()


def count_of(text, word):
    """How many lines of a text have this word in them."""
    return len([line for line in text.splitlines() if re.search(rf"\b{re.escape(word)}\b", line, re.IGNORECASE)])
