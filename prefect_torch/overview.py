"""What a store holds, for people: pipelines, their last run, their champion."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_torch.errors import ArtifactError, PrefectTorchError, did_you_mean
from prefect_torch.registry import champion_of
from prefect_torch.store import Store

if TYPE_CHECKING:
    from rich.console import Console


def overview(store: Store, pipeline: str | None = None) -> dict[str, Any]:
    """Return the last run and the champion of each pipeline in the store, or of one.

    Args:
        store: Where artifacts live.
        pipeline: Name of a pipeline, or the path of its file.

    Raises:
        PrefectTorchError: The store knows no pipeline of this name.
        ArtifactError: A run's summary is unreadable.
    """
    runs: dict[str, dict[str, Any]] = {}
    for path in sorted(store.root.glob("runs/*/run.json"), key=lambda p: p.stat().st_mtime):
        summary = _read(path)
        runs[summary["pipeline"]] = summary
    if pipeline is not None:
        name = _name(pipeline)
        if name not in runs:
            raise PrefectTorchError(f"{store.root}: {_no_run(name, runs)}")
        runs = {name: runs[name]}
    pipelines = {}
    for name, last in sorted(runs.items()):
        champion = champion_of(store, name)
        pipelines[name] = {"last_run": last, "champion": asdict(champion) if champion else None}
    return {"store": str(store.root), "pipelines": pipelines}


def _read(path: Path) -> dict[str, Any]:
    """Return a run's summary, its stages in the order in which they run."""
    from prefect_torch.tasks.stage import STAGES

    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        stages = summary["stages"]
        summary["stages"] = {name: stages[name] for name in STAGES if name in stages}
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path}: not the summary of a run ({error}); delete the folder {path.parent}: "
            "artifacts and champions are not in it"
        ) from error
    return summary


def _no_run(name: str, runs: dict[str, Any]) -> str:
    if not runs:
        return "no runs yet; start with: prefect-torch run PIPELINE"
    return f'no run of a pipeline "{name}"; {did_you_mean(name, runs)}'


def _name(pipeline: str) -> str:
    """Return the name that a pipeline file gives itself; other text is a name already."""
    from prefect_torch.documents import SUFFIXES, read_document

    if not pipeline.endswith(SUFFIXES):
        return pipeline
    return str(read_document(pipeline).tree.get("name"))


def show_overview(console: Console, found: dict[str, Any]) -> None:
    """Print what `overview` returned."""
    from rich.text import Text

    from prefect_torch.console import show_figures, show_stage
    from prefect_torch.results import RunSummary

    console.print(Text(f"store: {found['store']}"), soft_wrap=True)
    if not found["pipelines"]:
        console.print("no runs yet; start with: prefect-torch run PIPELINE", soft_wrap=True)
    for name, pipeline in found["pipelines"].items():
        summary = RunSummary.model_validate(pipeline["last_run"])
        console.print()
        console.print(Text.assemble((name, "bold"), f"  last run {summary.run_id}"), soft_wrap=True)
        for stage in summary.stages.values():
            told = f"{stage.artifact[:12]}  {'; '.join(stage.reasons)}"
            show_stage(console, stage.stage, stage.outcome, stage.seconds, told)
        if summary.failed:
            show_stage(console, summary.failed, "failed", told=summary.error or "")
        show_figures(console, summary)
        champion = pipeline["champion"]
        told = f"checkpoint {champion['train'][:12]}" if champion else "none yet"
        console.print(f"champion: {told}", highlight=False)
