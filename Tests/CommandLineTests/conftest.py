"""A daemon of its own for every test, and its command line."""

import signal
import sys
from pathlib import Path

# The daemon as a process, and its calls, are those of the contract tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ContractTests"))

import pytest

from keeper_fixtures import client, daemon, pytest_configure  # noqa: F401
from shell import Shell

# Whoever starts the tests in the background may ignore these, and what is ignored stays so in all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
for each in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(each, signal.SIG_DFL)


@pytest.fixture
def shell(daemon):
    shell = Shell(f"127.0.0.1:{daemon.port}")
    yield shell
    shell.end()
