"""What a stage is: its inputs, what decides its result, and the function that computes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from prefect_torch.declaration import Declaration
from prefect_torch.fingerprint import Fingerprint, deciding_fields, fingerprint, minor_version
from prefect_torch.registry import Champion, champion_of
from prefect_torch.store import Artifact, Store

Outcome = Literal["ran", "reused"]


@dataclass(frozen=True)
class StageContext:
    """What a stage's function is given."""

    declaration: Declaration
    inputs: Mapping[str, Artifact]
    """Upstream artifacts by stage name, every file checked."""
    output: Path
    """An empty folder; what is in it afterwards becomes the artifact."""
    store: Store
    notes: dict[str, Any] = field(default_factory=dict)
    """What differs from run to run and decides nothing (rates, device): for the stage record."""


class StageResult(BaseModel):
    """What a stage hands on: a small reference to its artifact, never data."""

    model_config = ConfigDict(frozen=True)

    stage: str
    outcome: Outcome
    fingerprint: str
    artifact: str
    """Digest."""
    path: str
    """Folder of the artifact."""
    seconds: float
    """Wall-clock time of this stage in this run."""
    reasons: tuple[str, ...] = ()
    """Why it ran or was reused."""


@dataclass(frozen=True)
class Stage:
    """A step with one artifact."""

    name: str
    inputs: tuple[str, ...]
    """Stages whose artifacts it reads."""
    packages: tuple[str, ...]
    """Installed packages whose minor version decides its result."""

    def compute(self, context: StageContext) -> None:
        """Fill `context.output`."""
        module = import_module(f"prefect_torch.tasks.{self.name}")
        getattr(module, self.name)(context)

    def fingerprint(
        self, declaration: Declaration, upstream: Mapping[str, str], store: Store
    ) -> Fingerprint:
        """Return the key of this stage's result.

        Args:
            declaration: The checked spec.
            upstream: Digest of each input artifact by stage name.
            store: Where the champion is looked up, for promote.
        """
        document: dict[str, Any] = {
            "stage": self.name,
            "spec": deciding_fields(declaration.spec, self.name),
            "upstream": dict(upstream),
            "code": {"prefect-torch": minor_version("prefect-torch")},
            "versions": {package: minor_version(package) for package in self.packages},
        }
        if self.name == "ingest":
            document["source"] = source_identity(declaration)
        if self.name == "train":
            watched = _watched_metric(declaration)
            document["spec"] |= watched
            if watched:
                document["versions"]["torchmetrics"] = minor_version("torchmetrics")
        if self.name == "promote":
            document["champion"] = rival(declaration, upstream["train"], store)
        return fingerprint(document)


STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("ingest", (), ("pyarrow",)),
        Stage("prepare", ("ingest",), ("pyarrow", "numpy", "pillow", "torchvision")),
        Stage("train", ("prepare",), ("torch", "torchvision")),
        Stage("evaluate", ("prepare", "train"), ("torch", "torchmetrics", "matplotlib")),
        Stage("promote", ("ingest", "prepare", "train", "evaluate"), ()),
    )
}


def source_identity(declaration: Declaration) -> dict[str, Any] | None:
    """Return what the source's bytes are, or None when that cannot be known."""
    from prefect_torch.tasks.ingest import open_source

    return open_source(declaration).identity()


def _watched_metric(declaration: Declaration) -> dict[str, Any]:
    """Return the one metric that decides training: the one early stopping watches."""
    spec = declaration.spec
    stop = spec.train.early_stopping
    if stop is None or stop.metric == "loss":
        return {}
    return {f"metrics.{stop.metric}": spec.metrics[stop.metric].model_dump(mode="json")}


def rival(declaration: Declaration, candidate: str, store: Store) -> str | None:
    """Return the checkpoint that a candidate must not be worse than, or None."""
    gate = declaration.spec.promote
    champion: Champion | None = champion_of(store, declaration.spec.name)
    if champion is None or gate is None or not gate.not_worse_than_champion:
        return None
    return None if champion.train == candidate else champion.train
