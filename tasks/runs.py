"""The runs that a store remembers: found by id, or by pipeline and how long ago."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_torch.documents import SUFFIXES, read_document
from prefect_torch.errors import ArtifactError, PrefectTorchError, did_you_mean
from prefect_torch.store import Store

MOST_CANDIDATES = 8


@dataclass(frozen=True)
class PastRun:
    """A run that has ended, well or not, and left its summary."""

    run_id: str
    pipeline: str
    folder: Path
    ended: float
    """When its summary was written: seconds since 1970."""
    summary: Mapping[str, Any]
    """The content of `run.json`."""

    @property
    def stages(self) -> Mapping[str, Mapping[str, Any]]:
        """Result of each stage that ended well, with its `fingerprint` and `artifact`."""
        stages: Mapping[str, Mapping[str, Any]] = self.summary["stages"]
        return stages


def past_runs(store: Store) -> list[PastRun]:
    """Return the runs in a store, the oldest first.

    Raises:
        ArtifactError: A run's summary is unreadable.
    """
    found = []
    for path in store.root.glob("runs/*/run.json"):
        try:
            ended = path.stat().st_mtime
            summary = json.loads(path.read_text(encoding="utf-8"))
            stages = summary["stages"].values()
            if not all({"fingerprint", "artifact"} <= stage.keys() for stage in stages):
                raise KeyError("fingerprint")
            found.append(
                PastRun(path.parent.name, summary["pipeline"], path.parent, ended, summary)
            )
        except FileNotFoundError:
            continue  # removed while we looked
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(
                f"{path}: not the summary of a run ({error}); delete the folder {path.parent}: "
                "artifacts and champions are not in it"
            ) from error
    return sorted(found, key=lambda run: (run.ended, run.run_id))


def find_run(store: Store, text: str) -> PastRun:
    """Return the run that a person means.

    Args:
        store: Where to look.
        text: A pipeline (its name or file) for its last run, `PIPELINE~1` for the one before that,
            or the beginning of a run's id.

    Raises:
        PrefectTorchError: No run or several are meant; the message names candidates.
    """
    runs = past_runs(store)
    if not runs:
        raise PrefectTorchError(
            f"{store.root}: no runs yet; start with: prefect-torch run PIPELINE, or name the store "
            "with --store"
        )
    ago = re.fullmatch(r"(.+)~(\d+)", text)
    name = pipeline_name(ago[1] if ago else text)
    of_pipeline = [run for run in runs if run.pipeline == name]
    if of_pipeline:
        return _ago(of_pipeline, int(ago[2]) if ago else 0, text)
    by_id = [run for run in runs if run.run_id.startswith(text)]
    if len(by_id) == 1:
        return by_id[0]
    if by_id:
        raise PrefectTorchError(f'several runs begin with "{text}": {_candidates(by_id)}')
    pipelines = sorted({run.pipeline for run in runs})
    raise PrefectTorchError(
        f'{store.root}: no run "{text}": it is neither a pipeline ({did_you_mean(name, pipelines)})'
        f" nor the beginning of a run's id; the last ones are: {_candidates(runs)}"
    )


def pipeline_name(text: str) -> str:
    """Return the name that a pipeline file gives itself; other text is a name already."""
    if text.endswith(SUFFIXES):
        return str(read_document(text).tree.get("name"))
    return text


def _ago(runs: Sequence[PastRun], number: int, text: str) -> PastRun:
    if number >= len(runs):
        many = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
        raise PrefectTorchError(
            f'"{text}": the store keeps {many} of {runs[0].pipeline}: {_candidates(runs)}'
        )
    return runs[-1 - number]


def _candidates(runs: Sequence[PastRun]) -> str:
    """Name runs, the newest first."""
    told = [f"{run.run_id} ({run.pipeline})" for run in runs[::-1][:MOST_CANDIDATES]]
    more = len(runs) - len(told)
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")
