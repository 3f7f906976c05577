"""The tests of the PyPI package `agentkeeper`, unmodified, against our binary: package_suite.py DIRECTORY

DIRECTORY is its unpacked source archive. The daemon runs with no flags at all, as the package's tests expect it on
7070; so this runs inside isolated.py. With AGENTKEEPER_TEST_DATA_DIR set, it has a data directory, and so has each of
those that the tests start by themselves.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from keeper import BINARY, PATIENCE, accepts, eventually


def durable(directory):
    """Stands in for the binary, and gives each daemon a data directory of its own, as a script: the package starts
    daemons by the name of a file."""
    script = Path(directory) / "agentkeeper"
    script.write_text(f'#!/bin/sh\nexec "{BINARY}" --data-dir="$(mktemp -d "{directory}/XXXXXX")" "$@"\n')
    script.chmod(0o755)
    return script


scratch = tempfile.TemporaryDirectory(prefix="agentkeeper-test-", ignore_cleanup_errors=True)
binary = durable(scratch.name) if os.environ.get("AGENTKEEPER_TEST_DATA_DIR") else BINARY
daemon = subprocess.Popen([binary])
try:
    eventually(lambda: accepts(7070), "the daemon is ready on its default port")
    # From the parent directory, so that the installed package is tested and not the source beside the tests.
    tests = Path(sys.argv[1]) / "tests"
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", tests, "-c", os.devnull, "--import-mode=importlib"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", tests], cwd="/", env=os.environ | {"AGENTKEEPER_BIN": str(binary)}
    )
finally:
    daemon.terminate()
    stopped = daemon.wait(PATIENCE)
sys.exit(done.returncode or stopped)
