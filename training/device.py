"""Which device to train on."""

from __future__ import annotations

from collections.abc import Callable

import torch

from prefect_torch.errors import TrainingError


def choose_device(wanted: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        TrainingError: The device asked for is not there.
    """
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, there in available.items() if there()))
    if not available[wanted]():
        there = ", ".join(name for name, is_there in available.items() if is_there())
        raise TrainingError(
            f"train.device: {wanted!r} is not available here (found: {there}); say `device: auto`"
        )
    return torch.device(wanted)
