"""Where and why a CSV file is broken: the header's mistakes, and the line that stopped the reader.

A file is read a second time, with Python's csv module, only once something is known to be wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from prefect_torch.errors import DataError

CHUNK_BYTES = 1 << 20
SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Layout:
    """How the text of a CSV file is to be understood."""

    delimiter: str
    encoding: str

    @property
    def arrow_encoding(self) -> str:
        """The encoding as pyarrow calls it; its own UTF-8 reader drops a byte order mark."""
        return "utf8" if self._is_utf8 else self.encoding

    @property
    def python_encoding(self) -> str:
        """The encoding as Python calls it, dropping a byte order mark."""
        return "utf-8-sig" if self._is_utf8 else self.encoding

    @property
    def _is_utf8(self) -> bool:
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")


@dataclass(frozen=True)
class Header:
    """The first line of a CSV file."""

    names: list[str]
    has_rows: bool
    """Whether anything follows it."""


class _UnreadableRowError(Exception):
    """Python's csv module cannot make sense of the row that begins on `line`."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_header(file: Path, place: str, layout: Layout) -> Header:
    """Read the column names.

    Raises:
        DataError: The file is empty, not text of its encoding, or names a column twice.
    """
    try:
        rows = _records(file, layout)
        _, names = next(rows, (0, []))
        has_rows = next(rows, None) is not None
    except (OSError, UnicodeDecodeError, _UnreadableRowError) as error:
        raise explain(error, file, place, layout) from error
    if not names:
        raise DataError(f"{place}: the file is empty; expected a header line with column names")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{place}:1: column {twice[0]!r} stands {names.count(twice[0])} times in the header; "
            "give each column a name of its own"
        )
    return Header(names, has_rows)


def line_of_row(file: Path, layout: Layout, row: int) -> int:
    """Return the line (from 1) on which a row (from 0, the header not counted) begins."""
    for index, (line, _) in enumerate(_records(file, layout)):
        if index == row + 1:
            return line
    raise AssertionError(f"{file} has no row {row}: it changed while it was read")


def explain(error: Exception, file: Path, place: str, layout: Layout) -> DataError:
    """Return the error to raise for one that pyarrow or Python gave: with line and way out."""
    try:
        return (
            _undecodable(file, place, layout)
            or _broken_row(file, place, layout)
            or DataError(f"{place}: cannot be read as CSV: {error}")
        )
    except OSError as cause:
        return DataError(f"{place}: cannot be read: {cause}")


def check_quotes(file: Path, place: str, layout: Layout) -> None:
    """Refuse a file whose last quote is never closed; pyarrow would take the rest for one value.

    Raises:
        DataError: Names the line on which the quote opens.
    """
    quotes = 0
    with pa.input_stream(file) as stream:
        while block := stream.read(CHUNK_BYTES):
            quotes += block.count(b'"')
    if quotes % 2 and (found := _broken_row(file, place, layout)):
        raise found


def _records(file: Path, layout: Layout, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, and the line (from 1) on which it begins."""
    with (
        pa.input_stream(file) as stream,
        io.TextIOWrapper(stream, encoding=layout.python_encoding, newline="") as text,
    ):
        reader = csv.reader(text, delimiter=layout.delimiter, strict=strict)
        line = 1
        try:
            for record in reader:
                if record:
                    yield line, record
                line = reader.line_num + 1
        except csv.Error as error:
            raise _UnreadableRowError(line, str(error)) from error


def _undecodable(file: Path, place: str, layout: Layout) -> DataError | None:
    """Find the first byte that is not of the encoding."""
    decoder = codecs.getincrementaldecoder(layout.python_encoding)()
    offset, line = 0, 1
    with pa.input_stream(file) as stream:
        while True:
            block = stream.read(CHUNK_BYTES)
            pending = decoder.getstate()[0]
            try:
                line += decoder.decode(block, final=not block).count("\n")
            except UnicodeDecodeError as error:
                line += (pending + block)[: error.start].count(b"\n")
                where = offset - len(pending) + error.start
                found = (pending + block)[error.start]
                return DataError(
                    f"{place}:{line}: byte {where} (0x{found:02x}) is not {layout.encoding}; say "
                    "how the file is encoded, such as encoding: cp1252 (Windows) or utf-16"
                )
            if not block:
                return None
            offset += len(block)


def _broken_row(file: Path, place: str, layout: Layout) -> DataError | None:
    """Find the first row that has not as many fields as the header, or never ends."""
    names: list[str] = []
    try:
        for line, record in _records(file, layout, strict=True):
            names = names or record
            if len(record) != len(names):
                return _wrong_count(place, line, record, names, layout)
    except _UnreadableRowError as error:
        return DataError(
            f"{place}:{error.line}: a quote that opens in this row is not closed as expected "
            f'({error}); close it, and write a quote inside a quoted field twice ("")'
        )
    return None


def _wrong_count(
    place: str, line: int, record: list[str], names: list[str], layout: Layout
) -> DataError:
    text = layout.delimiter.join(record)
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "…"
    header = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    fields = "1 field" if len(record) == 1 else f"{len(record)} fields"
    return DataError(
        f"{place}:{line}: {fields}, expected {len(names)} ({header}): {text!r}; "
        f"put a field that contains {layout.delimiter!r} in double quotes"
    )
