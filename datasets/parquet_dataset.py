"""A lazily reading Dataset over a file of the training layout (see layout.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset

from prefect_torch.datasets.layout import Field, read_fields
from prefect_torch.errors import DataError

PAGE_HEADER_BYTES = 33
"""More than this before the values means that there is more than one page: without statistics a
page header takes 17 to 29 bytes (Apache Parquet, `parquet.thrift`, compact protocol)."""


class ParquetDataset(Dataset[dict[str, torch.Tensor]]):
    """Map-style Dataset: `dataset[3]` is a sample, `dataset[LongTensor]` a whole batch.

    Holds a path and row-group offsets only; the file is memory-mapped on first use in each
    process, so that it pickles small and costs no memory of its own. The idea of reading Parquet
    pages in place rests on the format's PLAIN encoding (Apache Parquet, "Encodings").
    """

    def __init__(self, path: str | Path) -> None:
        """Open a file.

        Raises:
            DataError: It cannot be read, or is not in the training layout.
        """
        self.path = Path(path)
        try:
            metadata = pq.read_metadata(self.path)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path}: not a readable Parquet file: {error}") from error
        self.fields = read_fields(metadata.schema.to_arrow_schema(), self.path)
        self._length = int(metadata.num_rows)
        rows = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
        self._first = torch.tensor(np.concatenate([[0], np.cumsum(rows)])[:-1], dtype=torch.int64)
        self._offsets = {
            field.name: torch.tensor(
                [self._offset(metadata, g, i) for g in range(metadata.num_row_groups)],
                dtype=torch.int64,
            )
            for i, field in enumerate(self.fields)
        }
        self._bytes: torch.Tensor | None = None

    def _offset(self, metadata: Any, group: int, column: int) -> int:
        """Return where the values of a column chunk begin in the file."""
        chunk = metadata.row_group(group).column(column)
        values = metadata.row_group(group).num_rows * self.fields[column].width
        header = chunk.total_compressed_size - values
        plain = (
            chunk.path_in_schema == self.fields[column].name
            and chunk.compression == "UNCOMPRESSED"
            and set(chunk.encodings) <= {"PLAIN", "RLE"}
        )
        if not plain or not 0 < header <= PAGE_HEADER_BYTES:
            raise DataError(
                f"{self.path}: row group {group}, column {chunk.path_in_schema}: not one plain "
                f"uncompressed page; prepare writes that, so the file was rewritten by other means"
            )
        return int(chunk.data_page_offset) + int(header)

    def __len__(self) -> int:
        return self._length

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bytes": None}

    def __getitem__(self, index: int | torch.Tensor) -> dict[str, torch.Tensor]:
        """Return a sample {field: [*shape]}, or for [N] int64 a batch {field: [N, *shape]}."""
        if isinstance(index, torch.Tensor):
            return self._batch(index)
        if not -self._length <= index < self._length:
            raise IndexError(f"row {index} of {self._length}")
        batch = self._batch(torch.tensor([index % self._length]))
        return {name: values[0] for name, values in batch.items()}

    def __getitems__(self, index: list[int]) -> list[dict[str, torch.Tensor]]:
        """Return samples, read together: what a DataLoader with a `batch_size` asks for."""
        batch = self._batch(torch.tensor(index, dtype=torch.int64))
        return [{name: values[i] for name, values in batch.items()} for i in range(len(index))]

    def _batch(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < self._length:
            raise IndexError(
                f"{self.path}: rows {int(rows.min())} to {int(rows.max())} of {self._length}; "
                f"expected 0 to {self._length - 1}"
            )
        group = torch.searchsorted(self._first, rows, right=True) - 1
        within = rows - self._first[group]
        return {
            field.name: self._gather(field, self._offsets[field.name][group], within)
            for field in self.fields
        }

    def _gather(self, field: Field, offset: torch.Tensor, within: torch.Tensor) -> torch.Tensor:
        data = self._open()
        windows = data.as_strided((len(data) - field.width + 1, field.width), (1, 1))
        values = windows.index_select(0, offset + within * field.width)
        return values.view(_TORCH[field.dtype]).reshape(len(within), *field.shape)

    def _open(self) -> torch.Tensor:
        if self._bytes is None:
            # Copy-on-write: nothing here writes, but torch wants a writable buffer.
            self._bytes = torch.from_numpy(np.memmap(self.path, np.uint8, mode="c"))
        return self._bytes


_TORCH = {
    "uint8": torch.uint8,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
}
