"""Numbers: filled where missing, normalised by the train split, float32."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from prefect_torch.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


class NumberEncoder:
    """Encodes a numeric column as float32 [rows]."""

    def __init__(
        self,
        column: str,
        normalize: bool,
        nulls: str | float,
    ) -> None:
        self.column = column
        self._normalize = normalize
        self._nulls = nulls
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        self._values: list[Array] = []

    def observe(self, values: pa.Array) -> None:
        """Update mean and variance (Chan, Golub and LeVeque 1979: pairwise, in batches)."""
        batch = _as_float64(values, self.column).drop_null().to_numpy(zero_copy_only=False)
        if not len(batch):
            return
        if self._nulls == "median":
            self._values.append(batch)
        count = self._count + len(batch)
        mean = float(batch.mean())
        shift = mean - self._mean
        self._squares += float(((batch - mean) ** 2).sum())
        self._squares += shift**2 * self._count * len(batch) / count
        self._mean += shift * len(batch) / count
        self._count = count

    def fitted(self) -> dict[str, Any]:
        """Return mean, standard deviation and the value that fills missing ones."""
        deviation = sqrt(self._squares / self._count) if self._count else 0.0
        return {
            "kind": "number",
            "mean": self._mean if self._normalize else 0.0,
            "deviation": (deviation or 1.0) if self._normalize else 1.0,
            "fill": self._fill(),
        }

    def _fill(self) -> float | None:
        if self._nulls == "mean":
            return self._mean
        if self._nulls == "median":
            return float(np.median(np.concatenate(self._values))) if self._values else 0.0
        return None if isinstance(self._nulls, str) else float(self._nulls)

    def encode(self, values: pa.Array) -> Array:
        """Return [rows] float32.

        Raises:
            DataError: A value is missing where none is expected.
        """
        state = self.fitted()
        numbers = _as_float64(values, self.column)
        if state["fill"] is not None:
            numbers = pc.fill_null(numbers, state["fill"])
        exact: Array = numbers.to_numpy(zero_copy_only=False)
        if not np.isfinite(exact).all():
            raise DataError(
                f"column {self.column!r}: {int((~np.isfinite(exact)).sum())} values are missing "
                f"or infinite, expected finite numbers; correct them in the source"
            )
        return ((exact - state["mean"]) / state["deviation"]).astype(np.float32)


def _as_float64(values: pa.Array, column: str) -> pa.Array:
    """Return numbers as float64, NaN as null."""
    if not (
        types.is_integer(values.type)
        or types.is_floating(values.type)
        or types.is_boolean(values.type)
    ):
        raise DataError(
            f"column {column!r} is of type {values.type}, expected numbers; "
            f"declare it as {{kind: category}}, or convert it in the source"
        )
    numbers = values.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
