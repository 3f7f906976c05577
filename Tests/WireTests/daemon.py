"""The release binary as a process of its own, looked at from outside: does it live, what does it cost."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from messages import GET_AGENT, HEARTBEAT, OK, REGISTER, fields, frame, message, unframed
from machine import PATIENCE, free_ports
from wire import Wire

BINARY = os.environ.get("AGENTKEEPER_BIN") or Path(__file__).resolve().parents[2] / ".build/release/agentkeeper"

# What all tests together may add to the resident memory, in KiB. A daemon that kept what one of them sends
# (hundreds of megabytes) is far above it; 10 000 kept events and freed memory of the allocator are far below.
GROWTH_KIB = 96 << 10

LONGEST_TTL = 604_800


class Daemon:
    def __init__(self):
        self.port, self.metrics_port = free_ports(2)
        self.log = tempfile.TemporaryFile()
        command = [BINARY, "--addr", f"127.0.0.1:{self.port}", "--metrics-addr", f"127.0.0.1:{self.metrics_port}"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self.waits_for(self.accepts, "it serves")
        self.agent = self.register(message(_1="wire-tests"))
        self.first_kib = self.resident_kib()

    def accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except ConnectionRefusedError:
            return False

    def waits_for(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None and time.monotonic() < deadline, f"not so: {what}: {self.output()}"
            time.sleep(0.01)

    def output(self):
        # Not by seeking: the daemon writes through the same open file, and would go on from there.
        return os.pread(self.log.fileno(), 1 << 24, 0).decode(errors="replace")

    def register(self, card):
        """Registers an agent that needs no heartbeat while the tests run; its id."""
        with Wire(self.port) as wire:
            reply = wire.call(REGISTER, frame(message(_1=card, _2=LONGEST_TTL)))
        assert reply.status == OK, reply
        return fields(unframed(reply.body)[0])[1][0].decode()

    @property
    def heartbeat(self):
        """The body of a Heartbeat that succeeds."""
        return frame(message(_1=self.agent))

    def resident_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def metric(self, series):
        """The value of one series of /metrics, named with its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE) as reply:
            lines = reply.read().decode().splitlines()
        return float(next(line for line in lines if line.startswith(series + " ")).split()[-1])

    def cpu_seconds(self):
        """CPU time of the whole process, of threads that have ended too, by its own clock: clock_getcpuclockid(3)."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def serves(self):
        """A newcomer is served: his heartbeat is taken, and the agent is as it was registered."""
        with Wire(self.port) as wire:
            beaten = wire.call(HEARTBEAT, self.heartbeat)
            assert beaten.status == OK, f"a later client's Heartbeat failed: {beaten}"
            read = wire.call(GET_AGENT, self.heartbeat)
            assert read.status == OK, f"a later client's GetAgent failed: {read}"
            info = fields(fields(unframed(read.body)[0])[1][0])
            assert info[1] == [self.agent.encode()] and info[3] == [1], "the agent is not what it was"

    def check(self):
        """What holds after every test, whatever it did."""
        assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}: {self.output()[-4000:]}"
        self.serves()
        grown = self.resident_kib() - self.first_kib
        assert grown <= GROWTH_KIB, f"the daemon has grown by {grown} KiB"

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
