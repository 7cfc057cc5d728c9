"""The command `prefect-torch`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import atexit
import gc
import json
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter

from prefect_torch.errors import PrefectTorchError, RunFailed, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from prefect_torch.documents import Document
    from prefect_torch.launch import Launcher
    from prefect_torch.results import RunSummary
    from prefect_torch.tasks.job import Job

DONE, STAGE_FAILED, SPEC_WRONG, GATE_REFUSED, INTERRUPTED = 0, 1, 2, 3, 130

app = App(
    name="prefect-torch",
    help="Declare a PyTorch training pipeline in one file; run it stage by stage; "
    "reuse what is still true.",
    help_format="markdown",
    version=lambda: version("prefect-torch"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

StageName = Literal["ingest", "prepare", "train", "evaluate", "promote"]
PipelineFile = Annotated[Path, Parameter(help="The pipeline file: YAML, TOML or JSON.")]
Overrides = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        negative="",
        show_default=False,
        help="Set a field anew: `--set optimizer.lr=0.001`. May be repeated.",
    ),
]
Force = Annotated[
    tuple[StageName, ...],
    Parameter(
        name="--force",
        negative="",
        show_default=False,
        help="Compute this stage again, whatever the store holds. May be repeated.",
    ),
]
Until = Annotated[StageName | None, Parameter(help="Stop after this stage.")]
StorePath = Annotated[
    str | None,
    Parameter(help="Folder that artifacts live in; the installation's store if left out."),
]
Local = Annotated[bool, Parameter(negative="", show_default=False, help="Run without Prefect.")]
Verify = Annotated[
    bool,
    Parameter(
        negative="",
        show_default=False,
        help="Read every reused artifact whole, also large ones that were checked before.",
    ),
]
Json = Annotated[
    bool,
    Parameter(
        name="--json",
        negative="",
        show_default=False,
        help="Print one line of JSON, and all else to standard error.",
    ),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with 0, 1 (failed), 2 (spec), 3 (gate) or 130 (interrupted).

    Args:
        arguments: What follows the command's name; None for this process's own.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    gc.disable()  # a third of the time of importing torch; `_job` turns it on again
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = STAGE_FAILED
    except (Exception, KeyboardInterrupt) as error:
        code = _told(error, tokens)
    finally:
        gc.unfreeze()
        gc.enable()
    if arguments is None and "torch" in sys.modules:
        _leave(code or DONE)
    sys.exit(code or DONE)


def _leave(code: int) -> NoReturn:
    """End the process in order, but without taking apart what was imported: torch alone costs 1 s.

    The same steps in which multiprocessing ends its processes.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _told(error: BaseException, tokens: Sequence[str]) -> int:
    """Say what ended a command, and return its exit code; an error of ours keeps its traceback."""
    code, text = STAGE_FAILED, str(error)
    if isinstance(error, CycloptsError):
        code, text = SPEC_WRONG, f"prefect-torch: {error} (`prefect-torch --help` explains)"
    elif isinstance(error, SpecError):
        code = SPEC_WRONG
    elif isinstance(error, KeyboardInterrupt):
        code, text = INTERRUPTED, "interrupted; the stages that had finished are kept"
    elif isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
        text += "" if "init" in tokens else "; where artifacts live is set with --store"
    elif not isinstance(error, PrefectTorchError):
        sys.excepthook(type(error), error, error.__traceback__)
        text = f"{type(error).__name__}: {error}"
    print(text, file=sys.stderr)
    if "--json" in tokens:
        print(json.dumps(_error_json(error, text)))
    return code


def _error_json(error: BaseException, text: str) -> dict[str, object]:
    """Return the line of `--json` for a command that did not come as far as running anything."""
    problems = error.problems if isinstance(error, SpecError) else ()
    return {
        "run_id": None,
        "stages": {},
        "metrics": {},
        "promoted": None,
        "report": None,
        "error": text,
        "problems": [{"place": p.place, "field": p.field, "message": p.message} for p in problems],
    }


@app.command(sort_key=1)
def run(
    pipeline: PipelineFile,
    /,
    *,
    overrides: Overrides = (),
    force: Force = (),
    until: Until = None,
    store: StorePath = None,
    local: Local = False,
    verify: Verify = False,
    json_: Json = False,
) -> int:
    """Run a pipeline's stages, reusing what is still true.

    Exit code: 0 done, 1 a stage failed, 2 the spec is wrong, 3 the promotion gate said no.
    """
    from rich.console import Console

    console = Console(stderr=json_)
    summary = (
        None if force or verify else _answered(pipeline, overrides, until, store, local, console)
    )
    if summary is not None:
        return _end(console, summary, json_)
    from prefect_torch.documents import read_document

    document = read_document(pipeline).with_overrides(overrides)
    if local:
        summary = _run(_job(document, force, until, store, verify), pipeline, console)
    else:
        from prefect_torch.launch import Launcher

        with ExitStack() as stack:
            launcher = Launcher(stack, str(pipeline), overrides, store)
            try:
                summary = _run(
                    _job(document, force, until, store, verify), pipeline, console, launcher
                )
            except BaseException:
                if not launcher.flow_began:
                    # Nothing to record: the server ends with this process, and nobody waits for it.
                    stack.pop_all()
                raise
    return _end(console, summary, json_)


def _answered(
    pipeline: Path,
    overrides: Sequence[str],
    until: str | None,
    store: str | None,
    local: bool,
    console: Console,
) -> RunSummary | None:
    """Show a run of which nothing has changed; None where a run is needed to tell.

    With a server configured, the run belongs there.
    """
    from prefect_torch.prefect_settings import is_server_configured
    from prefect_torch.unchanged import answer, ask

    question = ask(pipeline, overrides, until, store)
    if question is None or (not local and is_server_configured()):
        return None
    summary = answer(question)
    if summary is not None:
        from rich.text import Text

        from prefect_torch.console import show_stage

        console.print(Text.assemble((summary.pipeline, "bold"), f"  {pipeline}"), soft_wrap=True)
        for result in summary.stages.values():
            show_stage(console, result.stage, result.outcome, told="; ".join(result.reasons))
    return summary


def _run(
    job: Job, pipeline: Path, console: Console, launcher: Launcher | None = None
) -> RunSummary:
    """Run a job while showing it; a failed one is explained."""
    from rich.text import Text

    from prefect_torch.console import RunConsole
    from prefect_torch.failure import explain
    from prefect_torch.progress import listening
    from prefect_torch.tasks.chain import run_chain, without_prefect

    name = (job.declaration.spec.name, "bold")
    console.print(Text.assemble(name, f"  {pipeline}"), soft_wrap=True)
    try:
        with RunConsole(console) as shown, listening(shown):
            if launcher is None:
                return run_chain(job, without_prefect)
            return launcher.run(job, lambda text: console.print(Text(text), soft_wrap=True))
    except RunFailed as failure:
        explain(failure, console)
        summary: RunSummary = failure.summary
        return summary


def _end(console: Console, summary: RunSummary, json_: bool) -> int:
    """Print what came of a run and return the exit code."""
    from prefect_torch.console import show_figures, summary_json

    if not summary.failed:
        show_figures(console, summary)
    if json_:
        print(json.dumps(summary_json(summary)))
    if summary.failed:
        return STAGE_FAILED
    return GATE_REFUSED if summary.promoted is False else DONE


@app.command(sort_key=2)
def plan(
    pipeline: PipelineFile,
    /,
    *,
    overrides: Overrides = (),
    force: Force = (),
    until: Until = None,
    store: StorePath = None,
    json_: Json = False,
) -> int:
    """Say what would run, and why, without running anything."""
    from rich.console import Console

    from prefect_torch.console import show_plan
    from prefect_torch.documents import read_document
    from prefect_torch.tasks.plan import make_plan

    job = _job(read_document(pipeline).with_overrides(overrides), force, until, store)
    decisions = make_plan(job.declaration, job.store, job.force, job.until)
    widened = {k: v for code in job.declaration.code.values() for k, v in code.widened.items()}
    if json_:
        stages = {
            name: {"decision": decision.decision, "reasons": list(decision.reasons)}
            for name, decision in decisions.items()
        }
        print(json.dumps({"stages": stages, "widened": widened}))
    else:
        show_plan(Console(), decisions, widened)
    return DONE


@app.command(sort_key=3)
def validate(pipeline: PipelineFile, /, *, overrides: Overrides = ()) -> int:
    """Check a pipeline file without reading data: every mistake, with its line and column."""
    from prefect_torch.documents import read_document

    job = _job(read_document(pipeline).with_overrides(overrides))
    print(f"{pipeline}: {job.declaration.spec.name} is a valid pipeline")
    return DONE


@app.command(sort_key=4)
def show(
    pipeline: Annotated[str | None, Parameter(help="Name of a pipeline, or its file.")] = None,
    /,
    *,
    store: StorePath = None,
    json_: Json = False,
) -> int:
    """Show a pipeline's last run and its champion; without a name, all in the store."""
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


@app.command(sort_key=5)
def schema() -> int:
    """Print the JSON Schema of pipeline files, for editors to complete and check from."""
    from prefect_torch.spec import PipelineSpec

    print(json.dumps(PipelineSpec.model_json_schema(), indent=1))
    return DONE


@app.command(sort_key=6)
def init(
    folder: Annotated[Path, Parameter(help="Where to write it; nothing there is overwritten.")], /
) -> int:
    """Write a small project that runs at once: pipeline, Module, Dataset, test, deployment."""
    from prefect_torch.project import init_project

    for path in init_project(folder):
        print(path)
    print(f"now: cd {folder} && prefect-torch run pipeline.yaml")
    return DONE


# Loaded when they are called; their help stands here, so that `--help` loads nothing.
app.command(
    "prefect_torch.store_commands:rerun",
    sort_key=7,
    help="Run a pipeline again as a run did: the given stages anew, the rest reused.\n\n"
    "Exit code: as of `run`.",
)
app.command(
    "prefect_torch.store_commands:diff",
    sort_key=8,
    help="Say what differs between two runs, and what it did to the metrics.",
)
app.command(
    "prefect_torch.store_commands:lineage",
    sort_key=9,
    help="Trace an artifact back to the source, spec, code and versions it came from.",
)
app.command(
    "prefect_torch.store_commands:gc",
    sort_key=10,
    help="Say what nobody needs any more in the store, and free it with `--yes`.\n\n"
    "Kept is what a champion, a live run, a training to resume or the last runs reach.",
)


def _job(
    document: Document,
    force: Sequence[str] = (),
    until: str | None = None,
    store: str | None = None,
    verify: bool = False,
) -> Job:
    from prefect_torch.tasks.job import load_job

    job = load_job(document, "file", force=force, until=until, store=store, verify=verify)
    gc.freeze()  # what was imported stays: it need not be looked through again and again
    gc.enable()
    return job
