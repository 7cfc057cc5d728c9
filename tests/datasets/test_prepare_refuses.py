import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from prepare_cases import HALVES, ROWS, Prepare, spec, table, with_null

from prefect_torch.datasets.spec import DataSpec
from prefect_torch.errors import DataError


def fitted(folder: Path) -> Any:
    return json.loads((folder / "fitted.json").read_text(encoding="utf-8"))


def message(run: Prepare, data: pa.Table, declared: DataSpec, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        run(data, declared, **options)
    return str(caught.value)


def test_columns_that_are_not_there_are_all_named_with_a_guess(run: Prepare) -> None:
    declared = spec(
        features={"sise": {"kind": "number"}},
        target={"lable": {"kind": "category"}},
        split={**HALVES, "stratify": "color"},
    )

    assert message(run, table(), declared) == (
        "data.features.sise: the data has no column 'sise'; did you mean \"size\"?\n"
        "data.target.lable: the data has no column 'lable'; did you mean \"label\"?\n"
        "data.split.stratify: the data has no column 'color'; did you mean \"colour\"?"
    )


def test_missing_values_are_all_named_with_the_ways_out(run: Prepare) -> None:
    nan = [*range(ROWS - 1), float("nan")]
    data = table(
        size=nan,
        **{name: with_null(name, 3, 40) for name in ("colour", "note", "photo", "label")},
    )

    assert message(run, data, spec()).splitlines() == [
        "data.features.size: 1 missing value in column 'size' (the first in row 59), expected "
        "none; say `nulls: drop`, `mean`, `median` or a number there, or mend the source",
        "data.features.colour: 2 missing values in column 'colour' (the first in row 3), expected "
        "none; say `nulls: drop` or `unknown` there, or mend the source",
        "data.features.note: 2 missing values in column 'note' (the first in row 3), expected "
        "none; say `nulls: drop` or `empty` there, or mend the source",
        "data.features.photo: 2 missing values in column 'photo' (the first in row 3), expected "
        "none; say `nulls: drop` there, or mend the source",
        "data.target.label: 2 missing values in column 'label' (the first in row 3), expected "
        "none; say `nulls: drop` there, or mend the source",
    ]


def test_types_that_do_not_fit_are_all_named_before_anything_is_read(run: Prepare) -> None:
    declared = spec(
        features={
            "colour": {"kind": "number"},
            "size": {"kind": "category"},
            "count": {"kind": "text"},
            "note": {"kind": "image", "shape": [1, 2, 2]},
        },
        split={**HALVES, "stratify": "size"},
    )

    assert message(run, table(), declared).splitlines() == [
        "column 'size' holds fractions (double), expected categories; declare it as "
        "{kind: number}, or convert it to integers or text in the source",
        "column 'colour' is of type string, expected numbers for {kind: number}; declare it as "
        "{kind: category}, or convert it to integers or floats in the source",
        "column 'count' is of type int64, expected text for {kind: text}; declare it as what it "
        "is, or convert it in the source",
        "column 'note' is of type string, expected encoded pictures (binary) or a list of 4 "
        "numbers for {kind: image}",
    ]


def test_a_target_of_fractions_is_no_category(run: Prepare) -> None:
    declared = spec(features=None, target={"size": {"kind": "category"}}, split=HALVES)
    data = table().drop_columns(["photo"])

    assert "column 'size' holds fractions (double), expected categories" in message(
        run, data, declared
    )


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.decimal128(22, 2), pa.dictionary(pa.int8(), pa.string())]
)
def test_a_type_without_a_meaning_is_refused_whether_declared_or_not(
    run: Prepare, kind: pa.DataType
) -> None:
    values = pa.array([1, 2, 3] * 20, pa.int64())
    strange = values.cast(pa.string() if pa.types.is_dictionary(kind) else kind)
    data = table(when=strange.dictionary_encode() if pa.types.is_dictionary(kind) else strange)
    data = data.drop_columns(["photo"])

    assert "cannot tell what column 'when' of type" in message(run, data, spec(features=None))
    for declared in ("number", "category", "text"):
        assert "column 'when' is of type" in message(
            run, data, spec(features={"when": {"kind": declared}})
        )


def test_infinite_numbers_are_refused_with_their_row_in_every_split(run: Prepare) -> None:
    for row in (0, 33, 59):
        size = table()["size"].to_pylist()
        size[row] = float("inf")

        assert f"column 'size', row {row}: inf is no finite number" in message(
            run, table(size=size), spec()
        )


def test_a_broken_picture_is_named_by_its_row_in_the_data(run: Prepare) -> None:
    photo = [b"no picture"] * ROWS
    features = {"photo": {"kind": "image", "shape": [1, 2, 2], "nulls": "drop"}}
    data = table(photo=pa.array([None] * 41 + photo[41:], pa.binary()))

    assert "column 'photo', row 41: broken picture: " in message(
        run, data, spec(features=features), cut=9
    )


def test_a_transform_that_fails_names_the_row_in_the_data(run: Prepare) -> None:
    wanted = torch.tensor(table()["photo"][44].as_py())

    def breaks(picture: torch.Tensor) -> torch.Tensor:
        if picture.flatten().equal(wanted.to(torch.uint8)):
            raise KeyError("dark")
        return picture

    assert message(run, table(), spec(), transforms=[breaks], cut=9).startswith(
        "transforms.prepare.0 (function), column 'photo', row 44: KeyError: 'dark'; it was given"
    )


def test_transforms_without_a_picture_are_refused(run: Prepare) -> None:
    declared = spec(features={"size": {"kind": "number"}})

    assert "transforms.prepare: no feature is of kind image" in message(
        run, table(), declared, transforms=[torch.flatten]
    )


def test_a_class_that_a_split_lacks_is_refused(run: Prepare) -> None:
    labels = ["yes", "no"] * 29 + ["maybe", "no"]

    assert "has no row of class 'maybe'" in message(run, table(label=labels), spec())


@pytest.mark.parametrize("kind", ["category", "number"])
def test_a_constant_target_is_refused(run: Prepare, kind: str) -> None:
    declared = spec(target={"label": {"kind": kind}}, split=HALVES)

    assert message(run, table(label=[3] * ROWS), declared) == (
        "data.target.label: every row of the train split has the same value, so there is nothing "
        "to learn; expected at least two different ones"
    )


def test_no_row_at_all_is_refused(run: Prepare) -> None:
    assert "data.split.train: 0.5 of 0 rows is no row at all" in message(
        run, table().slice(0, 0), spec()
    )


def test_nothing_to_learn_from_is_refused(run: Prepare) -> None:
    assert "data.features: the data has no column beside the target 'label'" in message(
        run, table().select(["label"]), spec(features=None)
    )
    with pytest.raises(ValueError, match="no column to learn from; name one"):
        spec(features={})


def test_the_target_is_no_feature() -> None:
    with pytest.raises(ValueError, match="'label' is both a feature and the target"):
        spec(features={"label": {"kind": "category"}})
