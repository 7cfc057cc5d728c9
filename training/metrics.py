"""Metrics (torchmetrics', ours, yours) fed with what each of them expects."""

from __future__ import annotations

import torch

from prefect_torch.errors import TrainingError
from prefect_torch.training.figures import Metric
from prefect_torch.training.objectives import Outputs


def measure(name: str, metric: Metric, outputs: Outputs) -> float:
    """Return one figure over a whole split.

    Args:
        name: What the spec calls it, for messages.
        metric: A fresh metric.
        outputs: Logits [N, K] with class indices [N], or numbers [N] with numbers [N].

    Raises:
        TrainingError: The metric does not fit the task, or gives more than one figure.
    """
    try:
        metric.update(_as_expected(metric, outputs.outputs), outputs.target)
        value = metric.compute()
        return float(value)
    except (RuntimeError, ValueError, TypeError) as error:
        raise TrainingError(
            f"metrics.{name}: {type(metric).__name__} does not fit predictions "
            f"{list(outputs.outputs.shape)} and target {list(outputs.target.shape)} "
            f"{outputs.target.dtype}: {error}; choose a metric of the task that gives one figure"
        ) from error


def improves_upwards(name: str, metric: Metric) -> bool:
    """Return whether a higher figure is a better one.

    Raises:
        TrainingError: The metric does not say.
    """
    if metric.higher_is_better is None:
        raise TrainingError(
            f"metrics.{name}: {type(metric).__name__} does not say whether higher is better, so "
            f"nothing can be decided by it; use another metric for early stopping and the gate, "
            f"or a subclass with `higher_is_better = True` (or False)"
        )
    return metric.higher_is_better


def _as_expected(metric: Metric, outputs: torch.Tensor) -> torch.Tensor:
    """Give a classification metric probabilities (one of two classes: of the second one).

    torchmetrics would take logits that happen to lie in 0..1 for probabilities.
    """
    if outputs.ndim == 1:
        return outputs
    probabilities = outputs.softmax(1)
    if type(metric).__name__.startswith("Binary") and outputs.shape[1] == 2:
        return probabilities[:, 1]
    return probabilities
