"""What operators deploy, against the real thing: the daemon's release binary, systemd, Prometheus."""

import sys
from pathlib import Path

# The daemon as a process, and its calls, are those of the contract tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ContractTests"))

from keeper_fixtures import client, daemon, pytest_configure  # noqa: F401
