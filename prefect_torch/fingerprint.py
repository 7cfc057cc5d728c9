"""SHA-256 of what decides a result: canonical JSON, files, and the spec fields marked so.

A key is made of content: bytes, spec, upstream digests, versions. Never of paths, times or ids.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

CHUNK_BYTES = 1 << 20


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
    """Return the SHA-256 (hexadecimal) of a file's bytes, read in bounded memory."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            found.update(block)
    return found.hexdigest()


def fingerprint(document: Mapping[str, Any]) -> Fingerprint:
    """Return the fingerprint of a document."""
    return Fingerprint(digest_json(document), document)


def deciding_fields(model: BaseModel, stage: str, prefix: str = "") -> dict[str, Any]:
    """Return the fields that decide a stage's result, as dotted path to JSON value."""
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
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(by_alias=True))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def minor_version(package: str) -> str:
    """Return `2.15` for an installed package of version 2.15.0, or `absent`."""
    try:
        return ".".join(version(package).split("+")[0].split(".")[:2])
    except PackageNotFoundError:
        return "absent"
