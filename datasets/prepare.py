"""Prepare: split, fit on the train split alone, encode every row into the training layout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from prefect_torch.datasets.categories import CategoryEncoder
from prefect_torch.datasets.encoders import (
    Encoder,
    check_columns,
    infer_features,
    make_encoder,
    make_target_encoder,
)
from prefect_torch.datasets.layout import Field, LayoutWriter
from prefect_torch.datasets.scan import BATCH_ROWS, read_batches, scan
from prefect_torch.datasets.spec import (
    CategoryFeature,
    DataSpec,
    Feature,
    ImageFeature,
    NumberFeature,
    TextFeature,
)
from prefect_torch.datasets.split import SPLITS, assign_splits, check_classes
from prefect_torch.datasets.transforms import PictureTransforms, Transform
from prefect_torch.errors import DataError
from prefect_torch.progress import report_progress

Array = np.ndarray[Any, np.dtype[Any]]
BATCH_BYTES = 64 << 20
"""About so many bytes are encoded at a time, so that large pictures fit in memory."""
PACKED = ("numbers", "categories")
"""Fields that hold several columns side by side."""


def prepare(
    data: DataSpec,
    seed: int,
    transforms: Sequence[Transform],
    ingested: pads.Dataset,
    output: Path,
) -> None:
    """Write one Parquet file per split and `fitted.json` into `output`.

    Streams the data three times; besides a batch and a row group of each split, memory holds about
    18 bytes a row, 8 more for each column that is filled with its median, and what is fitted.

    Args:
        data: Features, target and split of the spec.
        seed: Decides the split.
        transforms: Deterministic transforms of each picture [channels, height, width].
        ingested: What ingest wrote.
        output: An empty folder.

    Raises:
        DataError: A column is absent or of the wrong type, values are missing where none may be,
            a split would lack rows or a class, or there is nothing to learn.
    """
    schema = ingested.schema
    declared = data.features or infer_features(schema, data.target_column)
    check_columns(data, declared, schema)
    # The data's column order, so that the order in the spec decides nothing.
    features = {name: declared[name] for name in schema.names if name in declared}
    encoders = _encoders(features, transforms, seed)
    target = make_target_encoder(data.target_column, data.target[data.target_column])
    _check_types(data, [*encoders, target], schema)
    found = scan(data, features, ingested)
    assigned = assign_splits(data.split, seed, found.kept, found.groups)
    if found.classes is not None:
        check_classes(assigned, found.classes, found.class_names, data.target_column)
    _fit(features, encoders, target, ingested, assigned)
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


def _encoders(
    features: Mapping[str, Feature], transforms: Sequence[Transform], seed: int
) -> list[Encoder]:
    if transforms and not any(isinstance(f, ImageFeature) for f in features.values()):
        raise DataError(
            "transforms.prepare: no feature is of kind image, and transforms change pictures "
            "alone; take them out"
        )
    of_pictures = PictureTransforms(transforms, "transforms.prepare")
    return [make_encoder(name, f, of_pictures, seed) for name, f in features.items()]


def _check_types(data: DataSpec, encoders: Sequence[Encoder], schema: pa.Schema) -> None:
    """Check every column's type at once, before anything is read."""
    if data.split.stratify:
        encoders = [*encoders, CategoryEncoder(data.split.stratify)]
    problems: dict[str, None] = {}
    for encoder in encoders:
        try:
            encoder.check_type(schema.field(encoder.column).type)
        except DataError as error:
            problems[str(error)] = None
    if problems:
        raise DataError("\n".join(problems))


def _fit(
    features: Mapping[str, Feature],
    encoders: Sequence[Encoder],
    target: Encoder,
    ingested: pads.Dataset,
    assigned: Array,
) -> None:
    """Let every encoder see the train split."""
    learning = [e for e in encoders if not isinstance(features[e.column], ImageFeature)]
    learning.append(target)
    columns = [encoder.column for encoder in learning]
    for first, batch in _numbered(ingested, columns, BATCH_ROWS):
        learn = np.flatnonzero(assigned[first : first + batch.num_rows] == 0)
        rows = batch.take(pa.array(learn))
        for encoder in learning:
            encoder.observe(rows.column(encoder.column), first + learn)
    if target.constant:
        raise DataError(
            f"data.target.{target.column}: every row of the train split has the same value, so "
            f"there is nothing to learn; expected at least two different ones"
        )


def _numbered(
    ingested: pads.Dataset, columns: list[str], rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (first row, batch)."""
    first = 0
    for batch in read_batches(ingested, columns, rows):
        yield first, batch
        first += batch.num_rows


def _write(
    features: Mapping[str, Feature],
    encoders: Sequence[Encoder],
    target: Encoder,
    ingested: pads.Dataset,
    assigned: Array,
    output: Path,
) -> list[Field]:
    columns = [*features, target.column]
    writers: dict[int, LayoutWriter] = {}
    fields: list[Field] = []
    with ExitStack() as stack:
        for first, batch in _numbered(ingested, columns, _rows_at_a_time(features)):
            split = assigned[first : first + batch.num_rows]
            used = np.flatnonzero(split >= 0)
            if not len(used):
                continue
            rows = batch.take(pa.array(used))
            tensors = _encode(features, encoders, rows, used + first)
            tensors["target"] = target.encode(rows.column(target.column), used + first)
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


def _rows_at_a_time(features: Mapping[str, Feature]) -> int:
    width = 0
    for feature in features.values():
        if isinstance(feature, ImageFeature):
            width += prod(feature.shape) * 4
        elif isinstance(feature, TextFeature):
            width += feature.max_length * 4
        else:
            width += 8
    return max(1, min(BATCH_ROWS, BATCH_BYTES // width))


def _encode(
    features: Mapping[str, Feature],
    encoders: Sequence[Encoder],
    rows: pa.RecordBatch,
    numbers: Array,
) -> dict[str, Array]:
    """Return the tensors of some rows: numbers and categories side by side, the others alone."""
    columns: dict[str, list[Array]] = {}
    for (name, feature), encoder in zip(features.items(), encoders, strict=True):
        encoded = encoder.encode(rows.column(name), numbers)
        columns.setdefault(_field_name(name, feature), []).append(encoded)
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
