"""A disk that fails: the first error that a write or a sync meets ends the process, and nothing later is promised."""

import random
import re
import time

import pytest

from compare import strong_key
from keeper import accepts, eventually
from lives import needs, start
from survivor import Survivor
from told import End
from world import Fault

SYNCS, WRITES = "fsync,fdatasync", "pwrite64,pwritev"

# Which of the calls of one thread fails. One that is over by then would be met by the next load.
FAULTS = [(SYNCS, "EIO", nth) for nth in (1, 2, 3, 10, 100)] + [(WRITES, "EIO", nth) for nth in (1, 3, 20, 200)]
FAULTS += [(SYNCS, "ENOSPC", 20), (SYNCS, "EDQUOT", 50)]

# Enough calls for every fault to be met.
CALLS = 20_000


def failing(calls, error, nth, record):
    """Starts the daemon so that the nth of these system calls fails, once: an error that is ignored, or tried again,
    goes unnoticed. strace is the daemon's child, so that the daemon is still ours to wait for."""
    return [
        "strace", "-D", "-f", "--seccomp-bpf", "-qq", "-ttt", "-e", "signal=none", "-o", record,
        "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={nth}",
    ]  # fmt: skip


def moment_of_failure(record):
    """When the first of them failed, by the monotonic clock."""
    line = next(line for line in record.read_text().splitlines() if "(INJECTED)" in line)
    return float(re.search(r"\d{9,}\.\d+", line)[0]) - (time.time() - time.monotonic())


@needs("strace")
@pytest.mark.parametrize(("calls", "error", "nth"), FAULTS)
def test_an_error_of_the_disk_ends_the_process_and_nothing_promised_is_lost(
    directory, tmp_path, seed, calls, error, nth
):
    survivor = Survivor(directory, random.Random(seed))
    survivor.open()
    survivor.kill(survivor.load(200))

    record = tmp_path / "strace"
    daemon = start(directory, *survivor.flags, prefix=failing(calls, error, nth, record), ready=False)
    load = serve(survivor, daemon)
    status = daemon.wait(30)
    if load:
        load.end()
        survivor.read_on(lambda event: event is None)
    failures = [line for line in daemon.output().splitlines() if re.search("CRITICAL|ERROR|fatal", line)]
    assert status > 0, f"it ended with {status}:\n{daemon.output()}"
    assert len(failures) == 1, f"not one line that says why:\n{daemon.output()}"

    failed = moment_of_failure(record)
    late = [call for call in survivor.told.calls if call.sent > failed and call.end is End.DONE and strong_key(call)]
    assert not late, f"acknowledged after the failure: {late[0]}"

    survivor.open()
    survivor.check_state(of_all=True)
    survivor.check_history()
    survivor.stop()


def serve(survivor, daemon):
    """Load on it until it ends by itself; None if it ended before it served."""
    survivor.begin = lambda directory, *flags: waited_for(daemon)
    try:
        survivor.open()
    except Ended:
        return None
    except Fault:
        # It ended while it was asked for the first time. Nothing else is an excuse.
        assert daemon.wait(30) is not None
        return None
    finally:
        survivor.begin = start
    load = survivor.load(CALLS)
    assert not load.alive(), "the failure was never met"
    return load


class Ended(Exception):
    pass


def waited_for(daemon):
    eventually(lambda: accepts(daemon.port) or daemon.process.poll() is not None, "it serves, or ends")
    if daemon.process.poll() is not None:
        raise Ended
    return daemon
