"""Numbers: filled where missing, normalised by the train split, float32."""

from __future__ import annotations

from math import inf, sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from prefect_torch.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


class NumberEncoder:
    """Encodes a numeric column as float32 [rows]; integers beyond 2^53 are rounded on the way."""

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
        self._low, self._high = inf, -inf
        self._values: list[Array] = []
        self._fitted: dict[str, Any] | None = None

    def check_type(self, found: pa.DataType) -> None:
        """Raise a DataError unless the column holds numbers or booleans."""
        if types.is_integer(found) or types.is_floating(found) or types.is_boolean(found):
            return
        text = types.is_string(found) or types.is_large_string(found)
        raise DataError(
            f"column {self.column!r} is of type {found}, expected numbers for {{kind: number}}; "
            + ("declare it as {kind: category}, or " if text else "")
            + "convert it to integers or floats in the source"
        )

    @property
    def constant(self) -> bool:
        """Whether all values so far were the same (or there were none)."""
        return self._low >= self._high

    def observe(self, values: pa.Array, rows: Array) -> None:
        """Update mean and variance (Chan, Golub and LeVeque 1979: pairwise, in batches)."""
        numbers = _as_float64(values)
        self._check_finite(pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False), values, rows)
        batch = numbers.drop_null().to_numpy(zero_copy_only=False)
        if not len(batch):
            return
        self._fitted = None
        if self._nulls == "median":
            self._values.append(batch)
        count = self._count + len(batch)
        mean = float(batch.mean())
        shift = mean - self._mean
        self._squares += float(((batch - mean) ** 2).sum())
        self._squares += shift**2 * self._count * len(batch) / count
        self._mean += shift * len(batch) / count
        self._count = count
        self._low, self._high = min(self._low, batch.min()), max(self._high, batch.max())

    def fitted(self) -> dict[str, Any]:
        """Return mean, standard deviation and the value that fills missing ones.

        Raises:
            DataError: Missing values are to be filled from a train split that has no values.
        """
        if self._fitted is None:
            self._fitted = self._fit()
        return self._fitted

    def _fit(self) -> dict[str, Any]:
        if not self._count and self._nulls in ("mean", "median"):
            raise DataError(
                f"column {self.column!r} has no value in the train split, so it has no "
                f"{self._nulls}; take it out of `data.features`, or fill it with a number"
            )
        mean, deviation = self._mean, sqrt(self._squares / max(1, self._count))
        if self.constant:
            # Rounding would leave a deviation of about 1e-17, and divide by it.
            mean, deviation = float(self._low) if self._count else 0.0, 1.0
        fill = {"mean": mean, "median": self._median(), "error": None, "drop": None}
        return {
            "kind": "number",
            "mean": mean if self._normalize else 0.0,
            "deviation": deviation if self._normalize else 1.0,
            "fill": fill[self._nulls] if isinstance(self._nulls, str) else float(self._nulls),
        }

    def _median(self) -> float | None:
        return float(np.median(np.concatenate(self._values))) if self._values else None

    def encode(self, values: pa.Array, rows: Array) -> Array:
        """Return [rows] float32.

        Raises:
            DataError: A value is missing where none is expected, infinite, or beyond float32.
        """
        state = self.fitted()
        numbers = _as_float64(values)
        if state["fill"] is not None:
            numbers = pc.fill_null(numbers, state["fill"])
        exact: Array = numbers.to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):
            encoded: Array = ((exact - state["mean"]) / state["deviation"]).astype(np.float32)
        self._check_finite(encoded, values, rows)
        return encoded

    def _check_finite(self, numbers: Array, values: pa.Array, rows: Array) -> None:
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if len(wrong):
            at = int(wrong[0])
            row = rows[at]
            raise DataError(
                f"column {self.column!r}, row {row}: {values[at].as_py()} is no finite number that "
                f"float32 holds; correct it in the source"
            )


def _as_float64(values: pa.Array) -> pa.Array:
    """Return numbers as float64, NaN as null."""
    numbers = values.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
