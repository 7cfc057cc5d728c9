"""What a source of rows is, and how the files of a source are found and identified.

The sources stand beside this file (`csv_source.py`, …); `ingest.py` reads what they yield.
"""

from __future__ import annotations

import copy
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from prefect_torch.errors import DataError, did_you_mean
from prefect_torch.fingerprint import digest_files, digest_json

if TYPE_CHECKING:
    import pyarrow as pa

LISTED_FILES = 1000
"""Up to so many files are listed one by one in an identity, so that a changed one has a name."""

SHOWN_CHARACTERS = 200


class _WithPaths(Protocol):
    _project: Path


Bound = TypeVar("Bound", bound=_WithPaths)


@runtime_checkable
class Source(Protocol):
    """Where rows come from.

    One with relative paths also has `within(project)`, which returns the source as seen from the
    folder of the pipeline file; without it they start at the working directory.
    """

    def batches(self) -> Iterator[pa.Table]:
        """Yield the rows in order, in tables that each fit in memory, all of the same columns."""
        ...

    def identity(self) -> dict[str, Any] | None:
        """Return what the content is known by (digests, versions) as JSON; None: not knowable.

        Never modification times or absolute paths. With None, ingest runs every time.
        """
        ...


def bound_to(source: Bound, project: Path) -> Bound:
    """Return a copy of a source whose relative paths start at `project`."""
    found = copy.copy(source)
    found._project = project
    return found


def find_files(path: str | Sequence[str], project: Path) -> list[Path]:
    """Return the files that a `path` argument names, in order; those of one pattern sorted.

    Args:
        path: A path or a pattern (`*`, `?`, `[…]`, `**`), or several, relative to `project`.
        project: Folder of the pipeline file.

    Raises:
        DataError: A file is missing, a folder, named twice, not local, or a pattern matches none.
    """
    texts = [path] if isinstance(path, str) else list(path)
    if not texts:
        raise DataError("path: found an empty list, expected at least one file")
    found = [file for text in texts for file in _expand(text, project)]
    seen: set[Path] = set()
    for file in found:
        if file in seen:
            raise DataError(f"{shown(file, project)}: named twice by path {texts}; name it once")
        seen.add(file)
    return found


def find_folder(path: str, project: Path) -> Path:
    """Return the folder that a `path` argument names, relative to `project`.

    Raises:
        DataError: It is missing, or a file.
    """
    folder = project / Path(path).expanduser()
    if not folder.is_dir():
        if folder.exists():
            raise DataError(f"{shown(folder, project)}: is a file, expected a folder")
        raise DataError(_missing(folder, project, "folder"))
    return folder


def shown(path: Path, project: Path) -> str:
    """Return how messages call a file: relative to the project folder where it lies below it."""
    return path.relative_to(project).as_posix() if path.is_relative_to(project) else str(path)


def files_identity(files: Sequence[Path], base: Path) -> dict[str, Any]:
    """Return names (relative to `base`) and BLAKE3 of files, in order; one digest for very many.

    Raises:
        DataError: A file cannot be read.
    """
    listed = []
    digests = digest_files(files)
    for file in files:
        name = file.relative_to(base).as_posix() if file.is_relative_to(base) else file.name
        try:
            listed.append({"name": name, "blake3": next(digests)})
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    if len(listed) > LISTED_FILES:
        return {"files": len(listed), "sha256": digest_json(listed)}
    return {"files": listed}


def _expand(text: str, project: Path) -> list[Path]:
    if "://" in text:
        raise DataError(f"path {text!r}: only local files are read; download it first")
    file = project / Path(text).expanduser()
    if file.is_dir():
        raise DataError(
            f"{shown(file, project)}: is a folder, expected a file; "
            f"to read the files in it, write a pattern such as {text.rstrip('/')}/*"
        )
    if file.exists():
        return [file]
    if not glob.has_magic(text):
        raise DataError(_missing(file, project, "file"))
    matches = glob.glob(os.path.expanduser(text), root_dir=project, recursive=True)
    files = [project / match for match in sorted(matches) if (project / match).is_file()]
    if not files:
        raise DataError(f"path {text!r}: no file matches this pattern in {project.absolute()}")
    return files


def _missing(path: Path, project: Path, kind: str) -> str:
    """Say what is missing: the file, or the first of its parent folders that does not exist."""
    gone = path.absolute()
    while not gone.parent.exists():
        gone, kind = gone.parent, "folder"
    beside = [entry.name for entry in gone.parent.iterdir() if not entry.name.startswith(".")]
    folder = shown(gone.parent, project.absolute())
    place = str(gone.parent) if folder == "." else folder
    hint = did_you_mean(gone.name, beside) if beside else "the folder is empty"
    hint = hint if len(hint) <= SHOWN_CHARACTERS else hint[:SHOWN_CHARACTERS] + "…"
    return f"{shown(path, project)}: no such {kind}: {place} has no {gone.name!r}; {hint}"
