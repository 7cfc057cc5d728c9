"""What a model's outputs on a split say: predictions, confusion, per-class figures, mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from prefect_torch.training.objectives import Outputs


@dataclass(frozen=True)
class Findings:
    """Predictions row by row, and what they add up to."""

    predictions: dict[str, Sequence[Any]]
    """Column name to values, one per sample."""
    details: dict[str, Any]
    """JSON for the report."""
    mistakes: list[int]
    """Positions in the split, the worst first."""


def classification(outputs: Outputs, labels: Sequence[Any], most: int) -> Findings:
    """Return what logits [N, K] say about class indices [N].

    Args:
        outputs: Of a split.
        labels: The K classes.
        most: At most this many mistakes, the most confident first.
    """
    probabilities = outputs.outputs.softmax(1)
    confidence, predicted = probabilities.max(1)
    correct = predicted == outputs.target
    classes = len(labels)
    pairs = outputs.target * classes + predicted
    confusion = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    wrong = (~correct).nonzero().flatten()
    worst = wrong[confidence[wrong].argsort(descending=True, stable=True)][:most]
    return Findings(
        {
            "row": outputs.row.tolist(),
            "target": [labels[i] for i in outputs.target.tolist()],
            "prediction": [labels[i] for i in predicted.tolist()],
            "confidence": confidence.tolist(),
            "correct": correct.tolist(),
        },
        {
            "kind": "classification",
            "labels": [str(label) for label in labels],
            "confusion": confusion.tolist(),
            "per_class": _per_class(confusion.double(), labels),
        },
        worst.tolist(),
    )


def _per_class(confusion: torch.Tensor, labels: Sequence[Any]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class from counts [K true, K predicted]."""
    hits = confusion.diagonal()
    support = confusion.sum(1)
    precision = hits / confusion.sum(0).clamp(min=1)
    recall = hits / support.clamp(min=1)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return [
        {
            "label": str(label),
            "precision": round(float(precision[i]), 6),
            "recall": round(float(recall[i]), 6),
            "f1": round(float(f1[i]), 6),
            "support": int(support[i]),
        }
        for i, label in enumerate(labels)
    ]


def regression(outputs: Outputs, most: int) -> Findings:
    """Return what predicted numbers [N] say about true numbers [N]; the largest errors first."""
    error = outputs.outputs - outputs.target
    worst = error.abs().argsort(descending=True, stable=True)[:most]
    return Findings(
        {
            "row": outputs.row.tolist(),
            "target": outputs.target.tolist(),
            "prediction": outputs.outputs.tolist(),
            "error": error.tolist(),
        },
        {"kind": "regression", "labels": [], "confusion": [], "per_class": []},
        worst.tolist(),
    )
