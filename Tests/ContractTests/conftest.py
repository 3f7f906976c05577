"""A daemon of its own for every test, and connections to it."""

import pytest

from keeper_fixtures import client, daemon, pytest_configure  # noqa: F401
from raw_http2 import Connection


@pytest.fixture
def raw(daemon):
    """A connection on which anything can be sent."""
    connection = Connection(daemon.port)
    yield connection
    connection.close()
