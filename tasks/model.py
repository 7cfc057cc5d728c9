"""What train, evaluate and promote share: models, objectives, batches and metrics of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from prefect_torch.components import Component
from prefect_torch.datasets.batch import Batch
from prefect_torch.datasets.facts import data_facts
from prefect_torch.datasets.loader import Batches, EpochOrder, make_loader
from prefect_torch.datasets.parquet_dataset import ParquetDataset
from prefect_torch.declaration import Declaration
from prefect_torch.errors import ArtifactError
from prefect_torch.models.inputs import Predict, bind_inputs
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


def build_learner(declaration: Declaration, prepared: Artifact, device: torch.device) -> Learner:
    """Build the declared model for prepared data, with fresh weights."""
    fitted = prepared.json("fitted.json")
    component = declaration.filled(declaration.spec.model, "model", data_facts(fitted))
    model: nn.Module = declaration.build(component, "model").to(device)
    return Learner(model, component, objective_for(declaration, model, fitted, device), device)


def load_trained(declaration: Declaration, trained: Artifact, device: torch.device) -> nn.Module:
    """Build the model of a checkpoint and give it its weights.

    Raises:
        ArtifactError: The weights do not fit the model: its code has changed since.
    """
    component = Component.model_validate(trained.json("model.json")["component"])
    model: nn.Module = declaration.build(component, "model")
    try:
        model.load_state_dict(load_file(trained.file("model.safetensors")))
    except RuntimeError as error:
        raise ArtifactError(
            f"{trained.file('model.safetensors')}: does not fit {component.class_} as it is now: "
            f"{error}; train again (`--force train`), or undo the change of its code"
        ) from error
    return model.to(device)


def objective_for(
    declaration: Declaration, model: nn.Module, fitted: Mapping[str, Any], device: torch.device
) -> Supervised:
    """Return what judges a model on data of this fitted state."""
    loss = declared_loss(declaration, fitted, device)
    return Supervised(predictor(model, fitted), loss, fitted["target"])


def predictor(model: nn.Module, fitted: Mapping[str, Any]) -> Predict:
    """Return a function from a batch's inputs to the model's output."""
    names = [f["name"] for f in fitted["fields"] if f["name"] not in ("target", "row")]
    return bind_inputs(model, names)


def declared_loss(
    declaration: Declaration, fitted: Mapping[str, Any], device: torch.device
) -> nn.Module:
    """Build the declared loss, or the default of the target's kind."""
    spec = declaration.spec
    component = spec.loss or Component(class_=DEFAULT_LOSS[spec.data.target_kind])
    loss: nn.Module = declaration.build(component, "loss", data_facts(fitted)).to(device)
    return loss


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
