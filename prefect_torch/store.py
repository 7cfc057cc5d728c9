"""Where artifacts live: content-addressed folders, written whole or not at all, checked on read.

```
ROOT/objects/<digest>/…            immutable; manifest.json written last
ROOT/stages/<fingerprint>.json     which artifact a fingerprint gave, with provenance
ROOT/partial/…                     work in progress; nothing here is ever an artifact
ROOT/registry/<pipeline>/…         the champion and its history (see registry.py)
ROOT/runs/<run id>/…               what a person looks at: the report, the summary
ROOT/locks/…                       one file per fingerprint, held by the operating system
```
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prefect_torch.errors import ArtifactError
from prefect_torch.fingerprint import digest_file, digest_json

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """An immutable folder in the store, named by the digest of its content."""

    digest: str
    path: Path
    kind: str
    files: Mapping[str, Mapping[str, Any]]
    """File name (relative, `/`) to `{"bytes": int, "sha256": str}`."""

    def file(self, name: str) -> Path:
        """Return the path of one of its files.

        Raises:
            ArtifactError: The artifact has no such file.
        """
        if name not in self.files:
            raise ArtifactError(
                f"{self.path}: no file {name!r} in this {self.kind} artifact; "
                f"it has {', '.join(sorted(self.files))}"
            )
        return self.path / name

    def json(self, name: str) -> Any:
        """Return the content of one of its JSON files."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))

    def verify(self) -> None:
        """Check every file against the manifest, by content.

        Raises:
            ArtifactError: A file is missing or its bytes have changed; the message names it.
        """
        for name, expected in self.files.items():
            path = self.path / name
            if not path.is_file():
                raise ArtifactError(f"{path}: missing from {self.kind} artifact {self.digest[:12]}")
            size = path.stat().st_size
            if size != expected["bytes"]:
                raise ArtifactError(
                    f"{path}: {size} bytes, expected {expected['bytes']}: changed since written"
                )
            if digest_file(path) != expected["sha256"]:
                raise ArtifactError(f"{path}: its content has changed since it was written")


@dataclass(frozen=True)
class StageRecord:
    """Which artifact a fingerprint gave, and how it came to be."""

    stage: str
    fingerprint: str
    artifact: str
    document: Mapping[str, Any]
    """What the fingerprint is the digest of."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What differs from run to run and decides nothing: times, host, device, run id."""


class Store:
    """A local folder of artifacts. Every write is atomic; readers never see half of anything."""

    def __init__(self, root: Path | str) -> None:
        text = str(root)
        if "://" in text and not text.startswith("file://"):
            raise ArtifactError(f"store {text!r}: only local folders are supported; give a path")
        self.root = Path(text.removeprefix("file://")).expanduser().absolute()

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def get(self, digest: str) -> Artifact:
        """Return an artifact by digest, its manifest checked but its files not yet.

        Raises:
            ArtifactError: It is not in the store, or its manifest is unreadable or altered.
        """
        path = self.root / "objects" / digest
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            altered = digest_json(manifest) != digest
        except FileNotFoundError as error:
            raise ArtifactError(f"{path}: no complete artifact of this digest") from error
        except ValueError as error:
            raise ArtifactError(f"{path / MANIFEST}: not a manifest: {error}") from error
        if altered:
            raise ArtifactError(f"{path / MANIFEST}: altered since it was written")
        return Artifact(digest, path, manifest["kind"], manifest["files"])

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """Give an empty folder to fill; what is left of it afterwards is removed.

        What a killed process left under this name is removed first: hold the lock of the name
        where several may want it at once.
        """
        path = self.root / "partial" / name
        if path.exists():
            shutil.rmtree(path)
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def commit(self, folder: Path, kind: str) -> Artifact:
        """Turn a filled folder into an artifact: hash, flush to disk, manifest last, rename."""
        files = {}
        for path in sorted(folder.rglob("*")):
            _flush(path)
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                files[name] = {"bytes": path.stat().st_size, "sha256": digest_file(path)}
        manifest = {"kind": kind, "files": files}
        digest = digest_json(manifest)
        write_json(folder / MANIFEST, manifest)
        self._publish(folder, digest)
        return self.get(digest)

    def _publish(self, folder: Path, digest: str) -> None:
        """Move a complete folder to its place, unless the same content stands there whole."""
        target = self.root / "objects" / digest
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.lock(digest):
            if target.exists():
                try:
                    self.get(digest).verify()
                    return
                except ArtifactError:
                    shutil.rmtree(target)
            folder.rename(target)
        _flush(target.parent)

    def record(self, fingerprint: str) -> StageRecord | None:
        """Return what a fingerprint gave last time, or None (an unreadable record is none)."""
        path = self.root / "stages" / f"{fingerprint}.json"
        try:
            return StageRecord(**json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write_record(self, record: StageRecord) -> None:
        """Remember which artifact a fingerprint gave."""
        write_json(self.root / "stages" / f"{record.fingerprint}.json", asdict(record))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold an exclusive lock; the operating system frees it if the holder dies."""
        from filelock import FileLock

        path = self.root / "locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path):
            yield

    def run_folder(self, run_id: str) -> Path:
        """Return (and make) the folder of what a person looks at after a run."""
        path = self.root / "runs" / run_id
        path.mkdir(parents=True, exist_ok=True)
        return path


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: temporary name, flush, rename, flush the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Force a file's or folder's content to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
