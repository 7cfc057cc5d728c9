"""The training part of a spec: how long, when to stop, on which device, and the promotion gate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from prefect_torch.components import Part
from prefect_torch.fingerprint import Decides


class EarlyStopping(Part):
    """Stop when a validation figure no longer improves; the best epoch's weights are kept."""

    metric: str = "loss"
    """`loss`, or one of the declared metrics, measured on the validation split."""
    patience: int = Field(default=5, ge=1)
    """Epochs without improvement before stopping."""
    min_delta: float = Field(default=0.0, ge=0)
    """An improvement smaller than this does not count."""


class TrainSpec(Part):
    """How long to train, and on what."""

    epochs: Annotated[int, Decides("train"), Field(ge=1)] = 10
    """Passes over the train split."""
    early_stopping: Annotated[EarlyStopping | None, Decides("train")] = None
    """When to stop before the last epoch."""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Decides()] = "auto"
    """`auto` takes CUDA, else Apple's MPS, else the CPU."""


class PromoteSpec(Part):
    """The gate a new model must pass to become the champion."""

    metric: Annotated[str, Decides("promote")]
    """One of the declared metrics, or `loss`, measured on the test split."""
    at_least: Annotated[float | None, Decides("promote")] = None
    """The metric must not be below this."""
    at_most: Annotated[float | None, Decides("promote")] = None
    """The metric must not be above this."""
    not_worse_than_champion: Annotated[bool, Decides("promote")] = True
    """The metric must not be worse than the champion's on the same test split."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> PromoteSpec:
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least ({self.at_least:g}) is above at_most ({self.at_most:g})")
        return self
