"""Data and spec that the tests of prepare start from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from prefect_torch.datasets.spec import DataSpec

Prepare = Callable[..., Path]
ROWS = 60
HALVES = {"train": 0.5, "validation": 0.25, "test": 0.25}


def table(**changed: Any) -> pa.Table:
    generator = np.random.default_rng(0)
    columns = {
        "size": pa.array(generator.normal(5, 2, ROWS)),
        "colour": pa.array(generator.choice(["red", "green"], ROWS).tolist()),
        "count": pa.array(generator.integers(0, 9, ROWS)),
        "note": pa.array([f"word{i % 7} and" for i in range(ROWS)]),
        "photo": pa.array(generator.integers(0, 256, (ROWS, 4)).tolist(), pa.list_(pa.uint8())),
        "label": pa.array(["yes", "no", "no"] * (ROWS // 3)),
    }
    changed = {k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in changed.items()}
    return pa.table({**columns, **changed})


FEATURES: dict[str, Any] = {
    "size": {"kind": "number"},
    "colour": {"kind": "category"},
    "count": {"kind": "number"},
    "note": {"kind": "text", "max_length": 4},
    "photo": {"kind": "image", "shape": [1, 2, 2]},
}


def spec(**changed: Any) -> DataSpec:
    return DataSpec.model_validate(
        {
            "source": "CsvSource",
            "features": FEATURES,
            "target": {"label": {"kind": "category"}},
            "split": {**HALVES, "stratify": "label"},
            **changed,
        }
    )


def with_null(column: str, *rows: int) -> pa.Array:
    values = table()[column].to_pylist()
    for row in rows:
        values[row] = None
    return pa.array(values, table()[column].type)
