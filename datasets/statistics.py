"""Figures about each column, gathered row group by row group: missing values, range, mean."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

DISTINCT_LIMIT = 1000
"""Different values are counted up to so many."""


class ColumnStatistics:
    """What is known of one column so far."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._rows = 0
        self._nulls = 0
        self._finite = 0
        self._sum = 0.0
        self._min: int | float | None = None
        self._max: int | float | None = None
        self._distinct: set[Any] | None = set() if _is_countable(kind) else None

    def add(self, values: pa.Array) -> None:
        """Take the values of one row group."""
        self._rows += len(values)
        self._nulls += values.null_count
        if self._distinct is not None:
            self._distinct.update(pc.unique(values.drop_null()).to_pylist())
            if len(self._distinct) > DISTINCT_LIMIT:
                self._distinct = None
        if is_number(self._kind):
            self._add_numbers(values)

    def _add_numbers(self, values: pa.Array) -> None:
        finite = values.drop_null()
        if pa.types.is_floating(self._kind):
            finite = pc.cast(finite, pa.float64())
            finite = finite.filter(pc.is_finite(finite))
        if not len(finite):
            return
        ends = pc.min_max(finite).as_py()
        self._min = ends["min"] if self._min is None else min(self._min, ends["min"])
        self._max = ends["max"] if self._max is None else max(self._max, ends["max"])
        self._sum += pc.sum(pc.cast(finite, pa.float64(), safe=False)).as_py()
        self._finite += len(finite)

    def result(self) -> dict[str, Any]:
        """Return `type`, `nulls`, `min`, `max`, `mean` (numbers, the finite ones) and `distinct`.

        `min`, `max` and `mean` are None where there are none; `distinct` beyond 1,000 and for
        columns of bytes and lists. The mean has 12 digits: processors differ in what follows.
        """
        return {
            "type": str(self._kind),
            "nulls": self._nulls,
            "min": self._min,
            "max": self._max,
            "mean": float(f"{self._sum / self._finite:.12g}") if self._finite else None,
            "distinct": None if self._distinct is None else len(self._distinct),
        }


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column has a range and a mean: integers and floats."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_countable(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_decimal(kind)
    )
