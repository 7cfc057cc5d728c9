"""The five stages as Prefect tasks: thin, named after the stage, handing on small references.

Each returns its final state, so that a reused stage reads `Cached` in the UI: hand it to the next
task as it is, or ask it for `.result()`. The functions behind them stand beside this file, one a
stage, and know nothing of Prefect: to import Prefect takes seconds, which a run without it
(`run --local`) need not pay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from prefect import State, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from prefect_torch.progress import listening
from prefect_torch.results import StageResult
from prefect_torch.tasks.job import Job
from prefect_torch.tasks.prefect_progress import PrefectProgress


def _stage_task(function: Callable[..., Any]) -> Any:
    """Make a task of a stage. The store is the only cache, so Prefect keeps no second one."""
    name = function.__name__
    options: Any = {"task_run_name": name, "cache_policy": NO_CACHE, "persist_result": False}
    return task(name=name, **options)(function)


def _run(job: Job, name: str, *upstream: StageResult) -> State[StageResult]:
    """Run a stage inside its task run; a reused one ends in the state `Cached`."""
    # A task called alone has no flow run that the API could keep its lines under.
    logger: Any = get_run_logger() if runtime.flow_run.id else logging.getLogger("prefect_torch")
    with PrefectProgress() as progress, listening(progress):
        result = job.run(name, {other.stage: other for other in upstream})
    logger.info(
        "%s %s (%s) in %.2f s: %s",
        name,
        result.outcome,
        "; ".join(result.reasons),
        result.seconds,
        result.path,
    )
    if result.outcome == "reused":
        return Completed(name="Cached", message="Reused from the store", data=result)
    return Completed(message="; ".join(result.reasons), data=result)


@_stage_task
def ingest(job: Job) -> State[StageResult]:
    """Read the source into canonical Parquet."""
    return _run(job, "ingest")


@_stage_task
def prepare(job: Job, ingested: StageResult) -> State[StageResult]:
    """Split, fit on the train split, encode."""
    return _run(job, "prepare", ingested)


@_stage_task
def train(job: Job, prepared: StageResult) -> State[StageResult]:
    """Train the model."""
    return _run(job, "train", prepared)


@_stage_task
def evaluate(job: Job, prepared: StageResult, trained: StageResult) -> State[StageResult]:
    """Measure the model on the test split."""
    return _run(job, "evaluate", prepared, trained)


@_stage_task
def promote(
    job: Job,
    ingested: StageResult,
    prepared: StageResult,
    trained: StageResult,
    evaluated: StageResult,
) -> State[StageResult]:
    """Put the model through the gate."""
    return _run(job, "promote", ingested, prepared, trained, evaluated)
