"""A disk that fails: the first error that a write or a sync meets ends the process, and nothing later is promised."""

import random
import re
import threading
import time
from pathlib import Path

import grpc
import pytest

from compare import strong_key
from keeper import accepts, eventually
from lives import DATABASE, needs, start
from machine import read, withheld
from survivor import Survivor
from told import End
from world import Fault

SYNCS, WRITES = "fsync,fdatasync", "pwrite64,pwritev"

ALL = f"{SYNCS},{WRITES}"

# Which of the calls of one thread fails, in the whole directory or on one file of it: some at the start, some in what
# brings the log into the database. One that is over by then would be met by the next load. SQLite itself takes no
# notice when its fdatasync of the directory fails; the daemon does of its own fsync, which follows.
FAULTS = [("fdatasync", "EIO", 1, None), (SYNCS, "EIO", 2, f"{DATABASE}-wal"), ("fsync", "EIO", 1, None)]
FAULTS += [(SYNCS, error, nth, f"{DATABASE}-wal") for error, nth in (("EIO", 1), ("EDQUOT", 1), ("ENOSPC", 2))]
FAULTS += [(WRITES, "EIO", nth, None) for nth in (1, 3, 20, 200)] + [(WRITES, "EIO", 30, f"{DATABASE}-wal")]

# Those of the thread that commits, on the segments of the log that it begins with: on how many commits come to lie
# depends on how soon the first comes. Their preparation, by another thread, takes fewer of them.
COMMIT_FAULTS = [(3, 1), (4, 1), (51, 7), (300, 7)]

# Enough calls for every fault to be met.
CALLS = 20_000

# How long the process may outlive the failure, in seconds, but for what the machine withholds from it: it ends at once.
AT_ONCE = 1


def failing(calls, error, nth, record, *options):
    """Starts the daemon so that the nth of these system calls fails, once: an error that is ignored, or tried again,
    goes unnoticed. strace is the daemon's child, so that the daemon is still ours to wait for."""
    return [
        "strace", "-D", "-f", "-y", *options, "-qq", "-ttt", "-e", "signal=none", "-o", record,
        "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={nth}",
    ]  # fmt: skip


def moment_of_failure(record):
    """When the first of them failed, by the monotonic clock."""
    line = next(line for line in record.read_text().splitlines() if "(INJECTED)" in line)
    print(line)
    return float(re.search(r"\d{9,}\.\d+", line)[0]) - (time.time() - time.monotonic())


@needs("strace")
@pytest.mark.parametrize(("calls", "error", "nth", "file"), FAULTS)
def test_an_error_of_the_disk_ends_the_process_at_once_and_nothing_promised_is_lost(
    directory, tmp_path, seed, calls, error, nth, file
):
    """Wherever it is met. What is brought into the database was durable before, in the log: so another thread may
    still acknowledge a change in the moment in which this one ends the process."""
    survivor = used(directory, seed)
    record = tmp_path / "strace"
    waits = meets(survivor, failing(calls, error, nth, record, *(["-P", directory / file] if file else ["--seccomp-bpf"])))
    failed = moment_of_failure(record)
    late = acknowledged_after(survivor, failed + AT_ONCE + waits.since(failed))
    assert not late, f"the process lived on after the failure: {late[0]}"
    is_whole(survivor)


@needs("strace")
@pytest.mark.parametrize(("nth", "segments"), COMMIT_FAULTS)
def test_after_a_commit_that_failed_nothing_is_acknowledged(directory, tmp_path, seed, nth, segments):
    """Whether the write or the sync failed: what is on disk is no longer known."""
    survivor = used(directory, seed)
    last = max(int(path.suffix[1:]) for path in directory.glob("log.*"))
    paths = [directory / f"log.{last + 1 + number:010}" for number in range(segments)]
    record = tmp_path / "strace"
    meets(survivor, failing(ALL, "EIO", nth, record, *(option for path in paths for option in ("-P", path))))
    late = acknowledged_after(survivor, moment_of_failure(record))
    assert not late, f"acknowledged after the failure: {late[0]}"
    is_whole(survivor)


def used(directory, seed):
    """A directory on which a daemon was killed."""
    survivor = Survivor(directory, random.Random(seed))
    survivor.open()
    survivor.kill(survivor.load(200))
    return survivor


class Waits:
    """Looks at what the machine withholds from a process, and from strace, without which it can't end, until it has."""

    def __init__(self, process):
        self.process, self.seen = process, [(time.monotonic(), 0)]
        self.thread = threading.Thread(target=self.look_on)
        self.thread.start()

    def look_on(self):
        while self.process.poll() is None:
            tracer = re.search(r"TracerPid:\t(\d+)", read(Path(f"/proc/{self.process.pid}/status")))
            self.seen.append((time.monotonic(), withheld(self.process.pid) + withheld(tracer[1] if tracer else 0)))
            time.sleep(0.01)

    def since(self, moment):
        self.thread.join()
        before = [amount for then, amount in self.seen if then <= moment]
        # The last look may have come when the process was gone, and what was known of it.
        return max(amount for _, amount in self.seen) - before[-1]


def meets(survivor, prefix):
    """A daemon under load, until the failure ends it: with one line that says why. What the machine withheld from it."""
    daemon = start(survivor.directory, *survivor.flags, prefix=prefix, ready=False)
    waits = Waits(daemon.process)
    load = serve(survivor, daemon)
    status = daemon.wait()
    if load:
        load.wait()
        survivor.read_on(lambda event: event is None)
    daemon.stop()
    # Lines about events are the agents' story, in which tasks fail as well.
    lines = [line for line in daemon.output().splitlines() if " sequence=" not in line]
    failures = [line for line in lines if re.search("CRITICAL|ERROR|fatal|failed", line)]
    assert status == 1, f"it ended with {status}:\n{daemon.output()}"
    assert len(failures) == 1, f"not one line that says why:\n{daemon.output()}"
    assert str(survivor.directory) in failures[0], f"it does not say where: {failures[0]}"
    return waits


def acknowledged_after(survivor, moment):
    return [call for call in survivor.told.calls if call.sent > moment and call.end is End.DONE and strong_key(call)]


def is_whole(survivor):
    survivor.open()
    survivor.check_state(of_all=True)
    survivor.check_history()
    survivor.stop()


def serve(survivor, daemon):
    """Load on it until it ends by itself; None if it ended before it served."""
    survivor.begin = lambda directory, *flags: waited_for(daemon)
    try:
        survivor.open()
        load = survivor.load(CALLS)
    except Ended:
        return None
    except (Fault, grpc.RpcError):
        # It ended while it was asked for the first time. Nothing else is an excuse.
        assert daemon.wait() is not None
        return None
    finally:
        survivor.begin = start
    assert not load.alive(), "the failure was never met"
    return load


class Ended(Exception):
    pass


def waited_for(daemon):
    eventually(lambda: accepts(daemon.port) or daemon.process.poll() is not None, "it serves, or ends")
    if daemon.process.poll() is not None:
        raise Ended
    return daemon
