import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
import torch
from prepare_cases import FEATURES, HALVES, ROWS, Prepare, spec, table, with_null

from prefect_torch.datasets import layout
from prefect_torch.datasets import prepare as prepare_module
from prefect_torch.datasets.layout import layout_to_pandas
from prefect_torch.datasets.parquet_dataset import ParquetDataset
from prefect_torch.datasets.prepare import prepare
from prefect_torch.progress import Progress, listening


def fitted(folder: Path) -> Any:
    return json.loads((folder / "fitted.json").read_text(encoding="utf-8"))


def rows_of(folder: Path) -> dict[str, list[int]]:
    return {
        name: layout_to_pandas(folder / f"{name}.parquet")["row"].tolist()
        for name in HALVES
        if (folder / f"{name}.parquet").exists()
    }


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_row_is_in_one_split_with_the_values_of_its_source(run: Prepare) -> None:
    folder = run(table(), spec())
    source = table().to_pydict()
    state = fitted(folder)
    number = state["features"]["size"]

    assert sorted(chain(*rows_of(folder).values())) == list(range(ROWS))
    assert state["rows"] == {"train": 30, "validation": 15, "test": 15}
    for split in HALVES:
        dataset = ParquetDataset(folder / f"{split}.parquet")
        for sample in dataset:
            row = int(sample["row"])
            size, count = sample["numbers"].tolist()
            assert size * number["deviation"] + number["mean"] == pytest.approx(
                source["size"][row], rel=1e-5
            )
            assert count == pytest.approx(
                (source["count"][row] - state["features"]["count"]["mean"])
                / state["features"]["count"]["deviation"],
                rel=1e-5,
            )
            assert ["green", "red"][int(sample["categories"][0]) - 1] == source["colour"][row]
            assert ["no", "yes"][int(sample["target"])] == source["label"][row]
            assert sample["photo"].flatten().tolist() == source["photo"][row]
            words = [state["features"]["note"]["vocabulary"][t] for t in sample["note"] if t]
            assert " ".join(words) in (source["note"][row], "\ufffd and")


def test_the_same_input_gives_the_same_bytes_of_every_file(run: Prepare) -> None:
    assert files(run(table(), spec())) == files(run(table(), spec()))


def test_the_order_of_columns_in_the_spec_decides_nothing(run: Prepare) -> None:
    turned = dict(reversed(FEATURES.items()))

    assert files(run(table(), spec())) == files(run(table(), spec(features=turned)))


def test_columns_that_are_not_declared_decide_nothing(run: Prepare) -> None:
    assert files(run(table(), spec())) == files(run(table(other=[b"x"] * ROWS), spec()))


def test_how_the_ingested_rows_are_cut_decides_nothing_that_counts(
    run: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(table(), spec(), cut=ROWS)
    monkeypatch.setattr(prepare_module, "BATCH_BYTES", 1)
    monkeypatch.setattr(layout, "ROW_GROUP_BYTES", 100)
    cut = run(table(), spec(), cut=7)

    assert rows_of(whole) == rows_of(cut)
    for name in HALVES:
        every = torch.arange(15)
        one = ParquetDataset(whole / f"{name}.parquet")[every]
        other = ParquetDataset(cut / f"{name}.parquet")[every]
        for field in one:
            torch.testing.assert_close(one[field], other[field])


def test_what_is_fitted_comes_from_the_train_split_alone(run: Prepare) -> None:
    clean = run(table(), spec())
    elsewhere = [row for name in ("validation", "test") for row in rows_of(clean)[name]]
    poisoned = table().to_pydict()
    for row in elsewhere:
        poisoned["size"][row] = 1e6
        poisoned["count"][row] = -1000
        poisoned["colour"][row] = "ultraviolet"
        poisoned["note"][row] = "poison"
    folder = run(pa.table(poisoned, table().schema), spec())

    assert fitted(folder) == fitted(clean)
    assert files(folder)["train.parquet"] == files(clean)["train.parquet"]
    assert ParquetDataset(folder / "test.parquet")[0]["categories"].tolist() == [0]


def test_the_seed_decides_the_split(run: Prepare) -> None:
    assert rows_of(run(table(), spec())) != rows_of(run(table(), spec(), seed=1))


def test_no_validation_split_leaves_no_file(run: Prepare) -> None:
    folder = run(table(), spec(split={"train": 0.8, "validation": 0, "test": 0.2}))

    assert sorted(files(folder)) == ["fitted.json", "test.parquet", "train.parquet"]


def test_features_left_out_are_all_columns_by_their_type(run: Prepare) -> None:
    data = table(flag=[True, False] * (ROWS // 2)).drop_columns(["photo"])
    state = fitted(run(data, spec(features=None)))

    assert {name: feature["kind"] for name, feature in state["features"].items()} == {
        "size": "number",
        "colour": "category",
        "count": "number",
        "note": "category",
        "flag": "category",
    }


def test_a_column_may_be_called_as_a_field_is(run: Prepare) -> None:
    data = table().rename_columns(["row", "target", "numbers", "note", "categories", "label"])
    features = {
        "row": {"kind": "number"},
        "target": {"kind": "category"},
        "numbers": {"kind": "number"},
    }
    folder = run(data, spec(features=features))
    frame = layout_to_pandas(folder / "train.parquet")

    assert list(frame) == ["numbers.row", "numbers.numbers", "categories.target", "target", "row"]
    with pytest.raises(ValueError, match="'row' is the name of a field of its own"):
        spec(features={"row": {"kind": "image", "shape": [1, 2, 2]}})


def test_progress_reaches_the_last_row(run: Prepare) -> None:
    seen: list[Progress] = []
    with listening(lambda event: seen.append(event)):
        run(table(), spec())

    assert [event.total for event in seen] == [ROWS] * len(seen)
    assert seen[-1].done == ROWS


def test_a_regression_target_is_normalised_by_the_train_split(run: Prepare) -> None:
    features = {"count": {"kind": "number"}}
    declared = spec(features=features, target={"size": {"kind": "number"}}, split=HALVES)
    folder = run(table(), declared)
    train = ParquetDataset(folder / "train.parquet")[torch.arange(30)]["target"]

    assert train.dtype == torch.float32
    assert float(train.mean()) == pytest.approx(0, abs=1e-6)
    assert float(train.std(correction=0)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("column", [*FEATURES, "label"])
def test_rows_with_a_missing_value_are_dropped_where_the_spec_says_so(
    run: Prepare, column: str
) -> None:
    declared = spec()
    if column == "label":
        declared = spec(target={"label": {"kind": "category", "nulls": "drop"}})
    else:
        declared = spec(features={**FEATURES, column: {**FEATURES[column], "nulls": "drop"}})
    folder = run(table(**{column: with_null(column, 3, 40)}), declared)

    assert sorted(chain(*rows_of(folder).values())) == sorted({*range(ROWS)} - {3, 40})
    assert fitted(folder)["dropped"] == 2


def test_a_missing_value_in_a_dropped_row_does_no_harm(run: Prepare) -> None:
    features = {**FEATURES, "size": {"kind": "number", "nulls": "drop"}}
    data = table(size=with_null("size", 3), count=with_null("count", 3))

    assert fitted(run(data, spec(features=features)))["dropped"] == 1


@pytest.mark.parametrize(
    ("column", "policy", "field", "expected"),
    [
        ("size", "mean", "numbers", [0.0]),
        ("colour", "unknown", "categories", [0]),
        ("note", "empty", "note", [0, 0, 0, 0]),
    ],
)
def test_missing_values_are_filled_where_the_spec_says_so(
    run: Prepare, column: str, policy: str, field: str, expected: list[float]
) -> None:
    features = {column: {**FEATURES[column], "nulls": policy}}
    folder = run(table(**{column: with_null(column, 3)}), spec(features=features))
    found = [
        sample[field].tolist()
        for name in HALVES
        for sample in ParquetDataset(folder / f"{name}.parquet")
        if sample["row"] == 3
    ]

    assert found == [pytest.approx(expected)]


def test_integers_beyond_what_a_float_holds_stay_different_classes(run: Prepare) -> None:
    labels = [2**53 + i % 3 for i in range(ROWS)]
    state = fitted(run(table(label=labels), spec()))

    assert state["target"]["values"] == [2**53, 2**53 + 1, 2**53 + 2]


def test_memory_does_not_grow_with_the_data(
    run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, side = 9000, 64
    path = tmp_path / "big.parquet"
    picture = pa.list_(pa.uint8(), side * side)
    kinds = pa.schema([("photo", picture), ("label", pa.int64())])
    with pq.ParquetWriter(path, kinds) as writer:
        for start in range(0, rows, 100):
            pixels = np.random.default_rng(start).integers(0, 256, 100 * side * side, np.uint8)
            photo = pa.FixedSizeListArray.from_arrays(pixels, side * side)
            writer.write_table(pa.table([photo, pa.array([0, 1] * 50)], schema=kinds))
    monkeypatch.setattr(layout, "ROW_GROUP_BYTES", 1 << 18)
    monkeypatch.setattr(prepare_module, "BATCH_BYTES", 1 << 18)
    declared = spec(features={"photo": {"kind": "image", "shape": [1, side, side]}}, split=HALVES)
    (tmp_path / "out").mkdir()
    held: list[int] = []
    before = pa.total_allocated_bytes()
    with listening(lambda _: held.append(pa.total_allocated_bytes() - before)):
        prepare(declared, 0, [], pads.dataset(str(path), format="parquet"), tmp_path / "out")

    assert len(held) > 100
    assert max(held) < rows * side * side / 3
