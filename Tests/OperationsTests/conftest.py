"""What operators deploy, against the real thing: the daemon's release binary, systemd, Prometheus."""

import sys
from pathlib import Path

# The daemon as a process, and its calls, are those of the contract tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ContractTests"))

import pytest

from keeper import BINARY, Daemon


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
