"""Cuts a stream of tables into row groups that depend on the rows alone, not on the stream's cuts.

So the same rows give the same Parquet bytes, whichever source and batch size they come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prefect_torch.errors import DataError

GROUP_ROWS = 65_536
GROUP_BYTES = 64 << 20

Array = np.ndarray[Any, np.dtype[np.int64]]


def row_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows again, in order, as tables of one chunk with types made canonical.

    A row group has 65,536 rows, or as many as fit in 64 MiB, at least one. Dictionaries become
    their values; a NaN becomes a null, so that there is one kind of missing value; schema
    metadata is dropped.

    Raises:
        DataError: A column name stands twice, or a table has other columns or types than the first.
    """
    schema: pa.Schema | None = None
    waiting = _Waiting()
    done = 0
    for table in tables:
        plain = _canonical(table)
        if schema is None:
            _check_names(plain.schema)
            schema = plain.schema
        waiting.add(_conformed(plain, schema, done))
        done += table.num_rows
        while waiting.rows >= GROUP_ROWS or waiting.bytes > GROUP_BYTES:
            yield waiting.take(waiting.fitting())
    if waiting.rows:
        yield waiting.take(waiting.rows)


class _Waiting:
    """Rows that are not in a row group yet."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self._sizes: list[Array] = []
        self.rows = 0
        self.bytes = 0

    def add(self, table: pa.Table) -> None:
        """Take rows at the end."""
        sizes = _row_bytes(table)
        self._tables.append(table)
        self._sizes.append(sizes)
        self.rows += len(sizes)
        self.bytes += int(sizes.sum())

    def fitting(self) -> int:
        """Return how many rows make the next row group."""
        ends = np.cumsum(np.concatenate(self._sizes)[:GROUP_ROWS])
        return max(1, int(np.searchsorted(ends, GROUP_BYTES, side="right")))

    def take(self, rows: int) -> pa.Table:
        """Remove the first rows and return them as a table of one chunk."""
        table, sizes = pa.concat_tables(self._tables), np.concatenate(self._sizes)
        self._tables, self._sizes = [table.slice(rows)], [sizes[rows:]]
        self.rows -= rows
        self.bytes -= int(sizes[:rows].sum())
        return table.slice(0, rows).combine_chunks()


def _row_bytes(table: pa.Table) -> Array:
    """Return [rows] how many bytes each row holds, however the table is cut into chunks."""
    sizes = np.zeros(table.num_rows, dtype=np.int64)
    for column in table.columns:
        sizes += _value_bytes(column)
    return sizes


def _value_bytes(column: pa.ChunkedArray) -> Array | int:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _filled(pc.binary_length(column))
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _width(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _filled(pc.list_value_length(column)) * _width(kind.value_type)
    return _width(kind)


def _filled(lengths: pa.ChunkedArray) -> Array:
    return np.asarray(pc.cast(pc.fill_null(lengths, 0), pa.int64()), dtype=np.int64)


def _width(kind: pa.DataType) -> int:
    """Return the bytes of one value; a guess where values differ in length."""
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 32


def _canonical(table: pa.Table) -> pa.Table:
    columns = [_plain(column) for column in table.columns]
    names = table.column_names
    fields = [pa.field(name, c.type) for name, c in zip(names, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as the one type that stands for all those of the same values."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return column.cast(pa.binary())
    if pa.types.is_float32(kind) or pa.types.is_float64(kind):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    return column


def _check_names(schema: pa.Schema) -> None:
    names = schema.names
    if not names:
        raise DataError("the source has no columns; expected at least one")
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"the source has {names.count(name)} columns called {name!r}; "
                "give each a name of its own"
            )


def _conformed(table: pa.Table, schema: pa.Schema, row: int) -> pa.Table:
    """Return a table with its columns in the order of the first one's.

    Raises:
        DataError: It has other columns, or a column of another type.
    """
    if sorted(table.column_names) != sorted(schema.names):
        raise DataError(
            f"the source's rows from {row} on have the columns {', '.join(table.column_names)}; "
            f"those before have {', '.join(schema.names)}; give every batch the same columns"
        )
    columns = []
    for field in schema:
        column = table.column(field.name)
        if pa.types.is_null(column.type) and column.type != field.type:
            column = column.cast(field.type)
        if column.type != field.type:
            raise DataError(
                f"the source's column {field.name!r} is {column.type} from row {row} on, but "
                f"{field.type} before; give every batch the same types (pandas makes integers "
                'with missing values floats; astype("Int64") keeps them)'
            )
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)
