import pickle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from prefect_torch.datasets import layout
from prefect_torch.datasets.layout import Field, LayoutWriter
from prefect_torch.datasets.parquet_dataset import ParquetDataset
from prefect_torch.errors import DataError

FIELDS = [
    Field("a.b", "float32", (3,)),
    Field("picture", "uint8", (1, 5, 7)),
    Field("tokens", "int32", (2,)),
    Field("target", "int64"),
]


def make(path: Path, rows: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    tensors = {f.name: generator.integers(0, 256, (rows, *f.shape)).astype(f.dtype) for f in FIELDS}
    with LayoutWriter(path, FIELDS) as writer:
        writer.write(tensors)
    return tensors


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "ROW_GROUP_BYTES", 500)


@settings(deadline=None)
@given(rows=st.integers(1, 60), group_bytes=st.integers(1, 5000), data=st.data())
def test_a_batch_holds_the_rows_that_were_asked_for(
    rows: int, group_bytes: int, data: st.DataObject
) -> None:
    index = data.draw(st.lists(st.integers(0, rows - 1), max_size=80))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "ROW_GROUP_BYTES", group_bytes)
        written = make(Path(folder, "x.parquet"), rows)
        dataset = ParquetDataset(Path(folder, "x.parquet"))
        batch = dataset[torch.tensor(index, dtype=torch.int64)]

        assert len(dataset) == rows
        for name, values in written.items():
            assert batch[name].dtype == torch.from_numpy(values).dtype
            assert np.array_equal(batch[name].numpy(), values[index])


@pytest.mark.usefixtures("small_groups")
def test_an_integer_gives_one_sample_also_from_the_end(tmp_path: Path) -> None:
    written = make(tmp_path / "x", 10)
    dataset = ParquetDataset(tmp_path / "x")

    for index in (0, 9, -1, -10):
        assert np.array_equal(dataset[index]["picture"].numpy(), written["picture"][index])
    assert [int(sample["target"]) for sample in dataset] == written["target"].tolist()


@pytest.mark.parametrize("index", [10, -11])
def test_an_integer_beyond_the_end_is_an_index_error(tmp_path: Path, index: int) -> None:
    make(tmp_path / "x", 10)

    with pytest.raises(IndexError, match=f"row {index} of 10"):
        ParquetDataset(tmp_path / "x")[index]


@pytest.mark.parametrize("index", [[3, 10], [-1]])
def test_a_batch_beyond_the_end_is_an_index_error_and_not_other_bytes(
    tmp_path: Path, index: list[int]
) -> None:
    make(tmp_path / "x", 10)

    with pytest.raises(IndexError, match="expected 0 to 9"):
        ParquetDataset(tmp_path / "x")[torch.tensor(index)]


@pytest.mark.usefixtures("small_groups")
def test_it_pickles_small_also_after_it_was_read(tmp_path: Path) -> None:
    written = make(tmp_path / "x", 1000)
    dataset = ParquetDataset(tmp_path / "x")
    _ = dataset[0]
    pickled = pickle.dumps(dataset)

    assert len(pickled) < 0.1 * (tmp_path / "x").stat().st_size
    assert np.array_equal(pickle.loads(pickled)[7]["picture"].numpy(), written["picture"][7])


@pytest.mark.usefixtures("small_groups")
def test_spawned_workers_open_it_themselves(tmp_path: Path) -> None:
    written = make(tmp_path / "x", 30)
    dataset = ParquetDataset(tmp_path / "x")
    _ = dataset[0]
    loader = DataLoader(dataset, batch_size=8, num_workers=2, multiprocessing_context="spawn")

    assert torch.cat([batch["target"] for batch in loader]).tolist() == written["target"].tolist()


def test_what_it_returns_can_be_changed_without_changing_the_file(tmp_path: Path) -> None:
    written = make(tmp_path / "x", 3)
    dataset = ParquetDataset(tmp_path / "x")
    dataset[torch.tensor([0])]["picture"].zero_()

    assert np.array_equal(dataset[0]["picture"].numpy(), written["picture"][0])


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"use_dictionary": True},
        {"use_dictionary": False, "data_page_size": 100, "write_batch_size": 10},
        {
            "use_dictionary": False,
            "write_statistics": False,
            "column_encoding": {"target": "BYTE_STREAM_SPLIT"},
        },
    ],
)
def test_a_file_that_was_rewritten_otherwise_is_refused(
    tmp_path: Path, options: dict[str, object]
) -> None:
    make(tmp_path / "x", 20)
    table = pq.read_table(tmp_path / "x")
    pq.write_table(table, tmp_path / "y", **{"compression": "none", **options})

    with pytest.raises(DataError, match="not one plain uncompressed page"):
        ParquetDataset(tmp_path / "y")


def test_a_file_whose_columns_were_reordered_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "x", 20)
    table = pq.read_table(tmp_path / "x").select(["target", "tokens", "picture", "a.b"])
    pq.write_table(table, tmp_path / "y", compression="none", use_dictionary=False)

    with pytest.raises(DataError, match="rewritten by other means"):
        ParquetDataset(tmp_path / "y")


def test_an_absent_or_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"PAR1 nothing PAR1")

    for name in ("absent", "broken"):
        with pytest.raises(DataError, match=f"{name}: not a readable Parquet file"):
            ParquetDataset(tmp_path / name)
