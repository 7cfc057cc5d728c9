from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_torch.datasets.parquet_source import ParquetSource
from prefect_torch.errors import DataError


def refusal(path: str | list[str], folder: Path, columns: list[str] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        list(ParquetSource(path, columns).within(folder).batches())
    return str(caught.value)


def test_files_are_one_table_in_sorted_order_whatever_the_order_of_their_columns(
    tmp_path: Path,
) -> None:
    pq.write_table(pa.table({"b": ["y"], "a": [2]}), tmp_path / "2.parquet")
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "1.parquet")
    table = pa.concat_tables(ParquetSource("*.parquet").within(tmp_path).batches())
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_only_the_columns_asked_for_are_read_in_that_order(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": ["x"], "c": [0]}), tmp_path / "x.parquet")
    table = pa.concat_tables(ParquetSource("x.parquet", ["c", "a"]).within(tmp_path).batches())
    assert table.column_names == ["c", "a"]


def test_a_large_file_comes_in_many_batches(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": range(100_000)}), tmp_path / "x.parquet")
    rows = [batch.num_rows for batch in ParquetSource("x.parquet").within(tmp_path).batches()]
    assert sum(rows) == 100_000
    assert max(rows) <= 8192


def test_a_missing_column_gets_a_suggestion(tmp_path: Path) -> None:
    pq.write_table(pa.table({"price": [1]}), tmp_path / "x.parquet")
    message = refusal("x.parquet", tmp_path, ["pric"])
    assert message == "x.parquet: no column 'pric'; did you mean \"price\"?"


def test_files_with_other_columns_are_refused_by_file_and_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [1], "late": [1]}), tmp_path / "2.parquet")
    message = refusal("*.parquet", tmp_path)
    assert message.startswith("1.parquet: has no column 'late', but 2.parquet has;")


def test_files_with_other_types_are_refused_by_file_and_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "2.parquet")
    message = refusal("*.parquet", tmp_path)
    assert message.startswith("2.parquet: column 'a' is double, but int64 in 1.parquet;")


def test_a_file_that_was_cut_short_says_so(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": range(1000)}), tmp_path / "x.parquet")
    data = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(data[: len(data) // 2])
    message = refusal("x.parquet", tmp_path)
    assert message.startswith("x.parquet: cut short or damaged: ")
    assert message.endswith("write or copy the file again")


def test_a_file_that_is_damaged_in_its_middle_names_the_row(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": range(20_000)}), path, row_group_size=10_000, compression="zstd")
    data = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(1).column(0).dictionary_page_offset
    data[start : start + 2000] = bytes([255]) * 2000
    path.write_bytes(data)
    assert refusal("x.parquet", tmp_path).startswith("x.parquet: damaged after row ")


def test_a_file_that_is_no_parquet_shows_how_it_begins(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("a,b\n1,2\n")
    assert refusal("x.parquet", tmp_path) == (
        "x.parquet: not a Parquet file: it begins with b'a,b\\n'; to read text, use CsvSource"
    )


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").touch()
    assert refusal("x.parquet", tmp_path) == "x.parquet: the file is empty; expected Parquet"


def test_files_without_rows_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "x.parquet")
    assert refusal("x.parquet", tmp_path) == "x.parquet: no rows; expected at least one"


def test_a_missing_file_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").touch()
    message = refusal("trian.parquet", tmp_path)
    assert message.startswith("trian.parquet: no such file: ")
    assert message.endswith('did you mean "train.parquet"?')


def test_a_folder_of_files_needs_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    message = refusal("parts", tmp_path)
    assert message.startswith("parts: is a folder, expected a file;")
    assert message.endswith("such as parts/*")


def test_identity_moves_when_one_byte_does(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    source = ParquetSource("x.parquet").within(tmp_path)
    before = source.identity()
    path.write_bytes(path.read_bytes() + b"\0")
    assert source.identity() != before
