from typing import Any

import pytest
from pydantic import ValidationError

from prefect_torch.datasets.spec import DataSpec

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"split": {"train": 0.8, "validation": 0.1, "test": 0.2}}, "is 1.1, expected 1"),
    ({"split": {"train": 1, "validation": 0, "test": 0}}, "train and test must both be above 0"),
    ({"expect": {"rows": {"min": 5, "max": 1}}}, "min 5 is above max 1; nothing lies between"),
    ({"features": {}}, "no column to learn from"),
    ({"features": {"y": {"kind": "number"}}}, "'y' is both a feature and the target"),
    ({"features": {"x": {"kind": "number", "nulls": float("nan")}}}, "finite number"),
    ({"features": {"x": {"kind": "number", "nulls": "zero"}}}, "'mean' or 'median'"),
    ({"features": {"x": {"kind": "image", "shape": [1, 0, 2]}}}, "greater than or equal to 1"),
    ({"features": {"row": {"kind": "text"}}}, "'row' is the name of a field of its own"),
    ({"target": {}}, "at least 1"),
]


@pytest.mark.parametrize(("changed", "expected"), WRONG)
def test_what_cannot_be_is_refused(changed: dict[str, Any], expected: str) -> None:
    valid = {"source": "CsvSource", "target": {"y": {"kind": "category"}}}
    DataSpec.model_validate(valid)

    with pytest.raises(ValidationError, match=expected):
        DataSpec.model_validate({**valid, **changed})
