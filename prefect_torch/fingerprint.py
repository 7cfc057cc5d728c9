"""Digests of what decides a result: canonical JSON, files, and the spec fields marked so.

A key is made of content: bytes, spec, upstream digests, versions. Never of paths, times or ids.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

LARGE_BYTES = 64 << 20
"""A file above it is hashed by all threads together; smaller ones by one thread each."""

BLOCK_BYTES, LARGE_BLOCK_BYTES = 1 << 20, 16 << 20
"""Read at a time; for large files so much that the threads have enough to share."""

SMALL_BYTES = 256 << 10
"""Files up to it are read one after the other: threads would only wait for the interpreter."""

TOGETHER_BYTES = 32 << 20
"""Several files of more bytes in all are hashed at once; below, starting threads costs more."""

FILES_AHEAD = 1000
"""Up to so many files are given to the threads before their digests are asked for."""

MOST_THREADS = 8


class Decides:
    """Marks a spec field: `Annotated[int, Decides("prepare", "train")]`.

    Names the stages whose result the field decides. `Decides()` marks one that decides nothing
    (workers, device, progress). A model whose fields are marked one by one carries `EachField`.
    """

    def __init__(self, *stages: str) -> None:
        self.stages = stages


class EachField:
    """Marks a spec field whose own fields say what they decide."""


@dataclass(frozen=True)
class Fingerprint:
    """A stage's key together with the document it is the digest of, so that a change has a name."""

    key: str
    """64 hexadecimal digits."""

    document: Mapping[str, Any]
    """What went in: `spec`, `upstream`, `source`, `code`, `versions`."""


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest_json(value: Any) -> str:
    """Return the SHA-256 (hexadecimal) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the BLAKE3 (hexadecimal) of a file's bytes, read in bounded memory.

    Blocks and not a memory map: a file cut short under a map kills the process.
    """
    from blake3 import blake3

    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        large = size > LARGE_BYTES
        found = blake3(max_threads=blake3.AUTO if large and _may_thread() else 1)
        most = LARGE_BLOCK_BYTES if large else BLOCK_BYTES
        block = memoryview(bytearray(min(size + 1, most)))
        while count := file.readinto(block):
            found.update(block[:count])
    return found.hexdigest()


def digest_files(paths: Sequence[Path]) -> Iterator[str]:
    """Yield the digest of each file in order, several hashed at once where that is faster.

    Raises:
        OSError: The file whose turn it is cannot be read.
    """
    if not _worth_threads(paths):
        yield from map(digest_file, paths)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(paths), FILES_AHEAD):
            batch = paths[start : start + FILES_AHEAD]
            started = {p: pool.submit(digest_file, p) for p in batch if _is_medium(_size(p))}
            for path in batch:
                yield started[path].result() if path in started else digest_file(path)


def _worth_threads(paths: Sequence[Path]) -> bool:
    medium = [size for size in map(_size, paths) if _is_medium(size)]
    return len(medium) > 1 and sum(medium) > TOGETHER_BYTES


def _is_medium(size: int) -> bool:
    return SMALL_BYTES < size <= LARGE_BYTES


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # told when it is read
        return 0


_threads_of = 0


def _may_thread() -> bool:
    """Tell whether this process may use BLAKE3's threads: a fork has its parent's, all dead."""
    global _threads_of
    _threads_of = _threads_of or os.getpid()
    return _threads_of == os.getpid()


def fingerprint(document: Mapping[str, Any]) -> Fingerprint:
    """Return the fingerprint of a document."""
    return Fingerprint(digest_json(document), document)


def deciding_fields(model: BaseModel, stage: str, prefix: str = "") -> dict[str, Any]:
    """Return the fields that decide a stage's result, as dotted path to JSON value."""
    from pydantic import BaseModel

    found: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        path = f"{prefix}{name}"
        value = getattr(model, name)
        for mark in field.metadata:
            if isinstance(mark, EachField) and isinstance(value, BaseModel):
                found |= deciding_fields(value, stage, f"{path}.")
            elif isinstance(mark, Decides) and stage in mark.stages and value is not None:
                found[path] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    """Turn models, tuples and mappings into JSON values; infinities, which it lacks, into text."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return _plain(value.model_dump(by_alias=True))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@functools.cache
def minor_version(package: str) -> str:
    """Return `2.15` for an installed package of version 2.15.0, or `absent`."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return ".".join(version(package).split("+")[0].split(".")[:2])
    except PackageNotFoundError:
        return "absent"
