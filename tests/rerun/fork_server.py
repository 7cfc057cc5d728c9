"""Runs pipelines in processes that are new but quick to start: forks of one that imported torch.

Reads requests as JSON lines: to start a run, answered by its pid, or to wait for one, answered by
its exit status. A child has imported nothing of the project before.
"""

import importlib.metadata
import io
import itertools
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import pyarrow.dataset  # noqa: F401
import sklearn.metrics  # noqa: F401
import torch
import torchmetrics.classification  # noqa: F401
import torchvision.transforms.v2  # noqa: F401

import prefect_torch.report
import prefect_torch.tasks.chain
import prefect_torch.tasks.evaluate
import prefect_torch.tasks.ingest
import prefect_torch.tasks.prepare
import prefect_torch.tasks.promote
import prefect_torch.tasks.train  # noqa: F401
from prefect_torch.fingerprint import minor_version
from prefect_torch.pipeline import Pipeline

PATIENCE_SECONDS = 240
"""A run that takes longer hangs."""


def run(file: str, store: str, overrides: list[str], **options: Any) -> dict[str, Any]:
    told = io.StringIO()
    logging.getLogger("prefect_torch").addHandler(logging.StreamHandler(told))
    found = Pipeline.load(file).run(local=True, overrides=overrides, store=store, **options)
    return {
        "stages": {name: result.model_dump() for name, result in found.stages.items()},
        "metrics": dict(found.metrics),
        "report": str(found.report),
        "log": told.getvalue(),
        "touches": next(touches) - 1,
    }


def plan(file: str, store: str, overrides: list[str], **options: Any) -> dict[str, Any]:
    decisions = Pipeline.load(file).plan(overrides=overrides, store=store, **options)
    return {name: [found.decision, list(found.reasons)] for name, found in decisions.items()}


def pretend(versions: dict[str, str]) -> None:
    """Let packages be of other versions than they are."""
    true = importlib.metadata.version
    importlib.metadata.version = lambda name: versions.get(name) or true(name)  # type: ignore[assignment]
    minor_version.cache_clear()


touches = itertools.count(1)


def die_at(touch: int, store: str) -> None:
    """Kill this process at the so-manieth time that it touches a file of the store."""

    def look(name: str, arguments: tuple[Any, ...]) -> None:
        touched = name == "open" or name.startswith(("os.", "shutil."))
        if touched and store in str(arguments[:1]) and next(touches) == touch:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def start(request: dict[str, Any]) -> int:
    answer = Path(request.pop("answer"))
    pid = os.fork()
    if pid:
        return pid
    torch.set_num_threads(1)
    # What a child says must not reach the pipe of answers.
    os.dup2(2, 1)
    os.environ |= request.pop("environment", {})
    pretend(request.pop("versions", {}))
    die_at(request.pop("die_at", 0), request["store"])
    act = {"run": run, "plan": plan}[request.pop("act")]
    try:
        found = act(**request)
    except BaseException as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    answer.with_suffix(".half").write_text(json.dumps(found))
    answer.with_suffix(".half").replace(answer)
    os._exit(0)


def wait(pid: int) -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def serve() -> None:
    assert threading.active_count() == 1, "only a process of one thread can be forked"
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            found: Any = {"status": wait(request["wait"])}
        else:
            found = {"pid": start(request)}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    serve()
