"""Daemons on a data directory: started, killed, and looked at from outside."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from keeper import BINARY, PATIENCE, Daemon, eventually
from machine import stands_still

# The file that a person reads with `sqlite3`.
DATABASE = "agentkeeper.db"

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")

# Somebody without any right: Debian's `nobody`.
NOBODY = 65534


def needs(tool):
    """Skips a test where a tool is missing that `.ci/setup test` would have installed."""
    return pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed: .ci/setup test")


def start(directory, *flags, **options):
    """A daemon on this directory."""
    fixed = ("--addr=127.0.0.1:PORT", "--metrics-addr=off", f"--data-dir={directory}")
    return Daemon(*fixed, *flags, **options)


def start_in_memory(_, *flags, **options):
    """A daemon without any directory: what these tests must find wanting."""
    environment = {"AGENTKEEPER_DATA_DIR": ""}
    return Daemon("--addr=127.0.0.1:PORT", "--metrics-addr=off", *flags, environment=environment, **options)


def kill(daemon, wait_for_clients=lambda: None):
    """The end without warning. Returns when the process is gone, and with it its lock and its port, and when the
    clients have found that out by themselves; only then are their connections closed."""
    assert daemon.process.poll() is None, f"the daemon had ended by itself:\n{daemon.output()}"
    daemon.process.kill()
    daemon.wait()
    wait_for_clients()
    assert daemon.stop() == -signal.SIGKILL


def freeze(daemon):
    """SIGSTOP, until every thread stands still: what is sent from then on is not read."""
    daemon.process.send_signal(signal.SIGSTOP)
    eventually(lambda: stands_still(daemon.process.pid), "the daemon stands still")


def run(*arguments, prefix=(), timeout=PATIENCE, environment=None):
    """Runs the binary to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTKEEPER_")}
    return subprocess.run(
        [*prefix, BINARY, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=clean | (environment or {}),
    )


def refuses_to_start(directory, *texts, prefix=(), **options):
    """The daemon ends with status 1 and one line, in which these texts are."""
    done = run("--addr=127.0.0.1:0", "--metrics-addr=off", f"--data-dir={directory}", prefix=prefix, **options)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert done.returncode == 1, f"status {done.returncode}: {lines}"
    assert len(lines) == 1, lines
    for text in texts:
        assert re.search(text, lines[0], re.IGNORECASE), f"no {text!r} in {lines[0]!r}"
    return lines[0]


def contents(directory):
    """All that is in a directory: names, kinds, rights and bytes. But for the index that SQLite keeps in shared memory:
    it is made anew by whoever opens the database, and means nothing without a process."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.name.endswith("-shm"):
            continue
        status = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_uid, status.st_size, digest)
    return found


def remaining(deadline):
    """Sleeps until a moment of the monotonic clock: for the few rules in which real time itself is what counts."""
    time.sleep(max(0, deadline - time.monotonic()))
