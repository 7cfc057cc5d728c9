"""Runs pipelines in processes that are new but quick to start: forks of one that imported torch.

Reads requests as JSON lines. `start` forks and answers with the child's pid; `wait` waits for a
child and answers with what it left. A child has imported nothing of the project before.
"""

import io
import json
import logging
import os
import sys
import threading
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
from prefect_torch.pipeline import Pipeline


def run(file: str, store: str, overrides: list[str], **options: Any) -> dict[str, Any]:
    told = io.StringIO()
    logging.getLogger("prefect_torch").addHandler(logging.StreamHandler(told))
    found = Pipeline.load(file).run(local=True, overrides=overrides, store=store, **options)
    return {
        "stages": {name: result.model_dump() for name, result in found.stages.items()},
        "metrics": dict(found.metrics),
        "report": str(found.report),
        "log": told.getvalue(),
    }


def plan(file: str, store: str, overrides: list[str], **options: Any) -> dict[str, Any]:
    decisions = Pipeline.load(file).plan(overrides=overrides, store=store, **options)
    return {name: [found.decision, list(found.reasons)] for name, found in decisions.items()}


def start(request: dict[str, Any]) -> int:
    answer = Path(request.pop("answer"))
    pid = os.fork()
    if pid:
        return pid
    torch.set_num_threads(1)
    # What a child says must not reach the pipe of answers.
    os.dup2(2, 1)
    act = {"run": run, "plan": plan}[request.pop("act")]
    try:
        found = act(**request)
    except BaseException as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    answer.with_suffix(".half").write_text(json.dumps(found))
    answer.with_suffix(".half").replace(answer)
    os._exit(0)


def serve() -> None:
    assert threading.active_count() == 1, "only a process of one thread can be forked"
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            found: Any = {"status": os.waitstatus_to_exitcode(status)}
        else:
            found = {"pid": start(request)}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    serve()
