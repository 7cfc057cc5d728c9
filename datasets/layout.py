"""The training layout: Parquet whose values are also contiguous bytes, so that a batch is a gather.

Each tensor field is one fixed-size-binary column (the bytes of a row's tensor), non-null, PLAIN,
uncompressed, without dictionary, one page per column chunk; dtype and shape stand in the schema's
metadata. Any Parquet reader reads it; `parquet_dataset.py` maps it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prefect_torch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

METADATA_KEY = b"prefect_torch.fields"
ROW_GROUP_BYTES = 64 << 20
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Field:
    """A tensor per row: its name, NumPy dtype name and shape without the batch dimension."""

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    """Names of the source columns that stand side by side in it, where there are several."""

    @property
    def width(self) -> int:
        """Bytes per row."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


class LayoutWriter:
    """Writes rows of tensors to one Parquet file; use as a context manager."""

    def __init__(self, path: Path, fields: Sequence[Field]) -> None:
        self._fields = tuple(fields)
        metadata = {METADATA_KEY: json.dumps([asdict(field) for field in fields]).encode()}
        self._schema = pa.schema(
            [pa.field(f.name, pa.binary(f.width), nullable=False) for f in fields],
            metadata=metadata,
        )
        self._group_rows = max(1, ROW_GROUP_BYTES // max(1, sum(f.width for f in fields)))
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
            data_page_size=2**30,
            max_rows_per_page=2**31 - 1,
            store_schema=True,
        )
        self._pending: list[pa.Table] = []
        self.rows = 0

    def __enter__(self) -> LayoutWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush(everything=True)
        self._writer.close()

    def write(self, tensors: Mapping[str, Array]) -> None:
        """Append rows; each array is [rows, *shape] of its field's dtype."""
        columns = [_as_binary(tensors[field.name], field) for field in self._fields]
        table = pa.Table.from_arrays(columns, schema=self._schema)
        self.rows += table.num_rows
        self._pending.append(table)
        self._flush()

    def _flush(self, everything: bool = False) -> None:
        waiting = sum(table.num_rows for table in self._pending)
        while waiting >= self._group_rows or (everything and waiting):
            table = pa.concat_tables(self._pending).combine_chunks()
            group = table.slice(0, self._group_rows)
            self._writer.write_table(group, row_group_size=self._group_rows)
            rest = table.slice(self._group_rows)
            self._pending = [rest] if rest.num_rows else []
            waiting = rest.num_rows


def _as_binary(values: Array, field: Field) -> pa.Array:
    if values.dtype != np.dtype(field.dtype) or values.shape[1:] != field.shape:
        raise DataError(
            f"field {field.name!r}: rows of {values.dtype} {values.shape[1:]}, "
            f"expected {field.dtype} {field.shape}"
        )
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(field.width), len(values), [None, buffer])


def read_fields(schema: pa.Schema, path: Path) -> tuple[Field, ...]:
    """Return the tensor fields that a file's schema describes.

    Raises:
        DataError: The file was not written in the training layout.
    """
    described = (schema.metadata or {}).get(METADATA_KEY)
    if described is None:
        raise DataError(f"{path}: not in the training layout; write it with LayoutWriter")
    return tuple(
        Field(f["name"], f["dtype"], tuple(f["shape"]), tuple(f["columns"]))
        for f in json.loads(described)
    )


def layout_to_pandas(path: Path) -> pd.DataFrame:
    """Return a file of the training layout as a DataFrame, one column per source column.

    Fields of several columns are taken apart; other tensors stay one array per row. A column with
    the name of a field (`row`) is called by both names (`numbers.row`).
    """
    import pandas as pd

    table = pq.read_table(path)
    fields = read_fields(table.schema, path)
    taken = {field.name for field in fields}
    frame: dict[str, Any] = {}
    for field in fields:
        raw = b"".join(table[field.name].to_pylist())
        values = np.frombuffer(raw, field.dtype).reshape(-1, *field.shape)
        if field.columns:
            names = [f"{field.name}.{n}" if n in taken else n for n in field.columns]
            frame |= {name: values[:, i] for i, name in enumerate(names)}
        else:
            frame[field.name] = list(values) if field.shape else values
    return pd.DataFrame(frame)
