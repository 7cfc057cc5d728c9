"""How columns become tensors: fitted on the train split alone, then applied to every row.

`numbers.py`, `categories.py`, `images.py` and `texts.py` hold one encoder each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from prefect_torch.datasets.categories import CategoryEncoder
from prefect_torch.datasets.images import ImageEncoder
from prefect_torch.datasets.numbers import NumberEncoder
from prefect_torch.datasets.spec import (
    CategoryFeature,
    DataSpec,
    Feature,
    ImageFeature,
    NumberFeature,
    Target,
)
from prefect_torch.datasets.texts import TextEncoder
from prefect_torch.datasets.transforms import PictureTransforms
from prefect_torch.errors import DataError, did_you_mean

Array = np.ndarray[Any, np.dtype[Any]]


class Encoder(Protocol):
    """One column's way to a tensor."""

    column: str

    @property
    def constant(self) -> bool:
        """Whether there is nothing to tell apart in what was observed."""

    def check_type(self, found: pa.DataType) -> None:
        """Raise a DataError unless columns of this type can be encoded."""

    def observe(self, values: pa.Array, rows: Array) -> None:
        """Learn from values of the train split, batch by batch; see `encode` for `rows`."""

    def fitted(self) -> dict[str, Any]:
        """Return what was learned, as JSON values."""

    def encode(self, values: pa.Array, rows: Array) -> Array:
        """Return [rows, *shape]; `rows` are their numbers in the data, for messages."""


def infer_features(schema: pa.Schema, target: str) -> dict[str, Feature]:
    """Return a feature for each column but the target: numbers stay numbers, strings categories.

    Raises:
        DataError: There is no other column, or the type of one does not say what it is.
    """
    found: dict[str, Feature] = {}
    for field in schema:
        if field.name == target:
            continue
        if types.is_integer(field.type) or types.is_floating(field.type):
            found[field.name] = NumberFeature(kind="number")
        elif types.is_string(field.type) or types.is_boolean(field.type):
            found[field.name] = CategoryFeature(kind="category")
        else:
            raise DataError(
                f"data.features: cannot tell what column {field.name!r} of type {field.type} is; "
                f"declare the columns to learn from, "
                f"as `{{{field.name}: {{kind: image, shape: [1, 28, 28]}}}}`"
            )
    if not found:
        raise DataError(
            f"data.features: the data has no column beside the target {target!r}; expected at "
            f"least one to learn from"
        )
    return found


def check_columns(data: DataSpec, features: Mapping[str, Feature], schema: pa.Schema) -> None:
    """Check that every declared column is there.

    Raises:
        DataError: Columns that are not in the data, all of them in one message.
    """
    wanted = {
        **{name: f"data.features.{name}" for name in features},
        data.target_column: f"data.target.{data.target_column}",
    }
    if data.split.stratify:
        wanted[data.split.stratify] = "data.split.stratify"
    missing = [
        f"{place}: the data has no column {name!r}; {did_you_mean(name, schema.names)}"
        for name, place in wanted.items()
        if name not in schema.names
    ]
    if missing:
        raise DataError("\n".join(missing))


def make_encoder(
    column: str, feature: Feature, transforms: PictureTransforms, seed: int
) -> Encoder:
    """Return the unfitted encoder of a feature; pictures alone use transforms and seed."""
    if isinstance(feature, NumberFeature):
        return NumberEncoder(column, feature.normalize, feature.nulls)
    if isinstance(feature, CategoryFeature):
        return CategoryEncoder(column)
    if isinstance(feature, ImageFeature):
        return ImageEncoder(column, feature, transforms, seed)
    return TextEncoder(column, feature)


def make_target_encoder(column: str, target: Target) -> CategoryEncoder | NumberEncoder:
    """Return the unfitted encoder of the target."""
    if target.kind == "category":
        return CategoryEncoder(column, unknown=False)
    return NumberEncoder(column, target.normalize, "error")
