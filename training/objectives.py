"""What turns a model and a batch into a loss, and a model and batches into figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from prefect_torch.errors import TrainingError

Predict = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]


class Samples(Protocol):
    """What an objective needs of a batch; `datasets.batch.Batch` has it."""

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """Tensors by name, [N, …] each."""

    @property
    def target(self) -> torch.Tensor:
        """[N]."""

    @property
    def row(self) -> torch.Tensor:
        """[N] int64."""


class Outputs(NamedTuple):
    """What a model says about a split, on the CPU."""

    loss: float
    """Mean loss per sample."""
    outputs: torch.Tensor
    """[N, K] float32 logits, or [N] float32 in the target's own unit."""
    target: torch.Tensor
    """[N] int64 class index, or [N] float32 in the target's own unit."""
    row: torch.Tensor
    """[N] int64 row number in the ingested data."""


class Supervised:
    """Learning from labelled samples: classification (class index) or regression (one number)."""

    def __init__(self, predict: Predict, loss: nn.Module, target: Mapping[str, Any]) -> None:
        """Set up the objective.

        Args:
            predict: From a batch's inputs to the model's output (`models.inputs.bind_inputs`).
            loss: From (output, target) to a scalar, the mean over samples.
            target: The target's part of prepare's `fitted.json`.
        """
        self._predict = predict
        self._loss = loss
        self._number = target["kind"] == "number"
        self._classes = None if self._number else len(target["values"])
        self._scale = (target["deviation"], target["mean"]) if self._number else (1.0, 0.0)

    def loss(self, batch: Samples) -> torch.Tensor:
        """Return the scalar loss of a batch.

        Raises:
            TrainingError: Model, loss and batch do not fit together; gives their shapes.
        """
        return self._outputs_and_loss(batch)[1]

    @torch.no_grad()
    def evaluate(self, model: nn.Module, batches: Iterable[Samples]) -> Outputs:
        """Return what the model says about some batches, without learning from them."""
        model.eval()
        losses, outputs, targets, rows, count = [], [], [], [], 0
        for batch in batches:
            output, loss = self._outputs_and_loss(batch)
            losses.append(loss * len(batch.target))
            outputs.append(output.float())
            targets.append(batch.target)
            rows.append(batch.row)
            count += len(batch.target)
        deviation, mean = self._scale
        output, target = torch.cat(outputs).cpu(), torch.cat(targets).cpu()
        if self._number:
            output, target = output * deviation + mean, target * deviation + mean
        total = float(torch.stack(losses).cpu().double().sum())
        return Outputs(total / count, output, target, torch.cat(rows).cpu())

    def _outputs_and_loss(self, batch: Samples) -> tuple[torch.Tensor, torch.Tensor]:
        try:
            output = self._predict(batch.inputs)
            if self._number and output.ndim == 2 and output.shape[1] == 1:
                output = output.squeeze(1)
            self._check_output(output, batch)
            loss = self._loss(output, batch.target)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"the device has not enough memory for a batch of {len(batch.target)}: {error}; "
                f"lower loader.batch_size"
            ) from error
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise TrainingError(
                f"model and loss do not fit the data: {error}. {_shapes(batch)}"
            ) from error
        if loss.ndim:
            raise TrainingError(
                f"loss: gave {list(loss.shape)} values, expected one, the mean over the samples; "
                f"leave `reduction` out or say `reduction: mean`"
            )
        return output, loss

    def _check_output(self, output: torch.Tensor, batch: Samples) -> None:
        """Refuse outputs that would be broadcast, or that name classes the data has not."""
        samples = len(batch.target)
        expected = [samples] if self._classes is None else [samples, self._classes]
        if list(output.shape) != expected:
            what = (
                "a number"
                if self._classes is None
                else f"a logit for each of {expected[1]} classes"
            )
            raise TrainingError(
                f"model: gave an output of shape {list(output.shape)}, expected {expected}: {what} "
                f"a sample; sizes such as num_classes and out_features that are left out of the "
                f"spec are filled in. {_shapes(batch)}"
            )


def _shapes(batch: Samples) -> str:
    shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in batch.inputs.items())
    return (
        f"The batch has inputs {shapes} and target {list(batch.target.shape)} {batch.target.dtype}"
    )
