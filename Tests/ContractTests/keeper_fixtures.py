"""What the suites that talk to one daemon a test share; each conftest takes it from here."""

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
