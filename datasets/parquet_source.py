"""Parquet files, streamed row group by row group; all footers are checked before the first row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_torch.datasets.source import bound_to, files_identity, find_files, shown
from prefect_torch.errors import DataError, did_you_mean

BATCH_ROWS = 8192
MAGIC = b"PAR1"


class ParquetSource:
    """One or more Parquet files of the same columns, as one table in the order of the files."""

    def __init__(
        self,
        path: str | list[str],
        columns: list[str] | None = None,
    ) -> None:
        """Say which files to read; nothing is read yet.

        Args:
            path: Path or pattern (`data/*.parquet`), or several, relative to the pipeline file.
            columns: Columns to read, in this order; left out: all.
        """
        self._path, self._columns, self._project = path, columns, Path()

    def within(self, project: Path) -> ParquetSource:
        """Return the same source with relative paths starting at the folder `project`."""
        return bound_to(self, project)

    def identity(self) -> dict[str, Any]:
        """Return names and SHA-256 of the files."""
        return files_identity(find_files(self._path, self._project), self._project)

    def batches(self) -> Iterator[pa.Table]:
        """Yield the rows, at most 8,192 at a time.

        Raises:
            DataError: A file is missing, cut short, no Parquet, or has other columns or types than
                the first one; or there are no rows.
        """
        files = find_files(self._path, self._project)
        names = self._check(files)
        for file in files:
            done = 0
            try:
                with pq.ParquetFile(file) as parquet:
                    for batch in parquet.iter_batches(BATCH_ROWS, columns=names):
                        yield pa.Table.from_batches([batch]).select(names)
                        done += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"{self._shown(file)}: damaged after row {done}: {error}; "
                    "write or copy the file again"
                ) from error

    def _check(self, files: list[Path]) -> list[str]:
        """Read the footers, compare the columns, and return the names of those to read."""
        first = self._schema(files[0])[0]
        names = first.names if self._columns is None else self._columns
        for name in names:
            if name not in first.names:
                hint = did_you_mean(name, first.names)
                raise DataError(f"{self._shown(files[0])}: no column {name!r}; {hint}")
        rows = 0
        for file in files:
            schema, found = self._schema(file)
            self._compare(first, schema, files[0], file)
            rows += found
        if not rows:
            places = ", ".join(self._shown(file) for file in files[:5])
            raise DataError(f"{places}: no rows; expected at least one")
        return names

    def _schema(self, file: Path) -> tuple[pa.Schema, int]:
        """Return a file's columns and its number of rows."""
        try:
            with pq.ParquetFile(file) as parquet:
                return parquet.schema_arrow, parquet.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self._shown(file)}: {_trouble(file, error)}") from error

    def _compare(self, first: pa.Schema, other: pa.Schema, one: Path, file: Path) -> None:
        here, there = self._shown(file), self._shown(one)
        for name in sorted(set(first.names) ^ set(other.names)):
            has, lacks = (here, there) if name in other.names else (there, here)
            raise DataError(
                f"{lacks}: has no column {name!r}, but {has} has; files that are read together "
                "need the same columns"
            )
        for name in first.names:
            expected, found = first.field(name).type, other.field(name).type
            if found != expected:
                raise DataError(
                    f"{here}: column {name!r} is {found}, but {expected} in {there}; "
                    "write one of them again with the type of the other"
                )

    def _shown(self, file: Path) -> str:
        return shown(file, self._project)


def _trouble(file: Path, error: Exception) -> str:
    """Say why a file's footer cannot be read."""
    try:
        with file.open("rb") as stream:
            start = stream.read(len(MAGIC))
    except OSError as cause:
        return f"cannot be read: {cause.strerror}"
    if not start:
        return "the file is empty; expected Parquet"
    if start != MAGIC:
        return f"not a Parquet file: it begins with {start!r}; to read text, use CsvSource"
    return f"cut short or damaged: {error}; write or copy the file again"
