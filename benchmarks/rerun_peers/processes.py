"""Running a command as a whole process: how long it took, and how large its processes grew."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    seconds: float
    mebibytes: float
    """Peak memory of the largest process in its tree."""
    code: int
    output: str
    """The end of what it printed."""


def start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], log: str = "output.txt"
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, so that its whole tree can be killed."""
    with (folder / log).open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Ended:
    """Run a command to its end.

    The kernel counts this process's own memory as a child's until the child executes its program,
    so this process must stay small: nothing here imports numpy.
    """
    began = time.perf_counter()
    process = start(command, folder, environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    output = (folder / "output.txt").read_text(errors="replace")
    return Ended(seconds, usage.ru_maxrss * unit / 2**20, process.returncode, output[-20_000:])


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a started process and every descendant that stayed in its session."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            session = int(entry.read_text().rpartition(")")[2].split()[3])
            if session == process.pid:
                os.kill(int(entry.parent.name), signal.SIGKILL)
        except (OSError, IndexError):  # it has ended meanwhile
            continue
    process.wait()


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """Run a Prefect server with a home of its own; yield the URL of its API."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = clean_environment() | {"PREFECT_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    process = start([*command, "--host", "127.0.0.1"], folder, environment)
    url = f"http://127.0.0.1:{port}/api"
    try:
        _wait_for(f"{url}/health", process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            kill_tree(process)


def _wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the Prefect server did not start")


def clean_environment() -> dict[str, str]:
    """Return this process's environment with nothing of Prefect, and one thread for numbers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    kept.pop("PYTHONPATH", None)
    return kept | {
        "OMP_NUM_THREADS": "1",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Prefect gives up after 20 seconds otherwise, which a busy machine needs.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "150",
    }


def machine() -> str:
    """Describe what the figures were taken on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("prefect-torch", "prefect", "torch")
    )
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({model}), {platform.system()}, "
        f"Python {platform.python_version()}, {packages}; load before: {load}"
    )
