"""Images: decoded once while preparing, to [channels, height, width]."""

from __future__ import annotations

import io
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types
import torch
from PIL import Image, UnidentifiedImageError

from prefect_torch.datasets.spec import ImageFeature
from prefect_torch.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class ImageEncoder:
    """Encodes pictures: encoded bytes become uint8, numbers keep uint8 or become float32."""

    def __init__(
        self,
        column: str,
        feature: ImageFeature,
        transforms: list[Callable[[torch.Tensor], torch.Tensor]],
    ) -> None:
        self.column = column
        self._shape = feature.shape
        self._scale = feature.scale
        self._transforms = transforms

    def observe(self, values: pa.Array) -> None:
        """Nothing is learned from pictures."""

    def fitted(self) -> dict[str, Any]:
        """Return the scale that is applied when a picture is read."""
        return {"kind": "image", "scale": self._scale}

    def encode(self, values: pa.Array) -> Array:
        """Return [rows, channels, height, width], uint8 or float32.

        Raises:
            DataError: A picture is broken, or not of the declared shape.
        """
        if types.is_binary(values.type) or types.is_large_binary(values.type):
            pictures = np.stack([self._decode(item, row) for row, item in enumerate(values)])
        else:
            pictures = self._reshape(values)
        if not self._transforms:
            return pictures
        return np.stack([self._transform(torch.from_numpy(p)).numpy() for p in pictures])

    def _decode(self, value: Any, row: int) -> Array:
        channels, height, width = self._shape
        if channels not in MODES:
            raise DataError(
                f"data.features.{self.column}.shape: {channels} channels, expected 1 (grey), "
                f"3 (RGB) or 4 (RGBA) for encoded pictures"
            )
        try:
            with Image.open(io.BytesIO(value.as_py())) as opened:
                picture = opened.convert(MODES[channels])
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"column {self.column!r}, row {row}: broken picture: {error}") from error
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(picture, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)

    def _reshape(self, values: pa.Array) -> Array:
        if not types.is_nested(values.type) or types.is_struct(values.type):
            raise DataError(
                f"column {self.column!r} is of type {values.type}, expected encoded pictures "
                f"(binary) or a list of {prod(self._shape)} numbers for {{kind: image}}"
            )
        flat = values.flatten()
        while types.is_nested(flat.type):
            flat = flat.flatten()
        expected = len(values) * prod(self._shape)
        if len(flat) != expected:
            raise DataError(
                f"data.features.{self.column}.shape: {list(self._shape)} is {prod(self._shape)} "
                f"values a picture, found {len(flat) / max(1, len(values)):g} in the data"
            )
        dtype = np.uint8 if flat.type == pa.uint8() else np.float32
        numbers: Array = flat.to_numpy(zero_copy_only=False).astype(dtype)
        return numbers.reshape(-1, *self._shape)

    def _transform(self, picture: torch.Tensor) -> torch.Tensor:
        for transform in self._transforms:
            picture = transform(picture)
        if picture.dtype not in (torch.uint8, torch.float32):
            raise DataError(
                f"transforms.prepare: gave {picture.dtype} for column {self.column!r}, expected "
                f"uint8 or float32; end with {{class: torchvision.transforms.v2.ToDtype, …}}"
            )
        return picture.contiguous()
