"""The whole spec: what a pipeline file says. The parts stand beside what they configure."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from prefect_torch.components import Component, Of, Part
from prefect_torch.datasets.spec import DataSpec, LoaderSpec, TransformsSpec
from prefect_torch.fingerprint import Decides, EachField
from prefect_torch.training.spec import PromoteSpec, TrainSpec


class PipelineSpec(Part):
    """A training pipeline: data, transforms, loader, model, loss, optimizer, metrics, gate."""

    model_config = ConfigDict(title="prefect-torch pipeline")

    name: Annotated[str, Decides("promote"), Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    """Name of the pipeline and of its champion: lower-case letters, digits, `-` and `_`."""
    seed: Annotated[int, Decides("prepare", "train"), Field(ge=0, lt=2**63)] = 0
    """Decides the split, the initial weights, the order of samples and every random transform."""
    data: Annotated[DataSpec, EachField()]
    """Where the data comes from and what its columns mean."""
    transforms: Annotated[TransformsSpec, EachField()] = TransformsSpec()
    """Transforms of image features."""
    loader: Annotated[LoaderSpec, EachField()] = LoaderSpec()
    """How samples are batched."""
    model: Annotated[Component, Of("model"), Decides("train")]
    """The network, any torch.nn.Module; sizes the data decides are filled in when left out."""
    loss: Annotated[Component | None, Of("loss"), Decides("train")] = None
    """Left out: CrossEntropyLoss for a category, MSELoss for a number."""
    optimizer: Annotated[Component, Of("optimizer"), Decides("train")] = Component(class_="AdamW")
    """Any torch.optim.Optimizer."""
    scheduler: Annotated[Component | None, Of("scheduler"), Decides("train")] = None
    """Any torch.optim.lr_scheduler, stepped once per training step."""
    train: Annotated[TrainSpec, EachField()] = TrainSpec()
    """How long to train, and on what."""
    metrics: Annotated[dict[str, Annotated[Component, Of("metric")]], Decides("evaluate")] = {}
    """Figures measured on the test split, by the name they are shown under."""
    promote: Annotated[PromoteSpec | None, EachField()] = None
    """The gate to become the champion; left out: every model that was evaluated passes."""
