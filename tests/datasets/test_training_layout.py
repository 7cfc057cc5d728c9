from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_torch.datasets import layout
from prefect_torch.datasets.layout import Field, LayoutWriter, layout_to_pandas, read_fields
from prefect_torch.errors import DataError

DTYPES = ("uint8", "int32", "int64", "float32")


def write(path: Path, fields: list[Field], *parts: dict[str, np.ndarray]) -> None:
    with LayoutWriter(path, fields) as writer:
        for part in parts:
            writer.write(part)


@settings(deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    cuts=st.lists(st.integers(0, 7), min_size=1, max_size=5),
    group_bytes=st.integers(1, 300),
)
def test_any_parquet_reader_gets_back_the_bytes_that_were_written(
    dtype: str, shape: tuple[int, ...], cuts: list[int], group_bytes: int
) -> None:
    rows = sum(cuts)
    values = np.arange(rows * np.prod(shape, dtype=int)).reshape(rows, *shape).astype(dtype)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "ROW_GROUP_BYTES", group_bytes)
        path = Path(folder, "x.parquet")
        ends = np.cumsum(cuts)
        write(path, [Field("x", dtype, shape)], *({"x": v} for v in np.split(values, ends[:-1])))
        table = pq.read_table(path)

    assert read_fields(table.schema, path) == (Field("x", dtype, shape),)
    assert b"".join(table["x"].to_pylist()) == values.tobytes()


def test_how_rows_arrive_decides_nothing_about_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "ROW_GROUP_BYTES", 100)
    values = np.arange(200, dtype=np.int64)
    field = [Field("x", "int64")]
    write(tmp_path / "one", field, {"x": values})
    write(tmp_path / "many", field, *({"x": v} for v in np.split(values, [3, 4, 90])))

    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()


def test_rows_of_another_dtype_or_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"field 'x': rows of float64 \(\), expected float32 \(\)"):
        write(tmp_path / "a", [Field("x", "float32")], {"x": np.zeros(2)})


def test_a_frame_has_one_column_for_each_source_column(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    fields = [
        Field("numbers", "float32", (2,), ("a", "row")),
        Field("picture", "uint8", (1, 2, 2)),
        Field("row", "int64"),
    ]
    write(
        path,
        fields,
        {
            "numbers": np.array([[1, 2], [3, 4]], np.float32),
            "picture": np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2),
            "row": np.array([7, 9]),
        },
    )
    frame = layout_to_pandas(path)

    assert list(frame) == ["a", "numbers.row", "picture", "row"]
    assert frame["numbers.row"].tolist() == [2, 4]
    assert frame["row"].tolist() == [7, 9]
    assert frame["picture"][1].tolist() == [[[4, 5], [6, 7]]]


def test_ordinary_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": [1]}), path)

    with pytest.raises(DataError, match=r"x\.parquet: not in the training layout"):
        layout_to_pandas(path)
