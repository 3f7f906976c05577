"""A daemon of its own for every test, and its command line."""

import signal
import sys
from pathlib import Path

# The daemon as a process, and its calls, are those of the contract tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ContractTests"))

import pytest

from keeper import BINARY, Daemon
from shell import Shell

# Whoever starts the tests in the background may ignore these, and what is ignored stays so in all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
for each in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(each, signal.SIG_DFL)


def pytest_configure(config):
    if not BINARY.is_file():
        pytest.exit(f"there is no daemon at {BINARY}: run `make build`, or set AGENTKEEPER_BIN", returncode=1)


@pytest.fixture
def daemon():
    running = Daemon()
    yield running
    alive = running.process.poll() is None
    assert running.stop() == 0 and alive, f"the daemon ended by itself:\n{running.output()}"


@pytest.fixture
def client(daemon):
    return daemon.client()


@pytest.fixture
def shell(daemon):
    shell = Shell(f"127.0.0.1:{daemon.port}")
    yield shell
    shell.end()
