"""Keeps the tables of source files, so that a file that has not changed is not parsed again.

In memory by content. On disk (if the caller gives a folder) by path, size, times and inode, with
this module's schema and Python's minor version; a broken cache file is written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Goes up whenever tables of the same source come out different."""

SETTLED_SECONDS = 2.0
"""A younger file could change again within one tick of its clock; its table is not kept."""

_by_content: dict[str, dict[str, Any]] = {}


class Tables:
    """Gives the table of a file."""

    def __init__(self, cache: Path | None) -> None:
        self._cache = None if cache is None else os.fspath(cache)

    def table(self, path: str) -> dict[str, Any]:
        """Return a file's table.

        Raises:
            OSError: The file cannot be read.
        """
        if self._cache is None:
            return _of_content(path)
        at = os.stat(path)
        # ctime too: tools that keep the time of a file (cp -p, tar, rsync) cannot keep that one.
        stamp = [at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino]
        key = [path, *stamp, SCHEMA, sys.version_info[1]]
        place = os.path.join(self._cache, f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json")
        table = _kept(place, key)
        if table is None:
            table = _of_content(path)
            if time.time() - max(at.st_mtime, at.st_ctime) > SETTLED_SECONDS:
                _keep(place, key, table)
        return table


def _of_content(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        return table_of_content(file.read(), os.path.splitext(path)[1])


def table_of_content(content: bytes, suffix: str) -> dict[str, Any]:
    """Return the table of what a file holds, by its suffix source or not."""
    name = f"{hashlib.sha256(content).hexdigest()}{suffix}"
    if name not in _by_content:
        # Imported here: where every table is kept already, `ast` is never needed.
        from prefect_torch.code_table import opaque_table, table_of

        _by_content[name] = table_of(content) if suffix == ".py" else opaque_table(content)
    return _by_content[name]


def _kept(place: str, key: list[Any]) -> dict[str, Any] | None:
    """Return what a cache file holds under a key, None if it holds anything else."""
    try:
        with open(place, "rb") as file:
            head, _, body = file.read().partition(b"\n")
        if json.loads(head) != [*key, _check(body)]:
            return None
        value = json.loads(body)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _keep(place: str, key: list[Any], value: dict[str, Any]) -> None:
    """Write a cache file; a folder that cannot be written only costs time."""
    body = json.dumps(value, separators=(",", ":")).encode()
    head = json.dumps([*key, _check(body)]).encode()
    aside = f"{place}.{os.getpid()}"
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(aside, "wb") as file:
            file.write(head + b"\n" + body)
        os.replace(aside, place)


def _check(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
