"""What a store holds, for people: pipelines, their last run, their champion."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_torch.errors import PrefectTorchError, did_you_mean
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
    """
    runs: dict[str, dict[str, Any]] = {}
    for path in sorted(store.root.glob("runs/*/run.json"), key=lambda p: p.stat().st_mtime):
        summary = json.loads(path.read_text(encoding="utf-8"))
        runs[summary["pipeline"]] = summary
    if pipeline is not None:
        name = _name(pipeline)
        if name not in runs:
            raise PrefectTorchError(
                f"{store.root}: no run of a pipeline {name!r}; {did_you_mean(name, runs)}"
            )
        runs = {name: runs[name]}
    pipelines = {}
    for name, last in runs.items():
        champion = champion_of(store, name)
        pipelines[name] = {"last_run": last, "champion": asdict(champion) if champion else None}
    return {"store": str(store.root), "pipelines": pipelines}


def _name(pipeline: str) -> str:
    """Return the name that a pipeline file gives itself; other text is a name already."""
    if not Path(pipeline).is_file():
        return pipeline
    from prefect_torch.documents import read_document

    return str(read_document(pipeline).tree.get("name"))


def show_overview(console: Console, found: dict[str, Any]) -> None:
    """Print what `overview` returned."""
    from prefect_torch.console import show_summary
    from prefect_torch.tasks.summary import RunSummary

    console.print(f"store: {found['store']}", highlight=False, soft_wrap=True)
    if not found["pipelines"]:
        console.print("no runs yet; start with: prefect-torch run PIPELINE")
    for name, pipeline in found["pipelines"].items():
        summary = RunSummary.model_validate(pipeline["last_run"])
        console.print(f"\n[bold]{name}[/]  last run {summary.run_id}", highlight=False)
        show_summary(console, summary)
        champion = pipeline["champion"]
        told = f"checkpoint {champion['train'][:12]}" if champion else "none yet"
        console.print(f"champion: {told}", highlight=False)
