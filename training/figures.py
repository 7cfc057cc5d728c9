"""Two metrics that are a line each, so that a pipeline that needs no more imports no more.

To import torchmetrics, which has all the others, takes seconds. Any class with these three members
is a metric.
"""

from __future__ import annotations

from typing import Protocol

import torch


class Metric(Protocol):
    """What a metric is: torchmetrics' classes are, and any class of these members."""

    @property
    def higher_is_better(self) -> bool | None:
        """Whether more is better; None where it cannot be said."""

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Take note of a batch.

        Args:
            preds: Probabilities [N, K], or numbers [N].
            target: Class indices [N] int64, or numbers [N].
        """

    def compute(self) -> torch.Tensor:
        """Return the figure over all batches, a scalar."""


class Accuracy:
    """The share of samples whose most probable class is the right one."""

    higher_is_better = True

    def __init__(self) -> None:
        self._right, self._count = 0, 0

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Take note of probabilities [N, K] and class indices [N]."""
        self._right += int((preds.argmax(1) == target).sum())
        self._count += len(target)

    def compute(self) -> torch.Tensor:
        """Return a scalar in 0..1."""
        return torch.tensor(self._right / max(1, self._count), dtype=torch.float64)


class MeanAbsoluteError:
    """The mean distance of predicted numbers from the true ones, in the target's unit."""

    higher_is_better = False

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Take note of numbers [N] and numbers [N]."""
        self._sum += float((preds.double() - target.double()).abs().sum())
        self._count += len(target)

    def compute(self) -> torch.Tensor:
        """Return a scalar, 0 or above."""
        return torch.tensor(self._sum / max(1, self._count), dtype=torch.float64)
