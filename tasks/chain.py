"""The stages one after the other, up to the last one wanted, with a summary at every end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prefect_torch.errors import RunFailed
from prefect_torch.results import RunSummary, StageResult
from prefect_torch.settings import load_settings
from prefect_torch.tasks.job import Job
from prefect_torch.tasks.summary import summarize
from prefect_torch.unchanged import Question, keep_answer

Chain = Callable[[Job], Iterator[StageResult]]


def run_chain(job: Job, chain: Chain) -> RunSummary:
    """Run a chain of stages and write the run's summary and report.

    Args:
        job: The run; the chain is left after `job.until`.
        chain: Yields the result of each stage as it ends.

    Raises:
        RunFailed: A stage failed; what was finished before stays in the store.
    """
    with job.store.in_use(job.run_id):
        summary = _until_the_end(job, chain)
        _keep_answer(job, summary)
        return summary


def _until_the_end(job: Job, chain: Chain) -> RunSummary:
    results: list[StageResult] = []
    try:
        for result in chain(job):
            job.store.hold(result.artifact)  # its stage may have run in another process
            results.append(result)
            if result.stage == job.until:
                break
    except Exception as error:
        summary = summarize(job, results, error)
        raise RunFailed(f"{summary.failed} failed: {error}", summary) from error
    return summarize(job, results)


def _keep_answer(job: Job, summary: RunSummary) -> None:
    """Keep what the result of running a file depends on, so that the next run can be short."""
    document, roots = job.document, job.declaration.roots
    if document is None or not document.text or document.path is None or job.origin != "file":
        return
    if len(roots["ingest"]) != 1:  # a source that is built from others must be built to be known
        return
    overrides = tuple(document.overridden.values())
    question = Question(
        document.path.resolve(), document.text, overrides, job.until, job.store, load_settings()
    )
    source = job.declaration.spec.data.source
    keep_answer(question, roots, (roots["ingest"][0], source.args), summary)


def without_prefect(job: Job) -> Iterator[StageResult]:
    """Run the stages in this process, as plain functions."""
    results: dict[str, StageResult] = {}
    for name in ("ingest", "prepare", "train", "evaluate", "promote"):
        results[name] = job.run(name, results)
        yield results[name]
