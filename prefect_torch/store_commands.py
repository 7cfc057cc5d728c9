"""Commands about what a store keeps: `gc`, `lineage`, `diff`, `rerun`."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from prefect_torch.cli import DONE, Json, Local, StageName, StorePath, _end, _run
from prefect_torch.settings import load_settings
from prefect_torch.store import Store

if TYPE_CHECKING:
    from rich.console import Console

    from prefect_torch.results import RunSummary
    from prefect_torch.tasks.job import Job
    from prefect_torch.tasks.rerun import Remembered

Keep = Annotated[
    int,
    Parameter(validator=Number(gte=0), help="How many runs of each pipeline keep what they reach."),
]
Yes = Annotated[
    bool, Parameter(negative="", show_default=False, help="Free it; else it is only told.")
]
ArtifactName = Annotated[
    str,
    Parameter(
        help="`PIPELINE` for its champion, `PIPELINE:STAGE` for what its last run gave there, "
        "6 or more digits of a digest, or a path inside the store."
    ),
]
AsMermaid = Annotated[
    bool, Parameter(negative="", show_default=False, help="Print a Mermaid flowchart.")
]
RunName = Annotated[
    str,
    Parameter(
        help="`PIPELINE` for its last run, `PIPELINE~1` for the one before, or the beginning of "
        "a run's id."
    ),
]
Stages = Annotated[
    tuple[StageName, ...],
    Parameter(name="--stage", negative="", help="Compute this stage again. May be repeated."),
]


def gc(*, keep: Keep = 5, yes: Yes = False, store: StorePath = None, json_: Json = False) -> int:
    """Say what nobody needs any more in the store, and free it with `--yes`.

    Kept is what a champion, a live run, a training to resume or the last runs reach.
    """
    from rich.console import Console
    from rich.text import Text

    from prefect_torch.store_views import garbage_json, show_garbage
    from prefect_torch.tasks.garbage import find_garbage, free

    kept, console = _store(store), Console()
    found = find_garbage(kept, keep)
    garbage, stays = free(kept, found) if yes else (list(found.garbage), [])
    if json_:
        print(json.dumps(garbage_json(garbage, found, yes, stays)))
        return DONE
    console.print(Text(f"store: {kept.root}"), soft_wrap=True)
    show_garbage(console, garbage, found, "freed" if yes else "would free")
    for told in stays:
        console.print(Text(f"stays: {told}"), soft_wrap=True)
    if garbage and not yes:
        console.print(Text("nothing is removed yet; to free it: prefect-torch gc --yes"))
    return DONE


def lineage(
    artifact: ArtifactName,
    /,
    *,
    store: StorePath = None,
    mermaid: AsMermaid = False,
    json_: Json = False,
) -> int:
    """Trace an artifact back to the source, the spec, the code and the versions it came from."""
    from rich.console import Console

    from prefect_torch import lineage_views
    from prefect_torch.tasks.lineage import find_artifact, lineage_json
    from prefect_torch.tasks.lineage import lineage as trace

    kept = _store(store)
    steps = trace(kept, find_artifact(kept, artifact))
    if json_:
        print(json.dumps(lineage_json(steps)))
    elif mermaid:
        print(lineage_views.mermaid(steps))
    else:
        lineage_views.show_lineage(Console(), steps)
    return DONE


def diff(a: RunName, b: RunName, /, *, store: StorePath = None, json_: Json = False) -> int:
    """Say what differs between two runs, and what it did to the metrics."""
    from rich.console import Console

    from prefect_torch.store_views import show_difference
    from prefect_torch.tasks.difference import difference
    from prefect_torch.tasks.runs import find_run

    kept = _store(store)
    found = difference(kept, find_run(kept, a), find_run(kept, b))
    if json_:
        print(found.model_dump_json())
    else:
        show_difference(Console(), found)
    return DONE


def rerun(
    run: RunName,
    /,
    *,
    stage: Stages,
    store: StorePath = None,
    local: Local = False,
    json_: Json = False,
) -> int:
    """Run a pipeline again as a run did, computing the given stages anew and reusing the rest.

    Exit code: 0 done, 1 a stage failed, 2 the spec is wrong, 3 the promotion gate said no.
    """
    from rich.console import Console
    from rich.text import Text

    from prefect_torch.tasks.rerun import recall
    from prefect_torch.tasks.runs import find_run

    console = Console(stderr=json_)
    kept = _store(store)
    past = find_run(kept, run)
    remembered = recall(past)
    if remembered.remark:
        console.print(Text(remembered.remark, "yellow"), soft_wrap=True)
    if remembered.origin == "python":  # its modules were importable from where it ran
        sys.path.insert(0, str(remembered.project))
    return _end(console, _perform(remembered, past.pipeline, stage, kept, local, console), json_)


def _perform(
    remembered: Remembered,
    name: str,
    stages: tuple[StageName, ...],
    store: Store,
    local: bool,
    console: Console,
) -> RunSummary:
    shown = remembered.document.path or Path(name)
    if local:
        return _run(_job(remembered, stages, store), shown, console)
    from prefect_torch.launch import Launcher

    with ExitStack() as stack:
        # What the file says today is not what runs if it has changed.
        pipeline = name if remembered.remark else str(shown)
        launcher = Launcher(stack, pipeline, remembered.overrides, store.root)
        try:
            return _run(_job(remembered, stages, store), shown, console, launcher)
        except BaseException:
            if not launcher.flow_began:
                stack.pop_all()  # nothing to record: the server ends with this process
            raise


def _job(remembered: Remembered, stages: tuple[StageName, ...], store: Store) -> Job:
    from prefect_torch.tasks.job import load_job

    return load_job(
        remembered.document,
        remembered.origin,
        force=stages,
        until=remembered.until_at_least(stages),
        store=store.root,
        project=remembered.project,
    )


def _store(path: str | None) -> Store:
    return Store(path or load_settings().store)
