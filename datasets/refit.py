"""Rows encoded as an earlier run encoded them: from the fitted state it left, without fitting.

What promote needs to ask a champion about today's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types
import torch

from prefect_torch.datasets.images import ImageEncoder
from prefect_torch.datasets.spec import ImageFeature
from prefect_torch.datasets.texts import PADDING, UNKNOWN, words
from prefect_torch.datasets.transforms import PictureTransforms, Transform
from prefect_torch.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
Encode = Callable[[pa.Array, Array], Array]
PACKED = {"number": "numbers", "category": "categories"}
"""The field that holds all columns of a kind side by side."""


class FittedInputs:
    """Turns rows of the ingested data into a model's inputs, as its prepare stage did."""

    def __init__(
        self,
        fitted: Mapping[str, Any],
        shapes: Mapping[str, Sequence[int]],
        transforms: Sequence[Transform],
        seed: int,
    ) -> None:
        """Rebuild the encoders.

        Args:
            fitted: Prepare's `fitted.json`.
            shapes: Declared shape of each picture column.
            transforms: Deterministic transforms of each picture [channels, height, width].
            seed: The pipeline's seed, should a transform draw from it after all.
        """
        self._features: Mapping[str, Mapping[str, Any]] = fitted["features"]
        self._encoders: dict[str, Encode] = {}
        prepare = PictureTransforms(transforms, "transforms.prepare")
        for column, state in self._features.items():
            if state["kind"] == "image":
                feature = ImageFeature.model_validate(
                    {"kind": "image", "shape": shapes[column], "scale": state["scale"]}
                )
                self._encoders[column] = ImageEncoder(column, feature, prepare, seed).encode
            else:
                make = {"number": _numbers, "category": _categories, "text": _texts}
                self._encoders[column] = make[state["kind"]](column, state)

    def __call__(self, batch: pa.RecordBatch, rows: Array) -> dict[str, torch.Tensor]:
        """Return the inputs of N rows by name, [N, …] each.

        Args:
            batch: Rows as ingested.
            rows: [N] their numbers in the data, for messages.

        Raises:
            DataError: A column is absent or of another type, or a value is missing.
        """
        absent = [column for column in self._features if column not in batch.schema.names]
        if absent:
            raise DataError(f"the data has no column {', '.join(map(repr, absent))} any more")
        inputs: dict[str, torch.Tensor] = {}
        packed: dict[str, list[Array]] = {}
        for column, state in self._features.items():
            values = self._encoders[column](batch.column(column), rows)
            if state["kind"] in PACKED:
                packed.setdefault(PACKED[state["kind"]], []).append(values)
            elif state["kind"] == "image":
                inputs[column] = torch.from_numpy(values.copy()).float() * state["scale"]
            else:
                inputs[column] = torch.from_numpy(values).long()
        return inputs | {n: torch.from_numpy(np.stack(v, axis=1)) for n, v in packed.items()}


def _numbers(column: str, state: Mapping[str, Any]) -> Encode:
    def encode(values: pa.Array, rows: Array) -> Array:
        if not (types.is_integer(values.type) or types.is_floating(values.type)):
            raise DataError(f"column {column!r} is of type {values.type}, expected numbers")
        exact = np.array(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        if state["fill"] is not None:
            exact[np.isnan(exact)] = state["fill"]
        wrong = np.flatnonzero(~np.isfinite(exact))
        if len(wrong):
            raise DataError(f"column {column!r}, row {rows[wrong[0]]}: no finite number")
        normalised: Array = ((exact - state["mean"]) / state["deviation"]).astype(np.float32)
        return normalised

    return encode


def _categories(column: str, state: Mapping[str, Any]) -> Encode:
    def encode(values: pa.Array, rows: Array) -> Array:
        try:
            known = pa.array(state["values"], values.type)
        except (pa.ArrowException, TypeError) as error:
            raise DataError(f"column {column!r} is of type {values.type} now: {error}") from error
        index = pc.fill_null(pc.index_in(values, known), -1)
        codes: Array = index.to_numpy(zero_copy_only=False).astype(np.int64) + 1
        return codes

    return encode


def _texts(column: str, state: Mapping[str, Any]) -> Encode:
    index = {word: i for i, word in enumerate(state["vocabulary"])}

    def encode(values: pa.Array, rows: Array) -> Array:
        if not (types.is_string(values.type) or types.is_large_string(values.type)):
            raise DataError(f"column {column!r} is of type {values.type}, expected text")
        tokens = np.full((len(values), state["max_length"]), PADDING, np.int64)
        for number, text in enumerate(values.to_pylist()):
            found = words(text or "")[: state["max_length"]]
            tokens[number, : len(found)] = [index.get(word, UNKNOWN) for word in found]
        return tokens

    return encode
