"""The tests of the PyPI package `agentkeeper`, unmodified, against our binary: package_suite.py DIRECTORY

DIRECTORY is its unpacked source archive. The daemon runs with no flags at all, as the package's tests expect it on
7070; so this runs inside isolated.py.
"""

import os
import subprocess
import sys
from pathlib import Path

from keeper import BINARY, accepts, eventually

daemon = subprocess.Popen([BINARY])
try:
    eventually(lambda: accepts(7070), "the daemon is ready on its default port")
    # From the parent directory, so that the installed package is tested and not the source beside the tests.
    tests = Path(sys.argv[1]) / "tests"
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", tests, "-c", os.devnull, "--import-mode=importlib"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", tests], cwd="/", env=os.environ | {"AGENTKEEPER_BIN": str(BINARY)}
    )
finally:
    daemon.terminate()
    stopped = daemon.wait(10)
sys.exit(done.returncode or stopped)
