"""One daemon for all tests; after each of them it has to live, to serve and to have stayed small.

AGENTKEEPER_BIN names the binary; without it the release build is taken. From PyPI: pytest, grpcio, h2 (with hyperframe
and hpack); from Debian: curl, nghttp2-client.
"""

import sys
from pathlib import Path

import pytest

# What the machine is like is the same for all suites.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ContractTests"))

from daemon import Daemon
from wire import Wire


@pytest.fixture(scope="session")
def running():
    """The daemon that runs, in a list: one that a test has harmed is replaced for the next."""
    holder = [Daemon()]
    yield holder
    holder[0].stop()


@pytest.fixture(autouse=True)
def daemon(running):
    yield running[0]
    try:
        running[0].check()
    except BaseException:
        running[0].stop()
        running[0] = Daemon()
        raise


@pytest.fixture
def wire(daemon):
    with Wire(daemon.port) as connection:
        yield connection
