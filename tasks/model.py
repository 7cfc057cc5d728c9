"""What train, evaluate and promote share: the model, its objective and batches, built from a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from prefect_torch.components import Component
from prefect_torch.datasets.batch import Batch
from prefect_torch.datasets.facts import data_facts
from prefect_torch.datasets.loader import Batches, EpochOrder, make_loader
from prefect_torch.datasets.parquet_dataset import ParquetDataset
from prefect_torch.declaration import Declaration
from prefect_torch.models.inputs import bind_inputs
from prefect_torch.store import Artifact
from prefect_torch.training.objectives import Supervised

EVALUATION_BATCH = 512
DEFAULT_LOSS = {"category": "CrossEntropyLoss", "number": "MSELoss"}


@dataclass(frozen=True)
class Learner:
    """A model on its device, and what judges it."""

    model: nn.Module
    component: Component
    """The model as built, sizes filled in."""
    objective: Supervised
    device: torch.device


def build_learner(
    declaration: Declaration, prepared: Artifact, device: torch.device, component: Component | None = None
) -> Learner:
    """Build the declared model (or another component) for prepared data, with fresh weights."""
    spec = declaration.spec
    fitted = prepared.json("fitted.json")
    facts = data_facts(fitted)
    filled = component or declaration.filled(spec.model, "model", facts)
    model: nn.Module = declaration.build(filled, "model").to(device)
    loss_component = spec.loss or Component(class_=DEFAULT_LOSS[spec.data.target_kind])
    loss = declaration.build(loss_component, "loss", facts).to(device)
    inputs = [f["name"] for f in fitted["fields"] if f["name"] not in ("target", "row")]
    objective = Supervised(bind_inputs(model, inputs), loss, fitted["target"])
    return Learner(model, filled, objective, device)


def split_batches(
    prepared: Artifact, split: str, device: torch.device, workers: int = 0
) -> Iterator[Batch]:
    """Yield a split's batches in order, without random transforms."""
    dataset = ParquetDataset(prepared.file(f"{split}.parquet"))
    order = EpochOrder(len(dataset), EVALUATION_BATCH, seed=0, shuffle=False, drop_last=False)
    batches = Batches(dataset, prepared.json("fitted.json"))
    return (batch.to(device) for batch in make_loader(batches, order, workers))


def declared_metrics(
    declaration: Declaration, fitted: Mapping[str, Any], names: list[str]
) -> dict[str, Any]:
    """Build the metrics of these names, fresh."""
    facts = data_facts(fitted)
    return {n: declaration.build(declaration.spec.metrics[n], "metric", facts) for n in names}
