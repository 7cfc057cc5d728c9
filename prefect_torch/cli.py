"""The command `prefect-torch`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import sys
import traceback
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect_torch.errors import PrefectTorchError, RunFailed, SpecError

if TYPE_CHECKING:
    from prefect_torch.tasks.job import Job
    from prefect_torch.tasks.summary import RunSummary

DONE, STAGE_FAILED, SPEC_WRONG, GATE_REFUSED, INTERRUPTED = 0, 1, 2, 3, 130

app = App(
    name="prefect-torch",
    help="Declare a PyTorch training pipeline in one file; run it stage by stage; reuse what is true.",
    version=lambda: version("prefect-torch"),
    result_action="return_value",
)

Overrides = Annotated[tuple[str, ...], Parameter(name="--set", negative="")]
Force = Annotated[tuple[str, ...], Parameter(name="--force", negative="")]
Flag = Annotated[bool, Parameter(negative="")]
Json = Annotated[bool, Parameter(name="--json", negative="")]


def main() -> None:
    """Run the command line and exit with 0, 1 (failed), 2 (spec), 3 (gate) or 130 (interrupted)."""
    try:
        code = app()
    except SpecError as error:
        print(error, file=sys.stderr)
        code = SPEC_WRONG
    except PrefectTorchError as error:
        print(error, file=sys.stderr)
        code = STAGE_FAILED
    except KeyboardInterrupt:
        print("interrupted; the stages that had finished are kept", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


@app.command
def run(
    pipeline: Path,
    /,
    *,
    overrides: Overrides = (),
    force: Force = (),
    until: str | None = None,
    store: Path | None = None,
    local: Flag = False,
    json_: Json = False,
) -> int:
    """Run a pipeline's stages, reusing what is still true.

    Exit code: 0 done, 1 a stage failed, 2 the spec is wrong, 3 the promotion gate said no.

    Parameters
    ----------
    pipeline
        The pipeline file (YAML, TOML or JSON).
    overrides
        Set a field anew, as in `--set optimizer.lr=0.001`; may be repeated.
    force
        Compute this stage again whatever the store holds; may be repeated.
    until
        Stop after this stage.
    store
        Where artifacts live; the installation's store if left out.
    local
        Run without Prefect.
    json_
        Print one line of JSON at the end, everything else to standard error.
    """
    from rich.console import Console

    from prefect_torch.console import RunConsole, show_summary, summary_json
    from prefect_torch.progress import listening

    console = Console(stderr=json_)
    with ExitStack() as stack:
        launcher = None
        if not local:
            from prefect_torch.launch import Launcher

            launcher = Launcher(stack, str(pipeline), overrides, store)
        job = _job(pipeline, overrides, force, until, store)
        console.print(f"[bold]{job.declaration.spec.name}[/]  {pipeline}", highlight=False)
        try:
            with RunConsole(console) as shown, listening(shown):
                summary = launcher.run(job, console.print) if launcher else _run_here(job)
        except RunFailed as failure:
            _explain(failure)
            summary = failure.summary
    show_summary(console, summary)
    if json_:
        print(json.dumps(summary_json(summary)))
    if summary.failed:
        return STAGE_FAILED
    return GATE_REFUSED if summary.promoted is False else DONE


@app.command
def plan(
    pipeline: Path,
    /,
    *,
    overrides: Overrides = (),
    force: Force = (),
    until: str | None = None,
    store: Path | None = None,
    json_: Json = False,
) -> int:
    """Say what would run, and why, without running anything.

    Parameters
    ----------
    pipeline
        The pipeline file (YAML, TOML or JSON).
    overrides
        Set a field anew, as in `--set optimizer.lr=0.001`; may be repeated.
    force
        Plan to compute this stage again; may be repeated.
    until
        Stop after this stage.
    store
        Where artifacts live; the installation's store if left out.
    json_
        Print one line of JSON.
    """
    from rich.console import Console

    from prefect_torch.console import show_plan
    from prefect_torch.tasks.plan import make_plan

    job = _job(pipeline, overrides, force, until, store)
    decisions = make_plan(job.declaration, job.store, job.force, job.until)
    if json_:
        stages = {
            name: {"decision": decision.decision, "reasons": list(decision.reasons)}
            for name, decision in decisions.items()
        }
        print(json.dumps({"stages": stages}))
    else:
        show_plan(Console(), decisions)
    return DONE


@app.command
def validate(pipeline: Path, /, *, overrides: Overrides = ()) -> int:
    """Check a pipeline file: every mistake, each with its line and column. Reads no data.

    Parameters
    ----------
    pipeline
        The pipeline file (YAML, TOML or JSON).
    overrides
        Set a field anew, as in `--set optimizer.lr=0.001`; may be repeated.
    """
    job = _job(pipeline, overrides)
    print(f"{pipeline}: {job.declaration.spec.name} is a valid pipeline")
    return DONE


@app.command
def schema() -> int:
    """Print the JSON Schema of pipeline files, for editors to complete and check from."""
    from prefect_torch.spec import PipelineSpec

    print(json.dumps(PipelineSpec.model_json_schema(), indent=1))
    return DONE


@app.command
def show(
    pipeline: str | None = None, /, *, store: Path | None = None, json_: Json = False
) -> int:
    """Show the last run of a pipeline and its champion; without a name, all pipelines in the store.

    Parameters
    ----------
    pipeline
        Name of a pipeline, or its file.
    store
        Where artifacts live; the installation's store if left out.
    json_
        Print one line of JSON.
    """
    from rich.console import Console

    from prefect_torch.overview import overview, show_overview
    from prefect_torch.settings import load_settings
    from prefect_torch.store import Store

    found = overview(Store(store or load_settings().store), pipeline)
    if json_:
        print(json.dumps(found))
    else:
        show_overview(Console(), found)
    return DONE


@app.command
def init(folder: Path, /) -> int:
    """Write a small project that runs at once: pipeline, Module, Dataset, test, deployment.

    Parameters
    ----------
    folder
        Where to write it; nothing there is overwritten.
    """
    from prefect_torch.project import init_project

    for path in init_project(folder):
        print(path)
    print(f"now: cd {folder} && prefect-torch run pipeline.yaml")
    return DONE


def _job(
    pipeline: Path,
    overrides: tuple[str, ...],
    force: tuple[str, ...] = (),
    until: str | None = None,
    store: Path | None = None,
) -> Job:
    from prefect_torch.documents import read_document
    from prefect_torch.tasks.job import load_job

    document = read_document(pipeline).with_overrides(overrides)
    return load_job(document, "file", force=force, until=until, store=store)


def _run_here(job: Job) -> RunSummary:
    from prefect_torch.tasks.chain import run_chain, without_prefect

    return run_chain(job, without_prefect)


def _explain(failure: RunFailed) -> None:
    """Print why a stage failed; where the cause is not ours, the traceback that leads to it."""
    cause = failure.__cause__
    if cause is not None and not isinstance(cause, PrefectTorchError):
        traceback.print_exception(cause)
    print(failure, file=sys.stderr)
