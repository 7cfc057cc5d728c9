"""Prepare: split, fit on the train split alone, encode every row into the training layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from prefect_torch.datasets.encoders import (
    Encoder,
    check_columns,
    infer_features,
    make_encoder,
    make_target_encoder,
)
from prefect_torch.datasets.layout import Field, LayoutWriter
from prefect_torch.datasets.spec import CategoryFeature, DataSpec, Feature, NumberFeature
from prefect_torch.datasets.split import SPLITS, assign_splits, check_classes
from prefect_torch.errors import DataError
from prefect_torch.progress import report_progress

Array = np.ndarray[Any, np.dtype[Any]]
BATCH_ROWS = 8192
PACKED = ("numbers", "categories")
"""Fields that hold several columns side by side."""


@dataclass(frozen=True)
class Scan:
    """What one pass over the data finds before anything is fitted."""

    kept: Array
    """[rows] bool: False where a missing value says to drop the row."""
    groups: Array | None
    """[rows] int64: stratification group."""
    classes: Array | None
    """[rows] int64: target class."""
    class_names: list[Any]


def prepare(
    data: DataSpec,
    seed: int,
    transforms: list[Callable[..., Any]],
    ingested: pads.Dataset,
    output: Path,
) -> None:
    """Write one Parquet file per split and `fitted.json` into `output`.

    Args:
        data: Features, target and split of the spec.
        seed: Decides the split.
        transforms: Deterministic transforms of each picture [channels, height, width].
        ingested: What ingest wrote.
        output: An empty folder.

    Raises:
        DataError: A column is absent or of the wrong type, values are missing where none may be,
            or a split would lack rows or a class.
    """
    declared = data.features or infer_features(ingested.schema, data.target_column)
    check_columns(data, declared, ingested.schema)
    # The data's column order, so that the order in the spec decides nothing.
    features = {name: declared[name] for name in ingested.schema.names if name in declared}
    scan = _scan(data, features, ingested)
    assigned = assign_splits(data.split, seed, scan.kept, scan.groups)
    if scan.classes is not None:
        check_classes(assigned, scan.classes, scan.class_names, data.target_column)
    encoders = [make_encoder(name, f, transforms) for name, f in features.items()]
    target = make_target_encoder(data.target_column, data.target[data.target_column])
    for _, batch, split in _batches(ingested, assigned):
        learn = pa.array(split == 0)
        for encoder in (*encoders, target):
            encoder.observe(batch.column(encoder.column).filter(learn))
    fields = _write(features, encoders, target, ingested, assigned, output)
    fitted = {
        "fields": [{"name": f.name, "dtype": f.dtype, "shape": list(f.shape)} for f in fields],
        "features": {encoder.column: encoder.fitted() for encoder in encoders},
        "target": {"column": target.column, **target.fitted()},
        "rows": {name: int((assigned == i).sum()) for i, name in enumerate(SPLITS)},
        "dropped": int((assigned < 0).sum()),
    }
    text = json.dumps(fitted, indent=1, ensure_ascii=False)
    (output / "fitted.json").write_text(text + "\n", encoding="utf-8")


def _scan(data: DataSpec, features: Mapping[str, Feature], ingested: pads.Dataset) -> Scan:
    """Find missing values, stratification groups and target classes in one pass."""
    policies = {name: feature.nulls for name, feature in features.items()}
    policies[data.target_column] = data.target[data.target_column].nulls
    stratify = data.split.stratify
    wanted = list(dict.fromkeys([*policies, *([stratify] if stratify else [])]))
    missing: dict[str, tuple[int, int]] = {}
    kept, groups, classes = [], [], []
    group_codes: dict[Any, int] = {}
    class_codes: dict[Any, int] = {}
    first_row = 0
    for batch in ingested.to_batches(columns=wanted, batch_size=BATCH_ROWS):
        keep = np.ones(batch.num_rows, bool)
        for name, policy in policies.items():
            nulls = np.asarray(batch.column(name).is_null(nan_is_null=True))
            if policy == "error" and nulls.any():
                count, first = missing.get(name, (0, first_row + int(np.argmax(nulls))))
                missing[name] = (count + int(nulls.sum()), first)
            elif policy == "drop":
                keep &= ~nulls
        kept.append(keep)
        if stratify:
            groups.append(_codes(batch.column(stratify), group_codes))
        if data.target_kind == "category":
            classes.append(_codes(batch.column(data.target_column), class_codes))
        first_row += batch.num_rows
    if missing:
        raise DataError("\n".join(_missing(data, *item) for item in missing.items()))
    return Scan(
        np.concatenate(kept) if kept else np.ones(0, bool),
        np.concatenate(groups) if groups else None,
        np.concatenate(classes) if classes else None,
        list(class_codes),
    )


def _missing(data: DataSpec, column: str, found: tuple[int, int]) -> str:
    count, first = found
    if column == data.target_column:
        place, choices = f"data.target.{column}", "`nulls: drop`"
    else:
        place = f"data.features.{column}"
        choices = "`nulls: drop`, `mean`, `median`, a number (kind number) or `unknown` (category)"
    return (
        f"{place}: {count} missing value{'s' if count > 1 else ''} in column {column!r} (the first "
        f"in row {first}), expected none; say {choices} there, or mend the source"
    )


def _codes(values: pa.Array, codes: dict[Any, int]) -> Array:
    """Number different values in order of appearance, across batches."""
    encoded = values.dictionary_encode(null_encoding="encode")
    numbers = [codes.setdefault(value, len(codes)) for value in encoded.dictionary.to_pylist()]
    indices: Array = encoded.indices.to_numpy(zero_copy_only=False)
    return np.array(numbers, np.int64)[indices] if numbers else np.zeros(0, np.int64)


def _batches(
    ingested: pads.Dataset, assigned: Array
) -> Iterator[tuple[int, pa.RecordBatch, Array]]:
    """Yield (first row, batch, its rows' splits)."""
    first = 0
    for batch in ingested.to_batches(batch_size=BATCH_ROWS):
        yield first, batch, assigned[first : first + batch.num_rows]
        first += batch.num_rows


def _write(
    features: Mapping[str, Feature],
    encoders: list[Encoder],
    target: Encoder,
    ingested: pads.Dataset,
    assigned: Array,
    output: Path,
) -> list[Field]:
    writers: dict[int, LayoutWriter] = {}
    fields: list[Field] = []
    with ExitStack() as stack:
        for first, batch, split in _batches(ingested, assigned):
            used = np.flatnonzero(split >= 0)
            if not len(used):
                continue
            rows = batch.take(pa.array(used))
            tensors = _encode(features, encoders, rows)
            tensors["target"] = target.encode(rows.column(target.column))
            tensors["row"] = used + first
            fields = fields or _fields(features, tensors)
            for index in np.unique(split[used]):
                if index not in writers:
                    writer = LayoutWriter(output / f"{SPLITS[index]}.parquet", fields)
                    writers[index] = stack.enter_context(writer)
                chosen = split[used] == index
                writers[index].write({name: values[chosen] for name, values in tensors.items()})
            report_progress("prepare", first + batch.num_rows, len(assigned), "rows")
    return fields


def _encode(
    features: Mapping[str, Feature], encoders: list[Encoder], rows: pa.RecordBatch
) -> dict[str, Array]:
    """Return the tensors of some rows: numbers and categories side by side, the others alone."""
    columns: dict[str, list[Array]] = {}
    for (name, feature), encoder in zip(features.items(), encoders, strict=True):
        columns.setdefault(_field_name(name, feature), []).append(
            encoder.encode(rows.column(name))
        )
    return {
        name: np.stack(parts, axis=1) if name in PACKED else parts[0]
        for name, parts in columns.items()
    }


def _field_name(column: str, feature: Feature) -> str:
    if isinstance(feature, NumberFeature):
        return "numbers"
    return "categories" if isinstance(feature, CategoryFeature) else column


def _fields(features: Mapping[str, Feature], tensors: Mapping[str, Array]) -> list[Field]:
    names: dict[str, list[str]] = {}
    for column, feature in features.items():
        names.setdefault(_field_name(column, feature), []).append(column)
    return [
        Field(
            name,
            values.dtype.name,
            values.shape[1:],
            tuple(names[name]) if name in PACKED else (),
        )
        for name, values in tensors.items()
    ]

