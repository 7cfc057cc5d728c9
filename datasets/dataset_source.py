"""Anything else that yields rows, as a source: torch and torchvision Datasets, your own class."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from prefect_torch.datasets.rows import RowTables
from prefect_torch.datasets.source import Source, files_identity
from prefect_torch.errors import DataError

EXPECTED = (
    "a source has `batches()`, or is iterable, or has `__len__` and `__getitem__` (a torch Dataset)"
)


def as_source(found: object, project: Path) -> Source:
    """Return what a spec's source component built as a `Source`.

    Args:
        found: A `Source`, a torch Dataset, an iterable, or an object with `batches()`.
        project: Folder of the pipeline file; goes to its method `within(project)` if it has one.

    Raises:
        DataError: It yields no rows in any known way.
    """
    within = getattr(found, "within", None)
    found = within(project) if callable(within) else found
    if isinstance(found, Source):
        return found
    if _is_map_style(found) or _has_batches(found) or _is_iterable(found):
        return DatasetSource(found)
    raise DataError(f"source: found a {type(found).__name__}; {EXPECTED}")


class DatasetSource:
    """Reads an object that yields rows or tables.

    Rows are dicts, or (picture, label) as torchvision gives them: columns `image` and `label`.
    Pictures become PNG bytes; tensors and arrays fixed-size lists of the same type and values.
    `batches()` and iteration may also give pyarrow tables, pandas DataFrames or lists of rows.
    """

    def __init__(self, dataset: Any) -> None:
        """Wrap a Dataset, an iterable, or an object with `batches()`."""
        self._dataset = dataset
        self._name = type(dataset).__name__

    def identity(self) -> dict[str, Any] | None:
        """Return what the content is known by.

        In this order: the object's own `fingerprint()`; for a torchvision dataset, the SHA-256 of
        the files below its `root`, or, where it generates its samples (FakeData), its arguments.
        Else None: ingest runs every time.

        Raises:
            DataError: `fingerprint()` returns something other than a string.
        """
        own = getattr(self._dataset, "fingerprint", None)
        if callable(own):
            text = own()
            if not isinstance(text, str):
                raise DataError(
                    f"{self._name}.fingerprint(): returned {text!r}, expected a string that "
                    "changes whenever the rows do, such as a version or a file's SHA-256"
                )
            return {"class": _qualified(self._dataset), "fingerprint": text}
        return _torchvision_identity(self._dataset)

    def batches(self) -> Iterator[pa.Table]:
        """Yield the rows, in tables of at most 1,024 rows and about 64 MiB.

        Raises:
            DataError: A row cannot be read or stored; the message gives its number and column.
        """
        tables = RowTables(self._name)
        for item in self._items():
            if _is_table(item):
                yield from tables.flush()
                yield tables.of_table(item)
            elif isinstance(item, list) and (
                _has_batches(self._dataset) or all(isinstance(row, Mapping) for row in item)
            ):
                for row in item:
                    yield from tables.add(row)
            else:
                yield from tables.add(item)
        yield from tables.flush()

    def _items(self) -> Iterator[Any]:
        """Yield rows or whole batches, whichever the object gives."""
        items: Iterable[Any] = self._dataset
        if _has_batches(self._dataset):
            items = self._dataset.batches()
        elif _is_map_style(self._dataset):
            items = map(self._dataset.__getitem__, range(len(self._dataset)))
        iterator, row = iter(items), 0
        while True:
            try:
                item = next(iterator)
            except StopIteration:
                return
            except DataError:
                raise
            except Exception as error:  # the user's code: whatever it raises, say at which row
                raise DataError(
                    f"{self._name}: item {row} (counted from 0) could not be read: "
                    f"{type(error).__name__}: {error}"
                ) from error
            yield item
            row += 1


def _has_batches(found: object) -> bool:
    return callable(getattr(found, "batches", None))


def _is_map_style(found: object) -> bool:
    iterable_only = getattr(sys.modules.get("torch.utils.data"), "IterableDataset", None)
    if iterable_only is not None and isinstance(found, iterable_only):
        return False
    return hasattr(found, "__len__") and hasattr(found, "__getitem__") and not _is_value(found)


def _is_iterable(found: object) -> bool:
    return isinstance(found, Iterable) and not _is_value(found)


def _is_value(found: object) -> bool:
    """Return whether it is a plain value rather than something that yields rows."""
    return isinstance(found, (str, bytes, Mapping, type)) or _is_table(found)


def _is_table(item: object) -> bool:
    """Return whether an item is a table (pyarrow, pandas, polars) rather than a row."""
    pandas = sys.modules.get("pandas")
    return hasattr(item, "__arrow_c_stream__") or (
        pandas is not None and isinstance(item, pandas.DataFrame)
    )


def _qualified(found: object) -> str:
    return f"{type(found).__module__}.{type(found).__qualname__}"


def _torchvision_identity(dataset: Any) -> dict[str, Any] | None:
    torchvision = sys.modules.get("torchvision.datasets")
    if torchvision is None or not isinstance(dataset, torchvision.VisionDataset):
        return None
    library = {"class": _qualified(dataset), "torchvision": version("torchvision")}
    if isinstance(dataset, torchvision.FakeData):
        arguments = ("size", "image_size", "num_classes", "random_offset")
        return {
            **library,
            "torch": version("torch"),
            "arguments": {
                name: list(value) if isinstance(value := getattr(dataset, name), tuple) else value
                for name in arguments
            },
        }
    root = getattr(dataset, "root", None)
    if not isinstance(root, (str, Path)):
        return None
    folder = Path(root).expanduser()
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {**library, **files_identity(files, folder)} if files else None
