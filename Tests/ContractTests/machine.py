"""The machine that the tests run on: it is shared, and may be slow. What is proven here must not depend on how slow."""

import collections
import os
import socket
import threading
import time
from pathlib import Path

# How long anything may take that should take no time, in seconds: only a hanging daemon meets it, however little of its
# time the machine has for us.
PATIENCE = 60

# Sockets that keep a port from everybody else: bound and not listening. The kernel gives such a port to nobody who asks
# for any, and to no outgoing connection, but lets a daemon listen on it, which says SO_REUSEADDR as these do. Without
# them a port that was found free could be taken by another program before the daemon came to it, or while it is down
# between two lives. The newest are kept: as many as one test can need, and few enough for a process's open files.
_held = collections.deque(maxlen=256)


def free_ports(count):
    """Ports that nobody listens on, nor will, but for whom they are told to."""
    opened = [socket.socket() for _ in range(count)]
    for each in opened:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.bind(("127.0.0.1", 0))
    _held.extend(opened)
    return [each.getsockname()[1] for each in opened]


def read(path):
    """A file of /proc; nothing when it is gone with its thread."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stands_still(pid):
    """Whether every thread of a process that was sent SIGSTOP has come to a stop."""
    states = [read(stat).rpartition(") ")[2][:1] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {state for state in states if state} == {"T"}


def withheld(pid):
    """For how long, in seconds and until now, a process was ready to run and the machine had something else to do: its
    threads' waiting for a processor (Documentation/scheduler/sched-stats.rst), and what a hypervisor took from all."""
    stolen = int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
    return waits(pid) + stolen / os.sysconf("SC_CLK_TCK")


def waits(pid):
    """For how long, in seconds and until now, the threads of a process have waited for a processor."""
    threads = [read(thread / "schedstat").split() for thread in Path(f"/proc/{pid}/task").glob("*")]
    return sum(int(words[1]) for words in threads if words) / 1e9


def waits_of_children():
    """The same of all processes that this one started, and that those did: pid → seconds."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        if fields := read(stat).rpartition(") ")[2].split():
            parents[int(stat.parent.name)] = int(fields[1])
    found, known = set(), {os.getpid()}
    while known:
        known = {pid for pid, parent in parents.items() if parent in known}
        found |= known
    return {pid: waits(pid) for pid in found}


# How long before its `expires_at` a lease may run out, in seconds: the stamp is read a moment after the clock that counts.
STAMPED = 0.005


class Pulse(threading.Thread):
    """Wants to run every 10 ms, and adds up by how much it came late: how long the machine had no processor for those
    who were due. That much, and no more, is forgiven to whoever else was due meanwhile, several processes together."""

    STEP = 0.01

    def __init__(self):
        super().__init__(daemon=True)
        self.late = 0
        self.ended = threading.Event()
        self.start()

    def run(self):
        due = time.monotonic()
        while not self.ended.is_set():
            due += self.STEP
            time.sleep(max(0, due - time.monotonic()))
            late = max(0, time.monotonic() - due)
            self.late += late
            due += late


class Stopwatch:
    """Measures a promise of so many seconds by the time that the machine left to the process which has to keep it."""

    def __init__(self, process):
        self.process = process
        self.begun = self.seen = time.monotonic()
        self.withheld = self.before = withheld(process.pid)

    def look(self):
        """Whether it still runs. For how long it did is known up to the last look that found it."""
        seen, amount = time.monotonic(), withheld(self.process.pid)
        if self.process.poll() is not None:
            return False
        self.seen, self.withheld = seen, amount
        return True

    @property
    def allowance(self):
        """How late it may be for what was withheld from it, in seconds."""
        return self.withheld - self.before

    def until_end(self):
        """Waits for the end of the process, and gives its status and the seconds."""
        while self.look() and self.seen - self.begun < PATIENCE:
            time.sleep(0.01)
        return self.process.poll(), self.seen - self.begun - self.allowance
