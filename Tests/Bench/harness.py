"""What the benchmarks share: servers on one core, the load generator on the other, and gRPC messages by hand."""

import atexit
import ctypes
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BINARY = HERE.parents[1] / ".build/release/agentkeeper"
LONGEST_TTL = 604_800  # seconds: agents and leases outlive the benchmark without a heartbeat
# One busy core each; a machine with one core measures both on it, and says so.
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]


# --- Protobuf and gRPC, by hand ---


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def message(**numbered):
    """message(_1="text", _2=5, _3=nested) is the protobuf message with these fields."""
    out = b""
    for name, value in numbered.items():
        number = int(name[1:])
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def frame(body):
    return b"\0" + len(body).to_bytes(4, "big") + body


REGISTER = "/agentkeeper.v1.RegistryService/Register"
ACQUIRE = "/agentkeeper.v1.LeaseService/AcquireLease"
RELEASE = "/agentkeeper.v1.LeaseService/ReleaseLease"
REGISTRATION = message(_1=message(_1="bench", _2="an agent that measures", _5="shell"), _2=LONGEST_TTL)


# --- Servers ---


def held_to(core, realtime=False):
    """What a child process does before it becomes its program: goes to its core, and ends when we are killed.

    With `realtime`, before everybody else who wants the core: see durable's --realtime."""
    libc = ctypes.CDLL(None)

    def prepare():
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        os.sched_setaffinity(0, {core})
        if realtime:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    return prepare


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process on the server's core; under callgrind if `trace` names its output."""

    def __init__(self, command, trace=None, realtime=False):
        self.port = free_port()
        self.trace = trace
        command = [str(part).replace("PORT", str(self.port)) for part in command]
        if trace:
            command = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={trace}", *command]
        self.log = open(os.memfd_create("log"), "w+b")  # no file: what a server writes to disk is measured
        prepare = held_to(SERVER_CORE, realtime)
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, preexec_fn=prepare)
        atexit.register(self.process.kill)  # when the benchmark fails halfway; an ended process is left alone
        deadline = time.monotonic() + 60
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"bench: {' '.join(command)} does not serve:\n{self.said()}")
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.002)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()

    def said(self):
        """The end of what the server has written to standard output and error."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-4000:]

    def settle(self):
        """Waits until the threads that only the start needed have gone, and their CPU time with them."""
        still = time.monotonic()
        threads = self.thread_times().keys()
        while time.monotonic() - still < 7:  # libdispatch lets an idle thread go after 5 s
            time.sleep(0.1)
            if (now := self.thread_times().keys()) != threads:
                still, threads = time.monotonic(), now

    def thread_times(self):
        """Nanoseconds on a core of each thread: the first field of its schedstat."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return {task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()}

    def peak_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])

    def measured(self, run):
        """What `run` reports, with the server's CPU time meanwhile."""
        before = self.thread_times()
        report = run()
        after = self.thread_times()
        if not before.keys() <= after.keys():
            sys.exit("bench: a thread of the server ended during a run, and its CPU time with it")
        report["cpu_us"] = sum(after[task] - before.get(task, 0) for task in after) / 1e3 / report["requests"]
        report["requests_per_second"] = report["requests"] / report["seconds"]
        return report


# --- The load generator, and its table ---


def built(folder):
    """The load generator, compiled into the folder."""
    generator = Path(folder) / "load"
    sources = sorted(HERE.glob("*.c"))
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", *sources, "-lnghttp2", "-o", generator], check=True)
    return generator


def loaded(command):
    """What the load generator reports of one run that measures nothing but itself."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True,
                          preexec_fn=held_to(CLIENT_CORE))
    if done.returncode:
        sys.exit(f"bench: {' '.join(map(str, command))} failed, so there is nothing to report")
    return json.loads(done.stdout)


def medians(reports, keys=("cpu_us", "requests_per_second", "p50_us", "p99_us")):
    return {key: statistics.median(report[key] for report in reports) for key in keys}


def row(*cells):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
