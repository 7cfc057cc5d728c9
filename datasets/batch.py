"""What a loader yields: the inputs by name, the target, and which rows they came from."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Batch(NamedTuple):
    """One batch of samples. N: samples in the batch."""

    inputs: dict[str, torch.Tensor]
    """`numbers` [N, columns] float32, `categories` [N, columns] int64, `<image column>`
    [N, channels, height, width] float32, `<text column>` [N, max_length] int64."""

    target: torch.Tensor
    """[N] int64 class index, or [N] float32 (normalised as `fitted.json` says)."""

    row: torch.Tensor
    """[N] int64 row number in the ingested data."""

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(
            {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()},
            self.target.to(device, non_blocking=True),
            self.row,
        )
