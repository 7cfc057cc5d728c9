"""Retrain: ingest → prepare → train → evaluate → promote, each a Prefect task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from prefect import State, flow, runtime
from prefect.states import Completed

from prefect_torch.documents import read_document
from prefect_torch.results import RunSummary, StageResult
from prefect_torch.tasks.chain import run_chain
from prefect_torch.tasks.job import Job, load_job
from prefect_torch.tasks.prefect_artifacts import show_results
from prefect_torch.tasks.prefect_tasks import evaluate, ingest, prepare, promote, train

StageName = Literal["ingest", "prepare", "train", "evaluate", "promote"]
_given: ContextVar[Job | None] = ContextVar("given", default=None)


def _run_name() -> str:
    """Name a run after its pipeline."""
    job = _given.get()
    if job is not None:
        return job.declaration.spec.name
    return Path(str(runtime.flow_run.parameters.get("pipeline", "pipeline"))).stem


@flow(name="retrain", flow_run_name=_run_name, persist_result=False)
def retrain(
    pipeline: str = "pipeline.yaml",
    overrides: list[str] | None = None,
    force: list[StageName] | None = None,
    until: StageName | None = None,
    store: str | None = None,
) -> State[RunSummary]:
    """Run a pipeline's stages, reusing what is still true.

    Args:
        pipeline: Path of the pipeline file.
        overrides: Fields to set anew, such as `optimizer.lr=0.001`.
        force: Stages to compute again whatever the store holds.
        until: The last stage to run.
        store: Where artifacts live; empty for the installation's store.
    """
    job = _given.get() or _from_form(pipeline, overrides or (), force or (), until, store)
    summary = run_chain(job.with_run_id(str(runtime.flow_run.id)), _stages)
    show_results(summary)
    if summary.promoted is False:
        told = f"Not promoted: {'; '.join(summary.gate)}"
        return Completed(name="NotPromoted", message=told, data=summary)
    return Completed(data=summary)


def _stages(job: Job) -> Iterator[StageResult]:
    """The pipeline, as the run graph shows it; a task is handed the result of a state."""
    yield (ingested := ingest(job)).result()
    yield (prepared := prepare(job, ingested)).result()
    yield (trained := train(job, prepared)).result()
    yield (evaluated := evaluate(job, prepared, trained)).result()
    yield promote(job, ingested, prepared, trained, evaluated).result()


def _from_form(
    pipeline: str, overrides: Any, force: Any, until: str | None, store: str | None
) -> Job:
    """Make a job of what came through a form or the API.

    A pipeline file may import the modules beside it only where it lies in the deployment's own
    working directory: a form is no way to import what the installation did not bring.
    """
    path = Path(pipeline).resolve()
    document = read_document(path).with_overrides(overrides)
    origin: Literal["file", "form"] = "file" if path.is_relative_to(Path.cwd()) else "form"
    return load_job(document, origin, force=force, until=until, store=store or None)


@contextmanager
def given(job: Job) -> Iterator[None]:
    """Let `retrain` run this job instead of reading its parameters (for a run in this process)."""
    token = _given.set(job)
    try:
        yield
    finally:
        _given.reset(token)
