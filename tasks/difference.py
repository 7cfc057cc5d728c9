"""Two runs side by side: what differed, stage by stage, and what it did to the metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from prefect_torch.errors import ArtifactError
from prefect_torch.store import Artifact, Store
from prefect_torch.tasks.reasons import code_differences, code_units, differences
from prefect_torch.tasks.runs import PastRun
from prefect_torch.tasks.stage import STAGES

GONE = "how one of the two came to be is no longer in the store"
OTHER_ROWS = "the test rows are not the same, so the metrics are of different data"


class StageDifference(BaseModel):
    """One stage of two runs."""

    model_config = ConfigDict(frozen=True)

    a: str | None
    """Digest of the artifact in the first run; None where the run did not come so far."""
    b: str | None
    differences: tuple[str, ...]
    """What decided the results differently, one sentence each; empty if nothing did."""


class MetricDifference(BaseModel):
    """One figure of two runs; None where a run does not have it, or it is not finite."""

    model_config = ConfigDict(frozen=True)

    a: float | None
    b: float | None
    change: float | None
    better: bool | None
    """Whether `b` is better than `a`; None if they are equal or the metric does not say."""


class TrainingDifference(BaseModel):
    """How long both trained, in epochs, and which epoch's weights they kept."""

    model_config = ConfigDict(frozen=True)

    epochs: tuple[int | None, int | None]
    chosen: tuple[int | None, int | None]


class RunDifference(BaseModel):
    """What differs between two runs."""

    model_config = ConfigDict(frozen=True)

    a: str
    """Id of the first run."""
    b: str
    stages: dict[str, StageDifference]
    metrics: dict[str, MetricDifference]
    training: TrainingDifference
    remarks: tuple[str, ...] = ()
    """What to bear in mind when reading the rest."""


def difference(store: Store, a: PastRun, b: PastRun) -> RunDifference:
    """Compare two runs of a store, by what it still remembers of them."""
    remarks = []
    if a.pipeline != b.pipeline:
        remarks.append(f"these are runs of two pipelines, {a.pipeline} and {b.pipeline}")
    rows = [_test_rows(store, run) for run in (a, b)]
    if None not in rows and rows[0] != rows[1]:
        remarks.append(OTHER_ROWS)
    return RunDifference(
        a=a.run_id,
        b=b.run_id,
        stages={
            name: _stage(store, name, a, b)
            for name in STAGES
            if name in a.stages or name in b.stages
        },
        metrics=_metrics(store, a, b),
        training=_training(store, a, b),
        remarks=tuple(remarks),
    )


def _stage(store: Store, name: str, a: PastRun, b: PastRun) -> StageDifference:
    results = [run.stages.get(name) for run in (a, b)]
    digests = [result["artifact"] if result else None for result in results]
    told: tuple[str, ...]
    if results[0] is None or results[1] is None:
        told = (f"only {'the second' if results[0] is None else 'the first'} run came so far",)
    elif results[0]["fingerprint"] == results[1]["fingerprint"]:
        same = digests[0] == digests[1]
        told = () if same else ("computed twice from the same, with other bytes",)
    else:
        told = _moved(store, results[0]["fingerprint"], results[1]["fingerprint"])
    return StageDifference(a=digests[0], b=digests[1], differences=told)


def _moved(store: Store, a: str, b: str) -> tuple[str, ...]:
    """Return what moved between two fingerprints, as far as the store remembers them."""
    before, after = store.record(a), store.record(b)
    if before is None or after is None:
        return (GONE,)
    told = list(differences(before.document, after.document))
    old, new = (str(record.document.get("code", "")) for record in (before, after))
    if old != new:
        units = [code_units(store, digest) for digest in (old, new)]
        known = list(code_differences(*units)) if all(units) else []
        told += known or [f"code {old[:12]} → {new[:12]}"]
    return tuple(told)


def _metrics(store: Store, a: PastRun, b: PastRun) -> dict[str, MetricDifference]:
    before, after = a.summary.get("metrics", {}), b.summary.get("metrics", {})
    higher = {**_higher_is_better(store, a), **_higher_is_better(store, b)}
    return {
        name: _metric(before.get(name), after.get(name), higher.get(name))
        for name in dict.fromkeys([*before, *after])
    }


def _metric(a: float | None, b: float | None, higher: bool | None) -> MetricDifference:
    a, b = (value if value is not None and math.isfinite(value) else None for value in (a, b))
    change = b - a if a is not None and b is not None else None
    better = None if not change or higher is None else (change > 0) is higher
    return MetricDifference(a=a, b=b, change=change, better=better)


def _higher_is_better(store: Store, run: PastRun) -> Mapping[str, bool | None]:
    found = _json(store, run, "evaluate", "details.json")
    directions: Mapping[str, bool | None] = (found or {}).get("higher_is_better", {})
    return directions


def _training(store: Store, a: PastRun, b: PastRun) -> TrainingDifference:
    epochs, chosen = [], []
    for run in (a, b):
        history = _json(store, run, "train", "history.json") or {}
        model = _json(store, run, "train", "model.json") or {}
        epochs.append(len(history["epoch"]) if "epoch" in history else None)
        chosen.append(model.get("epoch"))
    return TrainingDifference(epochs=(epochs[0], epochs[1]), chosen=(chosen[0], chosen[1]))


def _test_rows(store: Store, run: PastRun) -> Mapping[str, Any] | None:
    """Return size and digest of a run's test split, None where it has or keeps none."""
    artifact = _artifact(store, run, "prepare")
    return artifact.files.get("test.parquet") if artifact else None


def _json(store: Store, run: PastRun, stage: str, name: str) -> dict[str, Any] | None:
    artifact = _artifact(store, run, stage)
    if artifact is None or not (artifact.path / name).is_file():
        return None
    found: dict[str, Any] = artifact.json(name)
    return found


def _artifact(store: Store, run: PastRun, stage: str) -> Artifact | None:
    """Return an artifact of a run; None if the run or the store does not have it (any more)."""
    if stage not in run.stages:
        return None
    try:
        return store.get(run.stages[stage]["artifact"])
    except ArtifactError:
        return None
