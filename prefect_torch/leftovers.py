"""What killed processes left in a store: half a result, a temporary file, an unreadable record."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_torch.errors import ArtifactError
from prefect_torch.live_use import try_lock

if TYPE_CHECKING:
    from prefect_torch.store import Store

REMOVED = ".removed"
"""How names in `partial/` end that no stage fills: artifacts on their way out."""

WRITTEN_INTO = ("code", "latest", "registry", "runs", "stages", "verified")
"""Folders whose files are written under a temporary name."""


def leftovers(store: Store) -> list[Path]:
    """Return what is neither complete nor in the making, sorted.

    Only the store's own folders are looked into: what else a person keeps beside them is theirs.
    """
    return sorted(path for path in _candidates(store) if is_leftover(store, path))


def is_leftover(store: Store, path: Path) -> bool:
    """Tell whether a path of the store is of no use to anyone."""
    folder, name = path.relative_to(store.root).parts[0], path.name
    if folder == "live" or _is_temporary(store, path):
        return path.exists() and not _locked(path)
    if folder == "objects":
        return not is_complete(store, name)
    if folder == "stages":
        return path.suffix != ".json" or store.record(path.stem) is None
    if folder == "verified":
        return not (store.root / "objects" / path.stem).exists()
    return folder == "partial" and not _locked(store.root / "locks" / f"{name}.lock")


def sweep(store: Store, path: Path) -> int:
    """Remove a leftover, and return the bytes freed; 0 if it is none by now."""
    if path.parent == store.root / "live":
        before = size_of(path)
        store.live_digests()
        return before - size_of(path)
    if _is_temporary(store, path):
        return _discard_unlocked(path, path)
    if path.parent == store.root / "partial" and path.name.endswith(REMOVED):
        return discard(path)
    if path.parent == store.root / "partial":
        return _discard_unlocked(path, store.root / "locks" / f"{path.name}.lock")
    if path.parent == store.root / "objects":
        return _sweep_object(store, path)
    return discard(path) if is_leftover(store, path) else 0


def _sweep_object(store: Store, path: Path) -> int:
    with store.lock(path.name):  # as where an artifact is put in its place
        if is_complete(store, path.name):
            return 0
        with store.live.alone():
            if path.name in store.live.digests():
                return 0
            aside = store.set_aside(path)
            (store.root / "verified" / f"{path.name}.json").unlink(missing_ok=True)
    return discard(aside)


def _discard_unlocked(path: Path, lock: Path) -> int:
    """Discard a path while holding its lock, so that nobody takes it up meanwhile."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("ab") as file:
        return discard(path) if try_lock(file) else 0


def _is_temporary(store: Store, path: Path) -> bool:
    folder = path.relative_to(store.root).parts[0]
    return folder in WRITTEN_INTO and path.match(".*.tmp")


def discard(path: Path) -> int:
    """Delete a file or folder, whatever of it is there, and return the bytes freed."""
    before = size_of(path)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return before - size_of(path)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 if it is not there."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(_size(file) for file in files)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size if not path.is_dir() else 0
    except FileNotFoundError:  # another process deletes it too
        return 0


def _candidates(store: Store) -> Iterator[Path]:
    for folder in ("objects", "stages", "verified", "partial", "live"):
        if (store.root / folder).is_dir():
            yield from (store.root / folder).iterdir()
    for folder in WRITTEN_INTO:
        if folder not in ("stages", "verified"):
            yield from (store.root / folder).rglob(".*.tmp")


def is_complete(store: Store, digest: str) -> bool:
    """Tell whether an artifact has its manifest and every file, of the right size."""
    try:
        files = store.get(digest).files
        sizes = {name: (store.root / "objects" / digest / name).stat().st_size for name in files}
    except (ArtifactError, OSError):
        return False
    return all(sizes[name] == file["bytes"] for name, file in files.items())


def _locked(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            return not try_lock(file)
    except FileNotFoundError:
        return False
