"""The training loop: the textbook's step, in the textbook's order."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from prefect_torch.errors import TrainingError
from prefect_torch.training.objectives import Samples
from prefect_torch.training.spec import EarlyStopping

History = dict[str, list[float]]


class Objective(Protocol):
    """What the loop needs of an objective."""

    def loss(self, batch: Samples) -> torch.Tensor:
        """Return the scalar loss of a batch."""


@dataclass
class Watch:
    """Early stopping: remembers the best epoch and its weights."""

    stop: EarlyStopping
    higher_is_better: bool
    best: float | None = None
    best_epoch: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def improved(self, value: float) -> bool:
        """Return whether a value beats the best so far by more than `min_delta`."""
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        gain = value - self.best if self.higher_is_better else self.best - value
        return gain > self.stop.min_delta

    def see(self, epoch: int, value: float, model: nn.Module) -> bool:
        """Take note of an epoch (from 1); return whether it is time to stop."""
        if self.improved(value):
            self.best, self.best_epoch = value, epoch
            self.weights = copy.deepcopy(model.state_dict())
        return epoch - self.best_epoch >= self.stop.patience

    def restore(self, model: nn.Module) -> None:
        """Give the model the best epoch's weights.

        Raises:
            TrainingError: The figure was never a number, so no epoch is the best.
        """
        if self.best is None:
            raise TrainingError(
                f"train.early_stopping: the validation {self.stop.metric} was not a number in any "
                f"epoch; watch another figure, or check the validation split"
            )
        model.load_state_dict(self.weights)


def fit(
    model: nn.Module,
    objective: Objective,
    optimizer: Optimizer,
    scheduler: LRScheduler | None,
    epochs: int,
    train_batches: Callable[[int], Iterable[Samples]],
    validate: Callable[[], dict[str, float]] | None,
    watch: Watch | None,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> History:
    """Train a model in place and return its history, one entry an epoch.

    Args:
        model: The network; at the end it holds the best epoch's weights if `watch` is given,
            else the last's.
        objective: Gives the loss of a batch.
        optimizer: Holds the model's parameters.
        scheduler: Stepped after each optimizer step; `ReduceLROnPlateau` after each epoch.
        epochs: Passes over the train split.
        train_batches: From an epoch (from 0) to its batches.
        validate: Returns `loss` and further figures of the validation split.
        watch: Early stopping.
        on_epoch: Called with the number of finished epochs and their figures.

    Raises:
        TrainingError: The loss is not a finite number, or the watched figure never a number.
    """
    history: History = {}
    for epoch in range(epochs):
        model.train()
        losses, count = [], 0
        for batch in train_batches(epoch):
            optimizer.zero_grad()
            loss = objective.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if scheduler is not None and not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()
            losses.append(loss.detach() * len(batch.target))
            count += len(batch.target)
        total = float(torch.stack(losses).cpu().double().sum())
        figures = {"train_loss": _finite(total / count, epoch)}
        if validate is not None:
            figures |= {f"validation_{name}": value for name, value in validate().items()}
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(figures.get("validation_loss", figures["train_loss"]))
        figures["learning_rate"] = float(optimizer.param_groups[0]["lr"])
        for name, value in {"epoch": epoch + 1, **figures}.items():
            history.setdefault(name, []).append(value)
        on_epoch(epoch + 1, figures)
        if watch and watch.see(epoch + 1, figures[f"validation_{watch.stop.metric}"], model):
            break
    if watch:
        watch.restore(model)
    return history


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise TrainingError(
            f"epoch {epoch + 1}: the training loss is {loss}, expected a finite number; lower "
            f"optimizer.lr, or check the data for extreme values"
        )
    return loss
