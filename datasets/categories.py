"""Categories: the values seen in the train split, in sorted order, as int64 indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from prefect_torch.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


class CategoryEncoder:
    """Encodes a column of categories as int64 [rows]; with `unknown`, index 0 is for others."""

    def __init__(self, column: str, unknown: bool = True) -> None:
        self.column = column
        self._unknown = unknown
        self._seen: set[Any] = set()
        self._values: pa.Array | None = None

    def check_type(self, found: pa.DataType) -> None:
        """Raise a DataError unless the column holds text, integers or booleans."""
        if types.is_floating(found):
            raise DataError(
                f"column {self.column!r} holds fractions ({found}), expected categories; declare "
                f"it as {{kind: number}}, or convert it to integers or text in the source"
            )
        if not (
            types.is_string(found)
            or types.is_large_string(found)
            or types.is_integer(found)
            or types.is_boolean(found)
        ):
            raise DataError(
                f"column {self.column!r} is of type {found}, expected text, integers or booleans "
                f"for {{kind: category}}; convert it in the source"
            )

    @property
    def constant(self) -> bool:
        """Whether all values so far were the same (or there were none)."""
        return len(self._seen) < 2

    def observe(self, values: pa.Array, rows: Array) -> None:
        """Collect the different values."""
        self._seen.update(values.unique().drop_null().to_pylist())
        self._values = None

    def fitted(self) -> dict[str, Any]:
        """Return the values in index order."""
        return {"kind": "category", "values": sorted(self._seen), "unknown": self._unknown}

    def encode(self, values: pa.Array, rows: Array) -> Array:
        """Return [rows] int64.

        Raises:
            DataError: A value was not seen in the train split and there is no unknown index.
        """
        if self._values is None or self._values.type != values.type:
            self._values = pa.array(sorted(self._seen), values.type)
        index = pc.index_in(values, self._values)
        if index.null_count and not self._unknown:
            first = int(np.argmax(index.is_null()))
            row = rows[first]
            raise DataError(
                f"target {self.column!r}, row {row}: value {values[first].as_py()!r} does not "
                f"occur in the train split, so no model can learn it; add rows of it"
            )
        shift = 1 if self._unknown else 0
        codes: Array = pc.fill_null(index, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return codes + shift
