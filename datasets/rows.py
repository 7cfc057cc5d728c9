"""Rows of Python values to Arrow tables, exactly: no value changes its type on the way."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from prefect_torch.errors import DataError

TABLE_ROWS = 1024
TABLE_BYTES = 64 << 20
PAIR = ("image", "label")

Array = np.ndarray[Any, Any]


class RowTables:
    """Gathers rows into tables; the first table decides the type of each column."""

    def __init__(self, name: str) -> None:
        """Start without rows; `name` is what messages call the dataset."""
        self._name = name
        self._rows: list[dict[str, Any]] = []
        self._held = 0
        self._done = 0
        self._schema: pa.Schema | None = None

    def add(self, row: object) -> Iterator[pa.Table]:
        """Take one row, and yield a table when enough are together.

        Raises:
            DataError: The row is neither a dict nor a pair, or a value cannot be stored.
        """
        plain = {name: self._plain(name, value) for name, value in self._columns(row).items()}
        self._rows.append(plain)
        self._held += sum(_size(value) for value in plain.values())
        if len(self._rows) >= TABLE_ROWS or self._held >= TABLE_BYTES:
            yield from self.flush()

    def flush(self) -> Iterator[pa.Table]:
        """Yield what has been gathered so far, if anything."""
        if not self._rows:
            return
        names = list(self._rows[0]) if self._schema is None else self._schema.names
        for index, row in enumerate(self._rows):
            if row.keys() != set(names):
                raise DataError(
                    f"{self._name}: row {self._done + index} has the columns "
                    f"{', '.join(row) or '(none)'}; the rows before have {', '.join(names)}"
                )
        table = pa.table({name: self._column(name) for name in names})
        self._schema = self._schema or table.schema
        self._done += len(self._rows)
        self._rows, self._held = [], 0
        yield table

    def of_table(self, item: Any) -> pa.Table:
        """Return a pyarrow table, pandas DataFrame or other Arrow stream as a table.

        Raises:
            DataError: A column of a DataFrame holds values of several types.
        """
        try:
            if hasattr(item, "iloc"):  # pandas; its index is no column
                table = pa.Table.from_pandas(item, preserve_index=False)
            else:
                table = pa.table(item)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(
                f"{self._name}: the table that begins with row {self._done} cannot be stored: "
                f"{error}; give every column values of one type"
            ) from error
        self._done += table.num_rows
        return table

    def _columns(self, row: object) -> dict[str, Any]:
        if isinstance(row, Mapping):
            return {str(name): value for name, value in row.items()}
        if isinstance(row, (tuple, list)) and len(row) == len(PAIR):
            return dict(zip(PAIR, row, strict=True))
        what = type(row).__name__
        if isinstance(row, (tuple, list)):
            what += f" of {len(row)}"
        raise DataError(
            f"{self._name}: row {self._done + len(self._rows)} is a {what}; expected a dict of "
            'columns ({"age": 31, "label": "yes"}) or a pair (image, label)'
        )

    def _plain(self, name: str, value: Any) -> Any:
        """Turn a picture into PNG bytes and a tensor into an array; leave the rest."""
        try:
            if hasattr(value, "detach") and hasattr(value, "numpy"):  # a torch Tensor
                value = value.detach().cpu().numpy()
            elif hasattr(value, "save") and hasattr(value, "getbands"):  # a PIL Image
                return _png(value)
        except (TypeError, OSError) as error:
            raise DataError(
                f"{self._place(name)}: cannot be stored: {error}; convert it in the dataset, such "
                'as picture.convert("RGB") or tensor.float()'
            ) from error
        return value[()] if isinstance(value, np.ndarray) and not value.ndim else value

    def _place(self, name: str, index: int | None = None) -> str:
        row = self._done + (len(self._rows) if index is None else index)
        return f"{self._name}: row {row}, column {name!r}"

    def _column(self, name: str) -> pa.Array:
        values = [row[name] for row in self._rows]
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        kind = None if self._schema is None else self._schema.field(name).type
        if arrays:
            self._check_arrays(name, values, arrays[0], kind)
            return _lists(values, arrays[0])
        try:
            return _array(values, kind)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            index = self._first_misfit(values, kind)
            found = values[index]
            expected = "of the type of the rows before it" if kind is None else str(kind)
            raise DataError(
                f"{self._place(name, index)}: found {_short(found)}, expected {expected}; "
                "give every row a value of the same type"
            ) from error

    def _check_arrays(
        self, name: str, values: list[Any], first: Array, kind: pa.DataType | None
    ) -> None:
        """Refuse arrays whose type or number of values differs from the first one's."""
        expected = _list_type(first) if kind is None else kind
        if isinstance(expected, str):
            raise DataError(f"{self._place(name, 0)}: is {expected}; give numbers")
        for index, value in enumerate(values):
            if value is None:
                continue
            found = _list_type(value) if isinstance(value, np.ndarray) else type(value).__name__
            if found != expected:
                raise DataError(
                    f"{self._place(name, index)}: found {found}, expected {expected} as in the "
                    "rows before it; give every row as many values (resize, pad), of one type; "
                    "for lists of varying length give Python lists"
                )

    @staticmethod
    def _first_misfit(values: Sequence[Any], kind: pa.DataType | None) -> int:
        """Return the index of the first value that cannot follow the ones before it."""
        low, high = 0, len(values) - 1
        while low < high:
            middle = (low + high) // 2
            try:
                _array(values[: middle + 1], kind)
                low = middle + 1
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                high = middle
        return low


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _array(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    """Return values as an array, of a given type only where that changes none of them.

    `pa.array(values, type=kind)` alone would make 2.5 a 2.
    """
    found = pa.array(values)
    if kind is None or found.type == kind:
        return found
    if not _follows(found.type, kind):
        raise pa.ArrowInvalid(f"{found.type} cannot follow {kind}")
    return found.cast(kind)


def _follows(found: pa.DataType, kind: pa.DataType) -> bool:
    """Return whether values of one type may follow those of another without loss."""
    if pa.types.is_list(found) and pa.types.is_list(kind):
        return _follows(found.value_type, kind.value_type)
    return (
        found == kind
        or pa.types.is_null(found)
        or bool(pa.types.is_integer(found) and pa.types.is_floating(kind))
    )


def _list_type(value: Array) -> pa.DataType | str:
    try:
        return pa.list_(pa.from_numpy_dtype(value.dtype), value.size)
    except pa.ArrowNotImplementedError:
        return f"an array of {value.dtype}, which Parquet cannot hold"


def _lists(values: list[Any], like: Array) -> pa.Array:
    """Return arrays of equal size as fixed-size lists, row by row in C order; None is null."""
    filler = np.zeros_like(like)
    flat = np.stack([filler if v is None else v.reshape(like.shape) for v in values]).reshape(-1)
    missing = pa.array([value is None for value in values])
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), like.size, mask=missing)


def _size(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    return len(value) if isinstance(value, (bytes, str, list)) else 8


def _short(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:60] + '…'}"
