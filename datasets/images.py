"""Images: decoded once while preparing, to [channels, height, width]."""

from __future__ import annotations

import io
import struct
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types
import torch
from PIL import Image

from prefect_torch.datasets.spec import ImageFeature
from prefect_torch.datasets.transforms import PictureTransforms
from prefect_torch.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# What Pillow raises, depending on the format and on where the bytes are broken.
BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    struct.error,
    Image.DecompressionBombError,
)


class ImageEncoder:
    """Encodes pictures: encoded bytes become uint8, numbers keep uint8 or become float32."""

    constant = False
    """Pictures are never a target."""

    def __init__(
        self,
        column: str,
        feature: ImageFeature,
        transforms: PictureTransforms,
        seed: int,
    ) -> None:
        """Take a column; random transforms draw from (seed, row)."""
        self.column = column
        self._shape = feature.shape
        self._scale = feature.scale
        self._transforms = transforms
        self._seed = seed

    def check_type(self, found: pa.DataType) -> None:
        """Raise a DataError unless the column holds encoded pictures or lists of numbers."""
        if _is_encoded(found):
            if self._shape[0] not in MODES:
                raise DataError(
                    f"data.features.{self.column}.shape: {self._shape[0]} channels, expected "
                    f"1 (grey), 3 (RGB) or 4 (RGBA) for encoded pictures"
                )
            return
        inner = found
        while _is_list(inner):
            inner = inner.value_type
        number = types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner)
        if inner == found or not number:
            raise DataError(
                f"column {self.column!r} is of type {found}, expected encoded pictures (binary) "
                f"or a list of {prod(self._shape)} numbers for {{kind: image}}"
            )

    def observe(self, values: pa.Array, rows: Array) -> None:
        """Nothing is learned from pictures."""

    def fitted(self) -> dict[str, Any]:
        """Return the scale that is applied when a picture is read."""
        return {"kind": "image", "scale": self._scale}

    def encode(self, values: pa.Array, rows: Array) -> Array:
        """Return [rows, channels, height, width], uint8 or float32.

        Raises:
            DataError: A picture is broken, or not of the declared shape, or a transform fails.
        """
        if _is_encoded(values.type):
            decoded = [self._decode(v.as_py(), r) for v, r in zip(values, rows, strict=True)]
            pictures = np.stack(decoded)
        else:
            pictures = self._reshape(values, rows)
        if self._transforms:
            numbers = rows.tolist()
            seeds = [(self._seed, row) for row in numbers]
            given = torch.from_numpy(pictures)
            pictures = self._transforms.apply(given, self.column, numbers, seeds).numpy()
        return pictures

    def _decode(self, value: bytes, row: int) -> Array:
        channels, height, width = self._shape
        try:
            with Image.open(io.BytesIO(value)) as opened:
                mode = opened.mode
                picture = opened.convert(MODES[channels])
        except BROKEN as error:
            raise DataError(
                f"column {self.column!r}, row {row}: broken picture: {error}; replace it in the "
                f"source, or leave it empty there and say `nulls: drop`"
            ) from error
        if mode[0] in "IF":
            # Pillow would clip 16-bit values to 255 instead of scaling them.
            raise DataError(
                f"column {self.column!r}, row {row}: a picture of more than 8 bits a channel "
                f"(mode {mode}), expected 8; convert it, or give its values as a list of numbers"
            )
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(picture, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)

    def _reshape(self, values: pa.Array, rows: Array) -> Array:
        flat = self._flat(values, rows)
        dtype = np.uint8 if flat.type == pa.uint8() else np.float32
        # A missing value becomes 0 here, so that the cast is quiet; it is refused below.
        filled = flat.fill_null(False if types.is_boolean(flat.type) else 0)
        with np.errstate(over="ignore"):
            numbers: Array = filled.to_numpy(zero_copy_only=False).astype(dtype)
        right = np.isfinite(numbers) & np.asarray(flat.is_valid())
        pictures = numbers.reshape(-1, *self._shape)
        wrong = np.flatnonzero(~right.reshape(len(pictures), -1).all(axis=1))
        if len(wrong):
            raise DataError(
                f"column {self.column!r}, row {rows[wrong[0]]}: a value of the picture is missing "
                f"or not finite; mend the source, or leave the picture out and say `nulls: drop`"
            )
        return pictures

    def _flat(self, values: pa.Array, rows: Array) -> pa.Array:
        """Return all numbers in a row, after checking that each picture has the declared shape."""
        sizes: list[int] = []
        flat = values
        while _is_list(flat.type):
            lengths = pc.fill_null(pc.list_value_length(flat), 0).to_numpy(zero_copy_only=False)
            uneven = np.flatnonzero(lengths != lengths[0])
            if len(uneven):
                found = f"{lengths[uneven[0]]} values instead of {lengths[0]}"
                raise self._wrong_shape(found, rows[int(uneven[0]) // prod(sizes)])
            sizes.append(int(lengths[0]))
            if not sizes[-1]:
                raise self._wrong_shape("no values", rows[0])
            flat = flat.flatten()
        plain = [size for size in self._shape if size > 1]
        nested = [size for size in sizes if size > 1]
        if prod(sizes) != prod(self._shape) or (len(sizes) > 1 and nested != plain):
            raise self._wrong_shape(f"{' x '.join(map(str, sizes))} values", rows[0])
        return flat

    def _wrong_shape(self, found: str, row: int) -> DataError:
        return DataError(
            f"data.features.{self.column}.shape: {list(self._shape)} is {prod(self._shape)} values "
            f"a picture, found {found} in row {row}; declare the shape that the data has"
        )


def _is_encoded(found: pa.DataType) -> bool:
    return bool(types.is_binary(found) or types.is_large_binary(found))


def _is_list(found: pa.DataType) -> bool:
    return bool(
        types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
    )
