"""What survives: the release binary with a data directory, killed, stopped, starved of space, and lied to.

Everything here is black box: what clients were told, compared with what is there afterwards. AGENTKEEPER_SEED repeats a
run with its random choices, as far as threads and a killed process can be repeated at all.
"""

import os
import random
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ContractTests"))

from keeper import BINARY  # noqa: E402


def pytest_configure(config):
    if not BINARY.is_file():
        pytest.exit(f"there is no daemon at {BINARY}: run `make build`, or set AGENTKEEPER_BIN", returncode=1)
    # A client of a load that ends in its thread by an error of its own would go unseen.
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")


def pytest_make_parametrize_id(config, val, argname):
    return f"seed {val}" if argname == "nth_seed" else None


@pytest.fixture
def seed():
    """Printed with every failure, as pytest does with what a failed test has written."""
    given = int(os.environ.get("AGENTKEEPER_SEED") or random.SystemRandom().getrandbits(32))
    print(f"AGENTKEEPER_SEED={given}")
    return given


@pytest.fixture
def directory():
    """A data directory that does not exist yet. Not pytest's own: a failed run would leave hundreds of megabytes."""
    with tempfile.TemporaryDirectory(prefix="agentkeeper-crash-", ignore_cleanup_errors=True) as parent:
        yield Path(parent) / "data"
