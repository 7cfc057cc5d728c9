from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_torch.datasets.ingest import ingest, open_ingested, read_statistics
from prefect_torch.datasets.spec import Bounds, Expect
from prefect_torch.errors import DataError
from prefect_torch.progress import Progress, listening
from prefect_torch.store import Artifact, Store


class Tables:
    """A source of the tables it is given."""

    def __init__(self, *tables: pa.Table) -> None:
        self.tables = tables

    def batches(self) -> Iterator[pa.Table]:
        yield from self.tables

    def identity(self) -> None:
        return None


def cut(table: pa.Table, rows: int) -> Tables:
    return Tables(*(table.slice(at, rows) for at in range(0, table.num_rows, rows)))


def artifact(folder: Path, source: Tables, expect: Expect | None = None) -> Artifact:
    store = Store(folder)
    with store.staging("ingest") as output:
        ingest(source, expect, output)
        return store.commit(output, "ingest")


def refusal(folder: Path, source: Tables, expect: Expect | None = None) -> str:
    with pytest.raises(DataError) as caught:
        ingest(source, expect, folder / "out")
    return str(caught.value)


def mixed(rows: int) -> pa.Table:
    random = np.random.default_rng(0)
    numbers = random.normal(size=rows)
    return pa.table(
        {
            "number": pa.array(numbers, mask=numbers > 2),
            "text": [f"row {number}" * (number % 7) for number in range(rows)],
            "image": pa.array([bytes(number % 50) for number in range(rows)]),
            "flag": pa.array([None if number % 11 == 0 else number % 2 for number in range(rows)]),
            "list": [[number] * (number % 3) for number in range(rows)],
            "pixels": pa.FixedSizeListArray.from_arrays(np.arange(rows * 4) % 255, 4),
        }
    )


@pytest.mark.parametrize("rows", [1, 7000, 65_536, 65_537, 200_000])
def test_the_bytes_do_not_depend_on_how_the_source_cuts_its_batches(
    tmp_path: Path, rows: int
) -> None:
    table = mixed(140_000 if rows > 1 else 700)
    whole = artifact(tmp_path, Tables(table))
    assert artifact(tmp_path, cut(table, rows)).digest == whole.digest


def test_row_groups_of_large_rows_are_cut_by_bytes_alone(tmp_path: Path) -> None:
    table = pa.table({"image": [bytes(1 << 20)] * 150})
    whole = artifact(tmp_path, Tables(table))
    assert artifact(tmp_path, cut(table, 7)).digest == whole.digest
    groups = pq.read_metadata(whole.file("data/part-00000.parquet"))
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [64, 64, 22]


def test_the_bytes_do_not_depend_on_equivalent_types_or_metadata(tmp_path: Path) -> None:
    plain = pa.table({"text": ["a", "b", "a"], "number": [1.0, None, 2.0]})
    other = pa.table(
        {
            "text": plain["text"].cast(pa.large_string()).dictionary_encode(),
            "number": pa.array([1.0, float("nan"), 2.0]),
        }
    ).replace_schema_metadata({"pandas": "{}"})
    assert artifact(tmp_path, Tables(other)).digest == artifact(tmp_path, Tables(plain)).digest


def test_rows_come_back_in_order_and_unchanged(tmp_path: Path) -> None:
    table = mixed(150_000)
    dataset = open_ingested(artifact(tmp_path, cut(table, 10_000)))
    assert dataset.to_table().equals(table)


def test_a_source_is_read_batch_by_batch_while_row_groups_are_written(tmp_path: Path) -> None:
    drawn: list[int] = []
    seen: list[tuple[int, int]] = []

    class Endless(Tables):
        def batches(self) -> Iterator[pa.Table]:
            for number in range(40):
                drawn.append(number)
                yield pa.table({"x": np.full(10_000, number)})

    def listener(progress: Progress) -> None:
        seen.append((progress.done, len(drawn)))

    with listening(listener):
        ingest(Endless(), None, tmp_path / "out")
    assert seen[-1] == (400_000, 40)
    assert all(batches * 10_000 - rows < 10_000 for rows, batches in seen)


def test_statistics_say_what_is_in_each_column(tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": [1, None, 5, 6],
            "x": [0.5, float("nan"), float("inf"), -1.0],
            "label": ["a", "b", "a", None],
            "image": [b"1", b"2", b"3", b"4"],
        }
    )
    found = read_statistics(artifact(tmp_path, cut(table, 3)))
    nothing: dict[str, Any] = {"min": None, "max": None, "mean": None}
    assert found == {
        "rows": 4,
        "columns": {
            "n": {"type": "int64", "nulls": 1, "min": 1, "max": 6, "mean": 4.0, "distinct": 3},
            "x": {
                "type": "double",
                "nulls": 1,
                "min": -1.0,
                "max": 0.5,
                "mean": -0.25,
                "distinct": 3,
            },
            "label": {"type": "string", "nulls": 1, "distinct": 2, **nothing},
            "image": {"type": "binary", "nulls": 0, "distinct": None, **nothing},
        },
    }


@pytest.mark.parametrize(("rows", "distinct"), [(1000, 1000), (1001, None), (70_000, None)])
def test_different_values_are_counted_up_to_a_thousand(
    tmp_path: Path, rows: int, distinct: int | None
) -> None:
    found = read_statistics(artifact(tmp_path, Tables(pa.table({"x": range(rows)}))))
    assert found["columns"]["x"]["distinct"] == distinct


def test_all_that_is_not_as_expected_is_told_at_once(tmp_path: Path) -> None:
    table = pa.table(
        {
            "age": [31, -3, 44, -1, None],
            "income": [1.0, 2.0, float("inf"), 3.0, None],
            "label": ["a"] * 5,
        }
    )
    expect = Expect(
        rows=Bounds(min=1000),
        nulls=1,
        columns={
            "age": Bounds(min=0, max=40),
            "income": Bounds(max=100),
            "label": Bounds(min=0),
            "incom": Bounds(min=0),
        },
    )
    assert refusal(tmp_path, cut(table, 2), expect) == (
        "the source is not what data.expect says (7 problems; rows are counted from 0):\n"
        "  rows: 5, expected at least 1000\n"
        "  nulls: 2 (age: 1, income: 1), expected at most 1\n"
        "  columns.label: is string; bounds need a column of numbers\n"
        '  columns.incom: no such column; did you mean "income"?\n'
        "  columns.age: -3 in row 1, expected at least 0 (and 1 more)\n"
        "  columns.age: 44 in row 2, expected at most 40\n"
        "  columns.income: inf in row 2, expected at most 100\n"
        "correct the source, or data.expect if it is right"
    )


def test_rows_are_numbered_and_counted_across_row_groups(tmp_path: Path) -> None:
    values = np.zeros(200_000)
    values[[70_000, 199_999]] = 9
    expect = Expect(rows=Bounds(max=10), columns={"x": Bounds(max=1)})
    message = refusal(tmp_path, cut(pa.table({"x": values}), 30_000), expect)
    assert "  rows: 200000, expected at most 10\n" in message
    assert "  columns.x: 9 in row 70000, expected at most 1 (and 1 more)\n" in message


def test_what_is_as_expected_passes(tmp_path: Path) -> None:
    expect = Expect(rows=Bounds(min=3, max=3), nulls=0, columns={"x": Bounds(min=1, max=3)})
    ingest(Tables(pa.table({"x": [1, 2, 3]})), expect, tmp_path / "out")
    assert (tmp_path / "out/statistics.json").is_file()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([], "the source has no rows; expected at least one"),
        ([{"x": pa.array([], pa.int64())}], "the source has no rows; expected at least one"),
        (
            [{"x": [1]}, {"y": [1]}],
            "the source's rows from 1 on have the columns y; those before have x; give every",
        ),
        (
            [{"x": [1, 2]}, {"x": [0.5]}],
            "the source's column 'x' is double from row 2 on, but int64 before; give every",
        ),
    ],
)
def test_a_source_that_cannot_be_one_table_says_why(
    tmp_path: Path, tables: list[dict[str, Any]], message: str
) -> None:
    source = Tables(*(pa.table(columns) for columns in tables))
    assert refusal(tmp_path, source).startswith(message)


def test_a_column_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    assert refusal(tmp_path, Tables(table)) == (
        "the source has 2 columns called 'x'; give each a name of its own"
    )


def test_a_source_without_columns_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, Tables(pa.table({})))
    assert message == "the source has no columns; expected at least one"


def test_a_type_that_parquet_cannot_hold_is_named(tmp_path: Path) -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    message = refusal(tmp_path, Tables(pa.table({"u": union})))
    assert message.startswith("the source has a column that Parquet cannot hold: ")
    assert "u sparse_union" in message


def test_a_later_table_may_have_its_columns_in_another_order_or_empty(tmp_path: Path) -> None:
    source = Tables(
        pa.table({"a": [1], "b": ["x"]}),
        pa.table({"b": pa.nulls(1), "a": [2]}),
    )
    table = open_ingested(artifact(tmp_path, source)).to_table()
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", None]}
