"""Ingest: any source to canonical Parquet, streamed, checked against `expect`, with statistics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from prefect_torch.datasets.expectations import Expectations
from prefect_torch.datasets.row_groups import row_groups
from prefect_torch.datasets.source import Source
from prefect_torch.datasets.spec import Expect
from prefect_torch.datasets.statistics import ColumnStatistics
from prefect_torch.errors import DataError
from prefect_torch.progress import report_progress
from prefect_torch.store import Artifact, write_json

STATISTICS = "statistics.json"
PART = "data/part-00000.parquet"


def ingest(source: Source, expect: Expect | None, output: Path) -> None:
    """Write a source's rows, in order, to `data/*.parquet`, and `statistics.json`, into a folder.

    The bytes are a function of the rows: how the source cuts them into batches decides nothing.
    At most about one batch of the source and one row group (64 MiB) are in memory.

    Args:
        source: Where the rows come from.
        expect: What must hold of them; None: nothing.
        output: An empty folder; after an error, what is in it is worth nothing.

    Raises:
        DataError: The source is broken or empty, a type cannot be stored, or `expect` does not
            hold; in the last case all that fails is named.
    """
    groups = row_groups(source.batches())
    first = next(groups, None)
    if first is None:
        raise DataError("the source has no rows; expected at least one")
    expectations = Expectations(expect or Expect(), first.schema)
    statistics = {field.name: ColumnStatistics(field.type) for field in first.schema}
    rows = 0
    with _writer(output / PART, first.schema) as writer:
        for group in _chain(first, groups):
            writer.write_table(group, row_group_size=group.num_rows)
            expectations.add(group, rows)
            for name, column in statistics.items():
                column.add(group.column(name).combine_chunks())
            rows += group.num_rows
            report_progress("ingest", rows, None, "rows")
    expectations.finish(rows)
    columns = {name: column.result() for name, column in statistics.items()}
    write_json(output / STATISTICS, {"rows": rows, "columns": columns})


def open_ingested(artifact: Artifact) -> pads.Dataset:
    """Return the rows of an ingest artifact, to be read lazily and in the order of the source."""
    parts = sorted(name for name in artifact.files if name.startswith("data/"))
    return pads.dataset([str(artifact.file(name)) for name in parts], format="parquet")


def read_statistics(artifact: Artifact) -> dict[str, Any]:
    """Return `{"rows": int, "columns": {name: {type, nulls, min, max, mean, distinct}}}`."""
    found: dict[str, Any] = artifact.json(STATISTICS)
    return found


def _chain(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    path.parent.mkdir(parents=True)
    try:
        return pq.ParquetWriter(path, schema, version="2.6", compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise DataError(
            f"the source has a column that Parquet cannot hold: {error}; convert it to numbers, "
            f"text or bytes (columns: {', '.join(f'{f.name} {f.type}' for f in schema)})"
        ) from error
