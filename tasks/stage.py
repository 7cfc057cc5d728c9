"""The stages: their inputs, what decides their results, and the function that computes each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from prefect_torch.declaration import Declaration
from prefect_torch.fingerprint import (
    Fingerprint,
    deciding_fields,
    digest_json,
    fingerprint,
    minor_version,
)
from prefect_torch.registry import rival_of
from prefect_torch.store import Store
from prefect_torch.tasks.context import StageContext


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
        code = declaration.code[self.name]
        document: dict[str, Any] = {
            "stage": self.name,
            "spec": deciding_fields(declaration.spec, self.name),
            "upstream": dict(upstream),
            "code": digest_json(code.units),
            "versions": {**code.packages, **{name: minor_version(name) for name in self.packages}},
        }
        if self.name == "ingest":
            document["source"] = source_identity(declaration)
        if self.name == "train":
            document["spec"] |= _watched_metric(declaration)
        if self.name == "promote":
            document["champion"] = _rival(declaration, upstream["train"], store)
        return fingerprint(document)


STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("ingest", (), ("pyarrow",)),
        Stage("prepare", ("ingest",), ("pyarrow", "numpy", "pillow")),
        Stage("train", ("prepare",), ("torch", "torchvision")),
        Stage("evaluate", ("prepare", "train"), ("torch", "matplotlib")),
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


def _rival(declaration: Declaration, candidate: str, store: Store) -> str | None:
    """Return the checkpoint that the gate compares a candidate with, or None."""
    gate = declaration.spec.promote
    if gate is None or not gate.not_worse_than_champion:
        return None
    champion = rival_of(store, declaration.spec.name, candidate)
    return champion.train if champion else None
