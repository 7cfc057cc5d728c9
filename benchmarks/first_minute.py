"""How long a newcomer waits: a five-task flow with no server configured, Prefect's way and ours.

`python benchmarks/first_minute.py [--repeat 3]` prints the median seconds until the flow's body
runs and until the process has ended, on a fresh and on a used PREFECT_HOME, both sides in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLOW = """
import time
from prefect import flow, get_run_logger, task

@task
def step(number):
    get_run_logger().info("step %d", number)
    return number

@flow
def five():
    print("body", time.time(), flush=True)
    return sum(step(number) for number in range(5))
"""
PREFECT = "from five import five\nfive()\n"
OURS = """
from prefect_torch.embedded_server import EmbeddedServer
from prefect_torch.prefect_settings import quiet_console, use, without_heartbeats
server = EmbeddedServer()
with use(server.api_url), server:
    from five import five
    server.wait_until_ready()
    with quiet_console(), without_heartbeats():
        five()
"""


def _run(code: str, project: Path, home: Path) -> tuple[float, float, int]:
    """Return seconds until the flow's body ran, until the end, and lines of other output."""
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    environment |= {
        "PREFECT_HOME": str(home),
        "PYTHONPATH": str(project),
        # Prefect gives up after 20 seconds otherwise, which a busy machine needs.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    ended = time.time()
    lines = done.stdout.splitlines()
    [body] = [line for line in lines if line.startswith("body ")]
    return float(body.split()[1]) - began, ended - began, len(lines) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    runs: dict[tuple[str, str], list[tuple[float, float, int]]] = {}
    with tempfile.TemporaryDirectory(prefix="first-minute-") as folder:
        project = Path(folder)
        (project / "five.py").write_text(FLOW)
        _run(OURS, project, project / "warm-up")  # fills the disk cache and compiles bytecode
        for number in range(repeat):
            for side, code in (("Prefect's own", PREFECT), ("ours", OURS)):
                home = project / f"{side}-{number}"
                for age in ("fresh", "used"):
                    runs.setdefault((age, side), []).append(_run(code, project, home))
    print(f"medians of {repeat}; {os.cpu_count()} cores")
    print("| home | server | until the flow runs | until the end | other lines printed |")
    print("|---|---|---|---|---|")
    for age in ("fresh", "used"):
        for side in ("Prefect's own", "ours"):
            body, end, lines = map(statistics.median, zip(*runs[age, side], strict=True))
            print(f"| {age} | {side} | {body:.1f} s | {end:.1f} s | {lines:.0f} |")


if __name__ == "__main__":
    main()
