"""Transforms of pictures, one at a time; their random numbers depend on nothing but the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from prefect_torch.datasets.randomness import random_state_kept, seed_all
from prefect_torch.errors import DataError

Transform = Callable[[torch.Tensor], torch.Tensor]


class PictureTransforms:
    """Applies transforms in order to each picture of a batch."""

    def __init__(self, transforms: Sequence[Transform], place: str) -> None:
        """Take transforms of [channels, height, width].

        Args:
            transforms: What is applied, in order.
            place: Where they are declared, for messages: `transforms.train`.
        """
        self._transforms = tuple(transforms)
        self._place = place
        # What the first picture of each column became, so that all become the same.
        self._given: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._transforms)

    def apply(
        self, pictures: torch.Tensor, column: str, rows: Sequence[int], seeds: Sequence[Any]
    ) -> torch.Tensor:
        """Return [N, channels, height, width], uint8 or float32.

        Args:
            pictures: [N, channels, height, width].
            column: Where they come from, for messages.
            rows: [N] row numbers in the data, for messages.
            seeds: [N] tuples of numbers; a picture's random numbers are drawn from its own.

        Raises:
            DataError: A transform fails, or gives anything but pictures of one shape and dtype.
        """
        changed: list[torch.Tensor] = []
        with random_state_kept():
            for picture, row, seed in zip(pictures, rows, seeds, strict=True):
                seed_all(*seed)
                changed.append(self._one(picture, f"column {column!r}, row {row}"))
                self._check_alike(changed[-1], column, row)
        return torch.stack(changed)

    def _one(self, picture: torch.Tensor, where: str) -> torch.Tensor:
        for number, transform in enumerate(self._transforms):
            try:
                picture = transform(picture)
            except Exception as error:
                name = type(transform).__name__
                raise DataError(
                    f"{self._place}.{number} ({name}), {where}: {type(error).__name__}: {error}; "
                    f"it was given {_described(picture)}"
                ) from error
        right = isinstance(picture, torch.Tensor) and picture.ndim == 3
        if not right or picture.dtype not in (torch.uint8, torch.float32):
            raise DataError(
                f"{self._place}, {where}: the last transform gave {_described(picture)}, expected "
                f"[channels, height, width] of uint8 or float32; end with {{class: "
                f"torchvision.transforms.v2.ToDtype, dtype: torch.float32}} or the like"
            )
        return picture

    def _check_alike(self, found: torch.Tensor, column: str, row: int) -> None:
        first = self._given.setdefault(column, _described(found))
        if _described(found) != first:
            raise DataError(
                f"{self._place}, column {column!r}, row {row}: gave {_described(found)}, but "
                f"{first} for a picture before; give all the same shape and dtype"
            )


def _described(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return f"a {type(value).__name__}"
