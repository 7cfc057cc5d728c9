import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest

from prefect_torch.datasets.csv_source import CsvSource
from prefect_torch.errors import DataError


def read(source: CsvSource) -> pa.Table:
    return pa.concat_tables(source.batches())


def write(folder: Path, name: str, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)


def source(folder: Path, content: str | bytes, **options: object) -> CsvSource:
    write(folder, "data.csv", content)
    return CsvSource("data.csv", **options).within(folder)  # type: ignore[arg-type]


def refusal(found: CsvSource) -> str:
    with pytest.raises(DataError) as caught:
        read(found)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", ""], pa.int64()),
        ([" 1", "2 ", " "], pa.int64()),
        (["1", "2.5", "NA"], pa.float64()),
        (["true", "False", ""], pa.bool_()),
        (["2024-01-31", "", "1999-12-01"], pa.date32()),
        (["2024-01-31", "2024-01-31 10:00:00", ""], pa.timestamp("us")),
        (["2024-01-31T10:00:00Z", "", ""], pa.timestamp("us", "UTC")),
        (["1", "x", ""], pa.string()),
        (["12345678901234567890", "1", "2"], pa.string()),
        (["", "", "null"], pa.null()),
    ],
)
def test_a_column_has_the_narrowest_type_that_fits_all_values(
    tmp_path: Path, values: list[str], kind: pa.DataType
) -> None:
    rows = "".join(f"{value},k\n" for value in values)
    assert read(source(tmp_path, "a,b\n" + rows)).schema.field("a").type == kind


def test_a_late_text_makes_the_whole_column_text_however_many_blocks_came_before(
    tmp_path: Path,
) -> None:
    padding = "x" * 1000
    rows = "".join(f"{number},{padding}\n" for number in range(20_000))
    found = source(tmp_path, "id,pad\n" + rows + "last,y\n")
    batches = list(found.batches())
    assert len(batches) > 1
    assert {batch.schema.field("id").type for batch in batches} == {pa.string()}
    assert sum(batch.num_rows for batch in batches) == 20_001


def test_a_large_file_comes_in_bounded_batches(tmp_path: Path) -> None:
    rows = "".join(f"{number},{'x' * 1000}\n" for number in range(30_000))
    sizes = [batch.nbytes for batch in source(tmp_path, "id,pad\n" + rows).batches()]
    assert len(sizes) >= 3
    assert max(sizes) < 12 << 20


def test_a_quoted_field_may_hold_delimiters_quotes_and_line_breaks(tmp_path: Path) -> None:
    table = read(source(tmp_path, 'a,b\n1,"x, ""y""\nz"\n2,w\n'))
    assert table.to_pydict() == {"a": [1, 2], "b": ['x, "y"\nz', "w"]}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(
    tmp_path: Path, end: str
) -> None:
    table = read(source(tmp_path, b"\xef\xbb\xbf" + f"a,b{end}1,2{end}".encode()))
    assert table.to_pydict() == {"a": [1], "b": [2]}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_other_encodings_are_read_when_named(tmp_path: Path, encoding: str) -> None:
    data = "näme,b\nJosé,2\n".encode(encoding)
    assert read(source(tmp_path, data, encoding=encoding)).to_pydict() == {
        "näme": ["José"],
        "b": [2],
    }


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, "data.csv.gz", gzip.compress(b"a\n1\n2\n"))
    assert read(CsvSource("*.csv.gz").within(tmp_path)).to_pydict() == {"a": [1, 2]}


def test_quoted_line_breaks_survive_where_a_block_ends(tmp_path: Path) -> None:
    text = "line one\nline two, and more\n" * 20
    rows = "".join(f'{number},"{text}"\n' for number in range(20_000))
    table = read(source(tmp_path, "id,text\n" + rows))
    assert table["id"].num_chunks > 1
    assert table["id"].to_pylist() == list(range(20_000))
    assert set(table["text"].to_pylist()) == {text}


def test_delimiter_null_values_columns_and_types_are_followed(tmp_path: Path) -> None:
    found = source(
        tmp_path,
        "zip;n;unused\n01234;-;1\n99999;7;2\n",
        delimiter=";",
        null_values=["-"],
        columns=["n", "zip"],
        types={"zip": "string"},
    )
    assert read(found).to_pydict() == {"n": [None, 7], "zip": ["01234", "99999"]}
    assert read(found).column_names == ["n", "zip"]


def test_files_of_a_pattern_are_one_table_in_sorted_order_with_common_types(
    tmp_path: Path,
) -> None:
    write(tmp_path, "day2.csv", "b,a\n0.5,3\n")
    write(tmp_path, "day1.csv", "a,b\n1,2\n")
    write(tmp_path, "day3.csv", "a,b\n")
    table = read(CsvSource("day*.csv").within(tmp_path))
    assert table.to_pydict() == {"a": [1, 3], "b": [2.0, 0.5]}


def test_a_row_of_the_wrong_length_is_named_by_line_and_shown(tmp_path: Path) -> None:
    found = source(tmp_path, 'id,name,price\n1,"A\nB",2\n\n2,Anna, Maria,3\n')
    assert refusal(found) == (
        "data.csv:5: 4 fields, expected 3 (id, name, price): '2,Anna, Maria,3'; "
        "put a field that contains ',' in double quotes"
    )


def test_a_long_broken_row_is_shortened(tmp_path: Path) -> None:
    message = refusal(source(tmp_path, "a,b\n" + "x" * 5000 + "\n"))
    assert message.startswith("data.csv:2: 1 field, expected 2 (a, b): 'xxx")
    assert len(message) < 250


def test_a_value_of_another_type_than_declared_is_named_by_line(tmp_path: Path) -> None:
    found = source(tmp_path, 'n,t\n1,"a\nb"\n\n2,c\nabc,d\n', types={"n": "int64"})
    assert refusal(found) == (
        "data.csv:6: column 'n': found 'abc', expected int64; correct the value, "
        "add it to null_values, or read the column as text with types: {n: string}"
    )


def test_a_value_of_another_type_is_named_by_line_beyond_the_first_block(tmp_path: Path) -> None:
    rows = f"1,{'x' * 1000}\n" * 20_000
    found = source(tmp_path, f"n,t\n{rows}abc,d\n", types={"n": "int64"})
    assert refusal(found).startswith("data.csv:20002: column 'n': found 'abc', expected int64;")


def test_a_quote_that_is_never_closed_is_named_by_line(tmp_path: Path) -> None:
    message = refusal(source(tmp_path, 'a,b\n1,2\n3,"open\n4,5\n6,7\n'))
    assert message.startswith("data.csv:3: a quote that opens in this row is not closed")


@pytest.mark.parametrize("row", [b"1,2\n", b"1,2\n" * 500_000])
def test_bytes_of_another_encoding_are_named_by_line_and_offset(tmp_path: Path, row: bytes) -> None:
    found = source(tmp_path, b"a,b\n" + row + b"3,caf\xe9\n")
    lines = row.count(b"\n") + 2
    assert refusal(found).startswith(
        f"data.csv:{lines}: byte {4 + len(row) + 5} (0xe9) is not utf-8; say how the file is"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "data.csv: the file is empty; expected a header line with column names"),
        ("\n\n", "data.csv: the file is empty; expected a header line with column names"),
        ("a,b\n", "data.csv: a header but no rows; expected at least one row"),
        ("a,b", "data.csv: a header but no rows; expected at least one row"),
        (
            "a,b,a\n1,2,3\n",
            "data.csv:1: column 'a' stands 2 times in the header; "
            "give each column a name of its own",
        ),
        (
            ",b\n1,2\n",
            "data.csv:1: column 1 has no name; name it in the header, or list the columns to read "
            "in `columns` (pandas writes such a column unless told to_csv(..., index=False))",
        ),
    ],
)
def test_a_header_that_cannot_be_used_says_why(tmp_path: Path, content: str, message: str) -> None:
    assert refusal(source(tmp_path, content)) == message


def test_a_column_without_a_name_does_not_matter_when_it_is_not_read(tmp_path: Path) -> None:
    assert read(source(tmp_path, ",b\n1,2\n", columns=["b"])).to_pydict() == {"b": [2]}


@pytest.mark.parametrize("option", [{"columns": ["pric"]}, {"types": {"pric": "string"}}])
def test_an_unknown_column_gets_a_suggestion(tmp_path: Path, option: dict[str, object]) -> None:
    found = source(tmp_path, "price,b\n1,2\n", **option)
    assert refusal(found) == "data.csv:1: no column 'pric'; did you mean \"price\"?"


def test_files_with_different_columns_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "a,b\n1,2\n")
    write(tmp_path, "2.csv", "a,b,c\n1,2,3\n")
    message = refusal(CsvSource(["1.csv", "2.csv"]).within(tmp_path))
    assert message.startswith("1.csv:1: has no column 'c', but 2.csv has;")


def test_a_missing_file_gets_a_suggestion_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path, "data/sales.csv", "a\n1\n")
    found = CsvSource("data/sale.csv").within(tmp_path)
    for attempt in (lambda: read(found), found.identity):
        with pytest.raises(DataError) as caught:
            attempt()
        assert str(caught.value) == (
            "data/sale.csv: no such file: data has no 'sale.csv'; did you mean \"sales.csv\"?"
        )


def test_a_missing_parent_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    message = refusal(CsvSource("dta/sales.csv").within(tmp_path))
    assert message.startswith("dta/sales.csv: no such folder: ")
    assert message.endswith("has no 'dta'; did you mean \"data\"?")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (".", "is a folder, expected a file"),
        ("*.csv", "no file matches this pattern in"),
        ([], "found an empty list"),
        ("https://example.org/a.csv", "only local files are read"),
        (["x.txt", "x.*"], "x.txt: named twice"),
    ],
)
def test_a_path_that_names_no_file_says_why(
    tmp_path: Path, path: str | list[str], part: str
) -> None:
    write(tmp_path, "x.txt", "a\n1\n")
    assert part in refusal(CsvSource(path).within(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "||"}, "delimiter: found '||', expected one character"),
        ({"encoding": "utf-9"}, "encoding: found 'utf-9', expected one that Python knows"),
        ({"types": {"a": "strng"}}, "types.a: found 'strng'; did you mean \"string\"?"),
    ],
)
def test_impossible_options_are_refused_at_once(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        CsvSource("data.csv", **options)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


def test_identity_moves_with_the_bytes_and_not_with_the_modification_time(tmp_path: Path) -> None:
    found = source(tmp_path, "a\n1\n")
    before = found.identity()
    os.utime(tmp_path / "data.csv", (1, 1))
    assert found.identity() == before
    assert before["files"][0]["name"] == "data.csv"
    write(tmp_path, "data.csv", "a\n2\n")
    assert found.identity() != before


def test_identity_is_the_same_wherever_the_project_lies(tmp_path: Path) -> None:
    identities = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        identities.append(source(tmp_path / name, "a\n1\n").identity())
    assert identities[0] == identities[1]
