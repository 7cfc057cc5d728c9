"""The first pass over the data: which rows stay, and which classes and groups there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from prefect_torch.datasets.spec import DataSpec, Feature
from prefect_torch.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
BATCH_ROWS = 8192
FILLS = {
    "number": "`nulls: drop`, `mean`, `median` or a number",
    "category": "`nulls: drop` or `unknown`",
    "text": "`nulls: drop` or `empty`",
    "image": "`nulls: drop`",
}
"""What a person may say about missing values, by kind of feature."""


@dataclass(frozen=True)
class Scan:
    """What one pass over the data finds before anything is fitted; about 17 bytes a row."""

    kept: Array
    """[rows] bool: False where a missing value says to drop the row."""
    groups: Array | None
    """[rows] int64: stratification group."""
    classes: Array | None
    """[rows] int64: target class."""
    class_names: list[Any]


def scan(data: DataSpec, features: Mapping[str, Feature], ingested: pads.Dataset) -> Scan:
    """Find missing values (NaN is one), stratification groups and target classes.

    Raises:
        DataError: Values are missing where none may be, in a row that is not dropped; all such
            columns are in the message.
    """
    policies = {name: feature.nulls for name, feature in features.items()}
    policies[data.target_column] = data.target[data.target_column].nulls
    stratify = data.split.stratify
    wanted = list(dict.fromkeys([*policies, *([stratify] if stratify else [])]))
    missing: dict[str, tuple[int, int]] = {}
    kept: list[Array] = []
    groups, classes = _Codes(), _Codes()
    first_row = 0
    for batch in read_batches(ingested, wanted):
        nulls = {name: _is_missing(batch.column(name)) for name in policies}
        keep = np.ones(batch.num_rows, bool)
        for name in (name for name, policy in policies.items() if policy == "drop"):
            keep &= ~nulls[name]
        for name in (name for name, policy in policies.items() if policy == "error"):
            wrong = np.flatnonzero(nulls[name] & keep)
            if len(wrong):
                count, first = missing.get(name, (0, first_row + int(wrong[0])))
                missing[name] = (count + len(wrong), first)
        kept.append(keep)
        if stratify:
            groups.add(batch.column(stratify))
        if data.target_kind == "category":
            classes.add(batch.column(data.target_column))
        first_row += batch.num_rows
    if missing:
        raise DataError(
            "\n".join(
                _missing(data, features, name, *missing[name])
                for name in policies
                if name in missing
            )
        )
    return Scan(
        np.concatenate([np.zeros(0, bool), *kept]),
        groups.numbers() if stratify else None,
        classes.numbers() if data.target_kind == "category" else None,
        classes.values,
    )


def read_batches(
    ingested: pads.Dataset, columns: list[str], rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield the rows in order, at most `rows` at a time.

    One row group is in memory at a time; a scan of the whole dataset reads many ahead.
    """
    for fragment in ingested.get_fragments():
        for group in fragment.split_by_row_group():
            yield from group.to_batches(columns=columns, batch_size=rows)


def _is_missing(values: pa.Array) -> Array:
    return np.asarray(values.is_null(nan_is_null=True))


def _missing(
    data: DataSpec, features: Mapping[str, Feature], column: str, count: int, first: int
) -> str:
    if column == data.target_column:
        place, choices = f"data.target.{column}", "`nulls: drop`"
    else:
        place, choices = f"data.features.{column}", FILLS[features[column].kind]
    return (
        f"{place}: {count} missing value{'s' if count > 1 else ''} in column {column!r} (the first "
        f"in row {first}), expected none; say {choices} there, or mend the source"
    )


class _Codes:
    """Numbers different values in order of appearance, across batches; None is one of them."""

    def __init__(self) -> None:
        self._codes: dict[Any, int] = {}
        self._parts = [np.zeros(0, np.int64)]

    def add(self, values: pa.Array) -> None:
        """Take the values of one batch."""
        encoded = values.dictionary_encode(null_encoding="encode")
        found = encoded.dictionary.to_pylist()
        codes = [self._codes.setdefault(value, len(self._codes)) for value in found]
        indices = encoded.indices.to_numpy(zero_copy_only=False)
        self._parts.append(np.array(codes, np.int64)[indices])

    def numbers(self) -> Array:
        """Return [rows] int64."""
        return np.concatenate(self._parts)

    @property
    def values(self) -> list[Any]:
        """The different values, by number."""
        return list(self._codes)
