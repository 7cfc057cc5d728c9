"""Checking files against a manifest: by content, or a large one by an earlier check of it.

A large file whose size, times and inode are those of a successful check need not be read again.
As in git's index, one that changed a moment before it was read is not remembered: another change
in the same tick of the file system's clock would not show.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_torch.errors import ArtifactError
from prefect_torch.fingerprint import digest_files

LARGE_BYTES = 64 << 20
"""Files above it are remembered; smaller ones are read every time."""

SETTLED_NS = 2_000_000_000
"""A file is remembered if it last changed longer ago than the coarsest clock's tick (FAT: 2 s)."""

Memory = dict[str, list[int]]
"""File name to what `stat` said at its last check by content: size, mtime, ctime, inode."""


@dataclass(frozen=True)
class FileRead:
    """What reading a whole file gave."""

    size: int
    digest: str
    stamp: list[int] | None
    """What to remember it by; None if it is small, or changed too recently, or meanwhile."""


def read_files(paths: Sequence[Path]) -> list[FileRead]:
    """Read files whole, several at once.

    Raises:
        OSError: One cannot be read.
    """
    before, now = [_stamp(path) for path in paths], time.time_ns()
    digests = list(digest_files(paths))
    return [
        FileRead(old[0], digest, old if _memorable(old, now) and old == _stamp(path) else None)
        for path, old, digest in zip(paths, before, digests, strict=True)
    ]


def check_files(
    folder: Path, files: Mapping[str, Mapping[str, Any]], memory: Memory, owner: str
) -> Memory:
    """Check files against a manifest, and return what to remember of it.

    Args:
        folder: Where they lie.
        files: Name to `{"bytes": int, "blake3": str}`.
        memory: Earlier checks that may serve for large files; empty to read them all.
        owner: What they belong to, for the message.

    Raises:
        ArtifactError: A file is missing, unreadable or changed; the message names it.
    """
    found: Memory = {}
    unread = []
    for name, expected in files.items():
        stamp = _stamp_of_file(folder / name, owner)
        if stamp[0] != expected["bytes"]:
            raise ArtifactError(
                f"{folder / name}: {stamp[0]} bytes, expected {expected['bytes']}: "
                f"changed since written"
            )
        if stamp[0] > LARGE_BYTES and memory.get(name) == stamp:
            found[name] = stamp
        else:
            unread.append(name)
    try:
        read = read_files([folder / name for name in unread])
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be read: {error}") from error
    for name, file in zip(unread, read, strict=True):
        if file.digest != files[name]["blake3"]:
            raise ArtifactError(f"{folder / name}: its content has changed since it was written")
        if file.stamp is not None:
            found[name] = file.stamp
    return found


def _stamp_of_file(path: Path, owner: str) -> list[int]:
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            return _stamp(path)
    except OSError as error:
        raise ArtifactError(f"{path}: missing from {owner}: {error.strerror}") from error
    raise ArtifactError(f"{path}: missing from {owner}: it is no file")


def _stamp(path: Path) -> list[int]:
    # ctime too: it moves with every change and, unlike mtime, cannot be set back.
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _memorable(stamp: list[int], now: int) -> bool:
    size, mtime, ctime, _ = stamp
    return size > LARGE_BYTES and now - max(mtime, ctime) > SETTLED_NS
