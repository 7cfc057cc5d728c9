from typing import Any

import pytest
import torch

from prefect_torch.datasets.decode import picture, readable
from prefect_torch.datasets.facts import data_facts

FITTED: dict[str, Any] = {
    "fields": [
        {"name": "numbers", "dtype": "float32", "shape": [2]},
        {"name": "categories", "dtype": "int64", "shape": [2]},
        {"name": "photo", "dtype": "uint8", "shape": [3, 2, 5]},
        {"name": "other", "dtype": "uint8", "shape": [1, 9, 9]},
        {"name": "note", "dtype": "int32", "shape": [4]},
        {"name": "target", "dtype": "int64", "shape": []},
        {"name": "row", "dtype": "int64", "shape": []},
    ],
    "features": {
        "size": {"kind": "number", "mean": 10.0, "deviation": 2.0, "fill": None},
        "colour": {"kind": "category", "values": ["green", "red"], "unknown": True},
        "photo": {"kind": "image", "scale": 1 / 255},
        "count": {"kind": "number", "mean": 0.0, "deviation": 1.0, "fill": None},
        "other": {"kind": "image", "scale": 1.0},
        "flag": {"kind": "category", "values": [False, True], "unknown": True},
        "note": {"kind": "text", "vocabulary": ["", "\ufffd", "a", "b"], "max_length": 4},
    },
    "target": {"column": "label", "kind": "category", "values": ["no", "yes"], "unknown": False},
}


def sample(**changed: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "numbers": torch.tensor([-0.5, 3.0]),
        "categories": torch.tensor([2, 0]),
        "photo": torch.arange(30, dtype=torch.uint8).reshape(3, 2, 5),
        "note": torch.tensor([3, 1, 2, 0], dtype=torch.int32),
        **changed,
    }


def test_a_sample_reads_in_the_units_of_its_columns() -> None:
    assert readable(sample(), FITTED) == {
        "size": 9.0,
        "colour": "red",
        "count": 3.0,
        "flag": "(unknown)",
        "note": "b \ufffd a",
    }


def test_the_first_picture_is_shown_as_it_was() -> None:
    shown = picture(sample(), FITTED)

    assert shown is not None
    assert (shown.mode, shown.size) == ("RGB", (5, 2))
    assert shown.getpixel((1, 0)) == (1, 11, 21)


def test_one_channel_is_grey_and_two_are_not_shown() -> None:
    grey = picture(sample(photo=torch.full((1, 2, 2), 7, dtype=torch.uint8)), FITTED)

    assert grey is not None
    assert (grey.mode, grey.getpixel((0, 0))) == ("L", 7)
    assert picture(sample(photo=torch.zeros(2, 2, 2)), FITTED) is None


def test_a_scaled_picture_is_brought_to_bytes() -> None:
    fitted = {"features": {"photo": {"kind": "image", "scale": 0.0625}}}
    shown = picture({"photo": torch.tensor([[[0.0, 8.0, 16.0, 99.0]]])}, fitted)

    assert shown is not None
    assert [shown.getpixel((x, 0)) for x in range(4)] == [0, 128, 255, 255]


def test_without_pictures_nothing_is_shown() -> None:
    assert picture({}, {"features": {"size": {"kind": "number"}}}) is None


def test_the_data_decides_the_sizes_of_a_model() -> None:
    assert data_facts(FITTED) == {
        "num_classes": 2,
        "out_features": 2,
        "num_labels": 2,
        "in_features": 2,
        "cardinalities": [3, 3],
        "in_channels": 3,
        "image_size": [2, 5],
        "vocabulary_size": 4,
        "vocab_size": 4,
        "num_embeddings": 4,
        "max_length": 4,
    }


@pytest.mark.parametrize("missing", ["in_channels", "vocabulary_size"])
def test_regression_has_one_output_and_columns_that_are_not_there_no_size(missing: str) -> None:
    fitted = {"fields": [], "features": {}, "target": {"kind": "number"}}
    facts = data_facts(fitted)

    assert facts["num_classes"] == facts["out_features"] == 1
    assert facts["in_features"] == 0
    assert missing not in facts
