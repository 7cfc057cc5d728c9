"""A folder of pictures, one folder for each class: `photos/cat/1.jpg`, `photos/dog/2.png`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_torch.datasets.source import bound_to, files_identity, find_folder, shown
from prefect_torch.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

EXTENSIONS = [".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"]
BATCH_BYTES = 32 << 20
BATCH_ROWS = 1024


class ImageFolderSource:
    """Pictures in a folder per class; columns `image` (bytes as they are), `label`, `file`.

    Rows are sorted by path. Files of other extensions and hidden ones are left out; so are files
    outside the class folders.
    """

    def __init__(self, path: str, extensions: list[str] = EXTENSIONS) -> None:
        """Say where the class folders are; nothing is read yet.

        Args:
            path: The folder that holds them, relative to the pipeline file.
            extensions: Endings of the files to take, in lower or upper case.
        """
        self._path, self._project = path, Path()
        self._extensions = {f".{ending.lower().lstrip('.')}" for ending in extensions}

    def within(self, project: Path) -> ImageFolderSource:
        """Return the same source with relative paths starting at the folder `project`."""
        return bound_to(self, project)

    def identity(self) -> dict[str, Any]:
        """Return names and SHA-256 of the pictures."""
        folder = find_folder(self._path, self._project)
        return files_identity(self._pictures(folder), folder)

    def batches(self) -> Iterator[pa.Table]:
        """Yield the pictures, about 32 MiB at a time.

        Raises:
            DataError: The folder or its class folders are missing or empty, or a picture is broken.
        """
        folder = find_folder(self._path, self._project)
        rows: list[dict[str, Any]] = []
        held = 0
        for file in self._pictures(folder):
            image = self._checked_bytes(file)
            name = file.relative_to(folder)
            rows.append({"image": image, "label": name.parts[0], "file": name.as_posix()})
            held += len(image)
            if held >= BATCH_BYTES or len(rows) >= BATCH_ROWS:
                yield _table(rows)
                rows, held = [], 0
        if rows:
            yield _table(rows)

    def _pictures(self, folder: Path) -> list[Path]:
        """Return the picture files of all class folders, sorted by relative path."""
        place, endings = self._shown(folder), ", ".join(sorted(self._extensions))
        classes = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
        if not classes:
            loose = sum(self._is_picture(file, folder) for file in folder.iterdir())
            raise DataError(
                f"{place}: no folder of a class in it ({loose} pictures lie in it directly); "
                f"expected one folder for each class, such as {place}/cat and {place}/dog"
            )
        found: list[Path] = []
        for kind in sorted(classes):
            pictures = [file for file in kind.rglob("*") if self._is_picture(file, folder)]
            if not pictures:
                raise DataError(
                    f"{self._shown(kind)}: no picture in this class's folder; expected files "
                    f"ending in {endings} (see `extensions`), or remove the folder"
                )
            found += pictures
        return sorted(found, key=lambda file: file.relative_to(folder).as_posix())

    def _is_picture(self, file: Path, folder: Path) -> bool:
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        return file.is_file() and not hidden and file.suffix.lower() in self._extensions

    def _checked_bytes(self, file: Path) -> bytes:
        """Return a picture's bytes after decoding them once, to be sure that they can be."""
        from PIL import Image

        try:
            data = file.read_bytes()
            with Image.open(io.BytesIO(data)) as picture:
                picture.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = "the file is empty" if not file.stat().st_size else str(error)
            reason = "no known picture format" if "cannot identify" in reason else reason
            raise DataError(
                f"{self._shown(file)}: not a readable picture: {reason}; replace or remove it"
            ) from error
        return data

    def _shown(self, path: Path) -> str:
        return shown(path, self._project)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    schema = pa.schema([("image", pa.binary()), ("label", pa.string()), ("file", pa.string())])
    return pa.Table.from_pylist(rows, schema=schema)
