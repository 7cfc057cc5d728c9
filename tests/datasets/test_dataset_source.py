import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset
from torchvision.datasets import FakeData, ImageFolder

from prefect_torch.datasets.csv_source import CsvSource
from prefect_torch.datasets.dataset_source import as_source
from prefect_torch.errors import DataError


class Rows(Dataset):  # type: ignore[type-arg]
    """A map-style Dataset of the rows it is given."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.rows[index], Exception):
            raise self.rows[index]
        return self.rows[index]


class Batches:
    """The user's own class: batches of any kind."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    def batches(self) -> Iterator[Any]:
        yield from self.items


class Versioned(Batches):
    def fingerprint(self) -> str:
        return "v1"


def read(found: object) -> pa.Table:
    return pa.concat_tables(as_source(found, Path()).batches())


def refusal(found: object) -> str:
    with pytest.raises(DataError) as caught:
        read(found)
    return str(caught.value)


def test_a_source_of_ours_is_bound_to_the_project_folder(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    source = as_source(CsvSource("x.csv"), tmp_path)
    assert isinstance(source, CsvSource)
    assert next(source.batches()).to_pydict() == {"a": [1]}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.tensor([[0, 255], [7, 1]], dtype=torch.uint8), pa.list_(pa.uint8(), 4)),
        (torch.tensor([0.1, 1e-30]), pa.list_(pa.float32(), 2)),
        (np.array([2**62, -1]), pa.list_(pa.int64(), 2)),
        (np.array([True, False]), pa.list_(pa.bool_(), 2)),
        (np.array([1.5], dtype=np.float16), pa.list_(pa.float16(), 1)),
        (torch.tensor(3), pa.int64()),
        (np.float32(0.5), pa.float32()),
        (np.array(4, dtype=np.uint8), pa.uint8()),
        ("text", pa.string()),
        (b"bytes", pa.binary()),
        (7, pa.int64()),
        ([1, 2, 3], pa.list_(pa.int64())),
    ],
)
def test_values_keep_their_type_exactly(value: Any, kind: pa.DataType) -> None:
    column = read(Rows([{"x": value}]))["x"]
    assert column.type == kind
    expected = value.tolist() if hasattr(value, "tolist") else value
    flat = np.ravel(expected).tolist() if pa.types.is_fixed_size_list(kind) else expected
    assert column[0].as_py() == flat


def test_missing_arrays_are_nulls() -> None:
    rows = [{"x": np.array([1, 2])}, {"x": None}, {"x": np.array([3, 4])}]
    assert read(Rows(rows))["x"].to_pylist() == [[1, 2], None, [3, 4]]


def test_pictures_become_png_with_the_same_pixels() -> None:
    picture = Image.effect_noise((5, 4), 90)
    table = read(Rows([(picture, 3)]))
    assert table.column_names == ["image", "label"]
    stored = Image.open(io.BytesIO(table["image"][0].as_py()))
    assert stored.format == "PNG"
    assert np.array_equal(np.asarray(stored), np.asarray(picture))


def test_a_torch_dataset_of_pairs_is_read_in_order() -> None:
    images = torch.arange(12.0).reshape(3, 2, 2)
    table = read(TensorDataset(images, torch.tensor([2, 0, 1])))
    assert table["label"].to_pylist() == [2, 0, 1]
    assert table["image"].to_pylist() == images.reshape(3, 4).tolist()


def test_an_iterable_dataset_is_streamed_and_never_held_whole() -> None:
    class Stream(IterableDataset):  # type: ignore[type-arg]
        drawn = 0

        def __iter__(self) -> Iterator[dict[str, int]]:
            for number in range(100_000):
                self.drawn += 1
                yield {"x": number}

    stream = Stream()
    batches = as_source(stream, Path()).batches()
    assert next(batches)["x"].to_pylist() == list(range(1024))
    assert stream.drawn == 1024


def test_large_rows_are_cut_by_bytes() -> None:
    rows = [{"x": np.zeros(8 << 20, dtype=np.uint8)}] * 20
    assert [t.num_rows for t in as_source(Rows(rows), Path()).batches()] == [8, 8, 4]


def test_batches_may_be_tables_frames_or_lists_of_rows() -> None:
    found = Batches(
        pa.table({"x": [1]}),
        pd.DataFrame({"x": [2]}, index=[9]),
        [{"x": 3}, {"x": 4}],
    )
    assert read(found).to_pydict() == {"x": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("first", "later"), [(0.5, 1), (0.5, None), ([0.5], []), ([1], None), (None, None)]
)
def test_later_values_that_lose_nothing_take_the_type_of_the_first(first: Any, later: Any) -> None:
    column = read(Rows([{"x": first}] * 1024 + [{"x": later}]))["x"]
    assert column[1024].as_py() == later
    assert column.num_chunks == 2


def test_an_iterable_may_give_tables_too() -> None:
    assert read([pa.table({"x": [1]}), {"x": 2}]).to_pydict() == {"x": [1, 2]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, 2, 3)], "Rows: row 0 is a tuple of 3; expected a dict of columns"),
        ([{"x": 1}, 5], "Rows: row 1 is a int; expected a dict of columns"),
        ([{"x": 1}, {"y": 1}], "Rows: row 1 has the columns y; the rows before have x"),
        (
            [{"x": 1}, {"x": 2}, {"x": "three"}],
            "Rows: row 2, column 'x': found str 'three', expected of the type of the rows before",
        ),
        (
            [{"x": 1}] * 1024 + [{"x": 2.5}],
            "Rows: row 1024, column 'x': found float 2.5, expected int64; give every row a value",
        ),
        (
            [{"x": [1]}] * 1024 + [{"x": [2.5]}],
            "Rows: row 1024, column 'x': found list [2.5], expected list<item: int64>; give every",
        ),
        (
            [{"x": 1}] * 1024 + [{"x": "1"}],
            "Rows: row 1024, column 'x': found str '1', expected int64; give every row a value",
        ),
        (
            [{"x": np.zeros(4)}, {"x": np.zeros(5)}],
            "Rows: row 1, column 'x': found fixed_size_list<item: double>[5], expected "
            "fixed_size_list<item: double>[4] as in the rows before it; give every row as many",
        ),
        ([{"x": np.array([object()])}], "Rows: row 0, column 'x': is an array of object"),
        (
            [{"x": torch.zeros(2, dtype=torch.bfloat16)}],
            "Rows: row 0, column 'x': cannot be stored: Got unsupported ScalarType BFloat16",
        ),
        (
            [(Image.new("CMYK", (2, 2)), 0)],
            "Rows: row 0, column 'image': cannot be stored: cannot write mode CMYK as PNG; convert",
        ),
        (
            [{"x": 1}, ValueError("broken file")],
            "Rows: item 1 (counted from 0) could not be read: ValueError: broken file",
        ),
    ],
)
def test_a_row_that_cannot_be_stored_is_named(rows: list[Any], message: str) -> None:
    assert refusal(Rows(rows)).startswith(message)


def test_a_frame_of_mixed_values_is_refused() -> None:
    message = refusal(Batches(pd.DataFrame({"x": [1, "a"]}, dtype=object)))
    assert message.startswith("Batches: the table that begins with row 0 cannot be stored: ")


def test_an_object_that_yields_no_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"source: found a int; a source has `batches\(\)`, or"):
        as_source(5, Path())


def test_identity_is_the_objects_own_fingerprint() -> None:
    identity = as_source(Versioned(), Path()).identity()
    assert identity == {"class": f"{__name__}.Versioned", "fingerprint": "v1"}


def test_a_fingerprint_that_is_no_string_is_refused() -> None:
    class Wrong(Batches):
        def fingerprint(self) -> int:
            return 3

    with pytest.raises(DataError, match=r"Wrong.fingerprint\(\): returned 3, expected a string"):
        as_source(Wrong(), Path()).identity()


def test_without_a_fingerprint_nothing_is_known_of_the_content() -> None:
    assert as_source(Batches(), Path()).identity() is None
    assert as_source(Rows([]), Path()).identity() is None


def test_identity_of_a_torchvision_dataset_is_that_of_its_files(tmp_path: Path) -> None:
    path = tmp_path / "cat" / "1.png"
    path.parent.mkdir()
    Image.new("L", (2, 2)).save(path)
    source = as_source(ImageFolder(str(tmp_path)), Path())
    before = source.identity()
    os.utime(path, (1, 1))
    assert source.identity() == before
    assert str(tmp_path) not in str(before)
    path.write_bytes(path.read_bytes() + b"\0")
    assert source.identity() != before


def test_identity_of_generated_samples_is_that_of_their_arguments() -> None:
    identities = [
        as_source(FakeData(**arguments), Path()).identity()
        for arguments in ({"size": 3}, {"size": 3}, {"size": 3, "random_offset": 1})
    ]
    assert identities[0] is not None
    assert identities[0] == identities[1] != identities[2]


def test_torchvision_samples_are_rows() -> None:
    table = read(FakeData(size=4, image_size=(3, 6, 5), num_classes=3))
    assert table.column_names == ["image", "label"]
    assert Image.open(io.BytesIO(table["image"][3].as_py())).size == (5, 6)
