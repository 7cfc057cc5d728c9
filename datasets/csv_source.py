"""CSV files, streamed. Types are inferred from all rows, not from the first block of them.

Every block is read as text; a first pass narrows down which type holds for a whole column, a
second one converts. With a type declared for every column (`types`) the first pass is left out.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from prefect_torch.datasets.csv_trouble import (
    Layout,
    check_quotes,
    explain,
    line_of_row,
    read_header,
)
from prefect_torch.datasets.source import bound_to, files_identity, find_files, shown
from prefect_torch.errors import DataError, did_you_mean

NULL_VALUES = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None"]
"""What counts as a missing value unless `null_values` says otherwise."""

BLOCK_BYTES = 8 << 20
INTEGER_BEYOND_INT64 = r"^[+-]?\d{19,}$"
TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "int16": pa.int16(),
    "int8": pa.int8(),
    "uint8": pa.uint8(),
    "float64": pa.float64(),
    "float32": pa.float32(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp_utc": pa.timestamp("us", "UTC"),
}
"""What `types` may name."""

INFERRED = [
    TYPES[name] for name in ("int64", "float64", "bool", "date", "timestamp", "timestamp_utc")
]
"""Tried in this order; a column that none of them fits is text."""


class CsvSource:
    """One or more CSV files with a header line, as one table in the order of the files.

    A column is int64, float64, bool, date or timestamp if all of its values are, else text.
    """

    def __init__(
        self,
        path: str | list[str],
        *,
        delimiter: str = ",",
        encoding: str = "utf-8",
        null_values: list[str] = NULL_VALUES,
        columns: list[str] | None = None,
        types: dict[str, str] | None = None,
    ) -> None:
        """Say which files to read and how; nothing is read yet.

        Args:
            path: Path or pattern (`data/*.csv`), or several, relative to the pipeline file.
            delimiter: The one character between fields.
            encoding: Text encoding of the files, such as `cp1252`.
            null_values: Fields that count as missing.
            columns: Columns to read, in this order; left out: all.
            types: Type by column (`{zip: string}`), where the inferred one is not wanted.

        Raises:
            DataError: The delimiter, the encoding or a type does not exist.
        """
        if len(delimiter) != 1:
            raise DataError(f"delimiter: found {delimiter!r}, expected one character")
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise DataError(
                f"encoding: found {encoding!r}, expected one that Python knows, "
                "such as utf-8, utf-16, latin-1 or cp1252"
            ) from error
        self._declared = {name: _type_named(name, word) for name, word in (types or {}).items()}
        self._layout = Layout(delimiter, encoding)
        self._path, self._project = path, Path()
        self._null_values, self._columns = null_values, columns

    def within(self, project: Path) -> CsvSource:
        """Return the same source with relative paths starting at the folder `project`."""
        return bound_to(self, project)

    def identity(self) -> dict[str, Any]:
        """Return names and SHA-256 of the files."""
        return files_identity(find_files(self._path, self._project), self._project)

    def batches(self) -> Iterator[pa.Table]:
        """Yield the rows, about 8 MiB of text at a time.

        Raises:
            DataError: A file is missing, empty or broken; the message gives file and line.
        """
        files = find_files(self._path, self._project)
        names = self._column_names(files)
        for file in files:
            check_quotes(file, self._shown(file), self._layout)
        types = self._column_types(files, names)
        for file in files:
            row = 0
            for batch in self._blocks(file, names):
                yield self._converted(batch, types, file, row)
                row += batch.num_rows

    def _column_names(self, files: list[Path]) -> list[str]:
        """Return the columns to read; every file must have the same ones, in any order."""
        headers = [read_header(file, self._shown(file), self._layout) for file in files]
        if not any(header.has_rows for header in headers):
            places = ", ".join(self._shown(file) for file in files[:5])
            raise DataError(f"{places}: a header but no rows; expected at least one row")
        first = headers[0].names
        for file, header in zip(files, headers, strict=True):
            for name in sorted(set(first) ^ set(header.names)):
                here, there = self._shown(file), self._shown(files[0])
                has, lacks = (here, there) if name in header.names else (there, here)
                raise DataError(
                    f"{lacks}:1: has no column {name!r}, but {has} has; files that are read "
                    "together need the same columns"
                )
        names = first if self._columns is None else self._columns
        for name in [*names, *self._declared]:
            if name not in first:
                hint = did_you_mean(name, first)
                raise DataError(f"{self._shown(files[0])}:1: no column {name!r}; {hint}")
        if "" in names:
            raise DataError(
                f"{self._shown(files[0])}:1: column {first.index('') + 1} has no name; name it in "
                "the header, or list the columns to read in `columns` "
                "(pandas writes such a column unless told to_csv(..., index=False))"
            )
        return names

    def _column_types(self, files: list[Path], names: list[str]) -> dict[str, pa.DataType]:
        """Return a type for each column that holds for every row of every file."""
        open_names = [name for name in names if name not in self._declared]
        candidates = {name: list(INFERRED) for name in open_names}
        seen: set[str] = set()
        for file in files if open_names else []:
            for batch in self._blocks(file, open_names):
                for name in open_names:
                    values = batch.column(name)
                    if values.null_count < len(values):
                        seen.add(name)
                        candidates[name] = [
                            kind for kind in candidates[name] if self._fits(values, kind)
                        ]
        inferred = {
            name: (kinds[0] if kinds else pa.string()) if name in seen else pa.null()
            for name, kinds in candidates.items()
        }
        return {name: self._declared.get(name) or inferred[name] for name in names}

    def _blocks(self, file: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the named columns of a file as text, null values as nulls."""
        place = self._shown(file)
        header = read_header(file, place, self._layout)
        if not header.has_rows:
            return
        try:
            with (
                pa.input_stream(file) as stream,
                pacsv.open_csv(
                    stream,
                    pacsv.ReadOptions(encoding=self._layout.arrow_encoding, block_size=BLOCK_BYTES),
                    pacsv.ParseOptions(delimiter=self._layout.delimiter, newlines_in_values=True),
                    pacsv.ConvertOptions(
                        column_types=dict.fromkeys(header.names, pa.string()),
                        include_columns=names,
                        null_values=self._null_values,
                        strings_can_be_null=True,
                    ),
                ) as reader,
            ):
                yield from reader
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise explain(error, file, place, self._layout) from error

    def _fits(self, values: pa.Array, kind: pa.DataType) -> bool:
        """Return whether a block of text can be read as a type without loss."""
        text = self._trimmed(values)
        if (
            pa.types.is_floating(kind)
            and pc.any(pc.match_substring_regex(text, INTEGER_BEYOND_INT64)).as_py()
        ):
            return False  # identifiers of 19 digits and more would lose their last ones
        with suppress(pa.ArrowInvalid):
            pc.cast(text, kind)
            return True
        return False

    def _converted(
        self, batch: pa.RecordBatch, types: dict[str, pa.DataType], file: Path, row: int
    ) -> pa.Table:
        columns = {}
        for name, kind in types.items():
            text = batch.column(name)
            if pa.types.is_null(kind):
                columns[name] = pa.nulls(len(text))
            elif pa.types.is_string(kind):
                columns[name] = text
            else:
                try:
                    columns[name] = pc.cast(self._trimmed(text), kind)
                except pa.ArrowInvalid as error:
                    raise self._misfit(text, kind, name, file, row) from error
        return pa.table(columns)

    def _trimmed(self, text: pa.Array) -> pa.Array:
        """Drop the spaces around values, as in `1, 2, 3`; what is then a null value is null."""
        trimmed = pc.utf8_trim_whitespace(text)
        missing = pc.is_in(trimmed, value_set=pa.array(self._null_values, pa.string()))
        return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)

    def _misfit(
        self, text: pa.Array, kind: pa.DataType, column: str, file: Path, row: int
    ) -> DataError:
        """Return the error that names the first value of a block that is not of a type."""
        word = next(word for word, known in TYPES.items() if known == kind)
        for index, value in enumerate(self._trimmed(text)):
            try:
                pc.cast(value, kind)
            except pa.ArrowInvalid:
                line = line_of_row(file, self._layout, row + index)
                return DataError(
                    f"{self._shown(file)}:{line}: column {column!r}: found {text[index].as_py()!r},"
                    f" expected {word}; correct the value, add it to null_values, "
                    f"or read the column as text with types: {{{column}: string}}"
                )
        return DataError(f"{self._shown(file)}: column {column!r} is not all {word}")

    def _shown(self, file: Path) -> str:
        return shown(file, self._project)


def _type_named(column: str, word: str) -> pa.DataType:
    if word not in TYPES:
        raise DataError(f"types.{column}: found {word!r}; {did_you_mean(word, TYPES)}")
    return TYPES[word]
