"""What every test may rely on: its own Prefect home, no network, its working directory kept."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before anything imports Prefect: nothing of the person's own profile, server or settings counts.
for _name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[_name]
_home = tempfile.TemporaryDirectory(prefix="prefect-torch-tests-", ignore_cleanup_errors=True)
os.environ |= {
    "PREFECT_HOME": _home.name,
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "Agg",
}

LOCAL_HOSTS = ("::1", "localhost", "0.0.0.0")


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Let a test reach this machine alone (a Unix socket has a path, not a host)."""
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host = arguments[1][0]
    if isinstance(host, str) and host not in LOCAL_HOSTS and not host.startswith("127."):
        raise PermissionError(f"a test tried to connect to {host}; tests use no network")


def pytest_configure() -> None:
    sys.addaudithook(_refuse_network)


def pytest_unconfigure() -> None:
    _home.cleanup()


@pytest.fixture(autouse=True)
def _working_directory_is_kept() -> Iterator[None]:
    before = Path.cwd()
    yield
    os.chdir(before)
