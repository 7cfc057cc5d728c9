"""The data part of a spec: source, features, target, split, checks, loader."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from prefect_torch.components import Component, Of, Part
from prefect_torch.fingerprint import Decides

RESERVED = ("numbers", "categories", "target", "row")
"""Fields of a batch that are not columns."""

Fraction = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class NumberFeature(Part):
    """A numeric column; all of them together reach the model as `numbers` [batch, columns]."""

    kind: Literal["number"]
    """A number."""
    normalize: bool = True
    """Subtract the mean and divide by the standard deviation of the train split."""
    nulls: Literal["error", "drop", "mean", "median"] | Finite = "error"
    """Missing values: stop, drop the row, or fill (`mean`/`median` of the train split, a value)."""


class CategoryFeature(Part):
    """A column of categories; all together reach the model as `categories` [batch, columns].

    Index 0 is for values not seen in the train split.
    """

    kind: Literal["category"]
    """One of a set of values, learned from the train split."""
    nulls: Literal["error", "drop", "unknown"] = "error"
    """Missing values: stop, drop the row, or treat as the unknown category."""


class ImageFeature(Part):
    """A picture; reaches the model as `<column>` [batch, channels, height, width] float32."""

    kind: Literal["image"]
    """A picture: encoded bytes (JPEG, PNG) or numbers of the given shape."""
    nulls: Literal["error", "drop"] = "error"
    """Missing pictures: stop, or drop the row."""
    shape: tuple[
        Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]
    ]
    """[channels, height, width]; encoded pictures are converted and resized to it."""
    scale: float = Field(default=1 / 255, gt=0, allow_inf_nan=False)
    """Stored values are multiplied by this when they are read; 1/255 brings bytes to 0..1."""


class TextFeature(Part):
    """A text; reaches the model as `<column>` [batch, max_length]; 0 = padding, 1 = unknown."""

    kind: Literal["text"]
    """A text, split into lower-cased words."""
    nulls: Literal["error", "drop", "empty"] = "error"
    """Missing values: stop, drop the row, or treat as a text without words."""
    max_length: int = Field(default=64, ge=1)
    """Longer texts are cut, shorter ones padded with 0."""
    vocabulary: int = Field(default=20_000, ge=3)
    """At most this many different words (padding and unknown included), the most frequent first."""
    min_count: int = Field(default=1, ge=1)
    """Words rarer than this in the train split are unknown."""


Feature = Annotated[
    NumberFeature | CategoryFeature | ImageFeature | TextFeature, Field(discriminator="kind")
]


class Target(Part):
    """The column to predict: a category (classification) or a number (regression)."""

    kind: Literal["category", "number"]
    """`category`: classification; `number`: regression."""
    nulls: Literal["error", "drop"] = "error"
    """Rows without a target: stop, or drop them."""
    normalize: bool = True
    """A number is learned in units of the train split's standard deviation; ignored otherwise."""


class SplitSpec(Part):
    """How rows are divided; the fractions sum to 1."""

    train: Fraction = 0.8
    """Share of rows to learn from."""
    validation: Fraction = 0.1
    """Share of rows that early stopping watches."""
    test: Fraction = 0.1
    """Share of rows that evaluate and promote use."""
    stratify: str | None = None
    """Column whose values keep their shares in every split."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitSpec:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test is {total:g}, expected 1")
        if not self.train or not self.test:
            raise ValueError("train and test must both be above 0")
        return self


class Bounds(Part):
    """A lower and an upper bound, both allowed values."""

    min: float | None = None
    """Not below this."""
    max: float | None = None
    """Not above this."""

    @model_validator(mode="after")
    def _in_order(self) -> Bounds:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}; nothing lies between")
        return self


class Expect(Part):
    """What must hold of the source before anything is trained on it."""

    rows: Bounds | None = None
    """Bounds on the number of rows."""
    nulls: int | None = Field(default=None, ge=0)
    """At most this many missing values in all columns together."""
    columns: dict[str, Bounds] = {}
    """Bounds on the values of numeric columns, by name."""


class DataSpec(Part):
    """Where the data comes from and what its columns mean."""

    source: Annotated[Component, Of("source"), Decides("ingest")]
    """Where rows come from: CsvSource, ParquetSource, SklearnSource, ImageFolderSource, Dataset."""
    features: Annotated[dict[str, Feature] | None, Decides("prepare")] = None
    """Columns to learn from, by name; left out: every column but the target, its kind inferred."""
    target: Annotated[dict[str, Target], Decides("prepare"), Field(min_length=1, max_length=1)]
    """The one column to predict, by name."""
    split: Annotated[SplitSpec, Decides("prepare")] = SplitSpec()
    """How rows are divided into train, validation and test."""
    expect: Annotated[Expect | None, Decides("ingest")] = None
    """Checks on the source; ingest stops when one fails."""

    @field_validator("features")
    @classmethod
    def _names_are_free(cls, features: dict[str, Feature] | None) -> dict[str, Feature] | None:
        if features is not None and not features:
            raise ValueError("no column to learn from; name one, or leave `features` out for all")
        for name, feature in (features or {}).items():
            if feature.kind in ("image", "text") and name in RESERVED:
                raise ValueError(
                    f"{name!r} is the name of a field of its own; rename the column in the source"
                )
        return features

    @model_validator(mode="after")
    def _target_is_no_feature(self) -> DataSpec:
        if self.target_column in (self.features or {}):
            raise ValueError(
                f"{self.target_column!r} is both a feature and the target, so that the model would "
                f"see what it is to predict; take it out of `features`"
            )
        return self

    @property
    def target_column(self) -> str:
        """Name of the column to predict."""
        return next(iter(self.target))

    @property
    def target_kind(self) -> Literal["category", "number"]:
        """`category` for classification, `number` for regression."""
        return self.target[self.target_column].kind


class TransformsSpec(Part):
    """Transforms of image features, in order."""

    prepare: Annotated[list[Annotated[Component, Of("transform")]], Decides("prepare")] = []
    """Deterministic ones, applied once while preparing."""
    train: Annotated[list[Annotated[Component, Of("transform")]], Decides("train")] = []
    """Random ones, for each train sample each epoch; they draw from (seed, epoch, sample)."""


class LoaderSpec(Part):
    """How samples are batched."""

    batch_size: Annotated[int, Decides("train"), Field(ge=1)] = 64
    """Samples per step."""
    shuffle: Annotated[bool, Decides("train")] = True
    """A new order each epoch, a function of (seed, epoch)."""
    drop_last: Annotated[bool, Decides("train")] = False
    """Leave out the last batch when it is short."""
    workers: Annotated[int, Decides(), Field(ge=0)] = 0
    """Processes that load data; 0 loads in the training process. Changes speed, not results."""
