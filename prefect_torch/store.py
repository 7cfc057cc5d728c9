"""Where artifacts live: content-addressed folders, written whole or not at all, checked on read.

```
ROOT/objects/<digest>/…            immutable; manifest.json written last
ROOT/stages/<fingerprint>.json     which artifact a fingerprint gave, with provenance
ROOT/partial/…                     work in progress; nothing here is ever an artifact
ROOT/registry/<pipeline>/…         the champion and its history (see registry.py)
ROOT/runs/<run id>/…               what a person looks at: the report, the summary
ROOT/locks/…                       one file per fingerprint, held by the operating system
ROOT/live/…                        which artifacts live runs use (see live_use.py)
ROOT/verified/<digest>.json        what large files looked like when last checked by content
```
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from prefect_torch import verification
from prefect_torch.errors import ArtifactError
from prefect_torch.fingerprint import digest_json
from prefect_torch.live_use import LiveUse

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """An immutable folder in the store, named by the digest of its content."""

    digest: str
    path: Path
    kind: str
    files: Mapping[str, Mapping[str, Any]]
    """File name (relative, `/`) to `{"bytes": int, "blake3": str}`."""
    memory: Path | None = field(default=None, compare=False, repr=False)
    """Where earlier checks of its large files are remembered."""
    verify_all: bool = field(default=False, compare=False, repr=False)
    """Read every file on every check."""

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

    def verify(self, remembered: bool = True) -> None:
        """Check every file against the manifest, by content.

        Args:
            remembered: A large file that looks as it did at an earlier check need not be read.

        Raises:
            ArtifactError: A file is missing or its bytes have changed; the message names it.
        """
        before = self._remembered()
        usable = before if remembered and not self.verify_all else {}
        owner = f"{self.kind} artifact {self.digest[:12]}"
        try:
            found = verification.check_files(self.path, self.files, usable, owner)
        except ArtifactError:
            if before and self.memory is not None:
                self.memory.unlink(missing_ok=True)
            raise
        if found != before:
            self.remember(found)

    def remember(self, stamps: verification.Memory) -> None:
        """Keep what its large files looked like when they were checked by content."""
        if self.memory is not None and stamps:
            write_json(self.memory, stamps)

    def _remembered(self) -> verification.Memory:
        large = (file["bytes"] > verification.LARGE_BYTES for file in self.files.values())
        if self.memory is None or not any(large):
            return {}
        try:
            found = json.loads(self.memory.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


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

    def __init__(self, root: Path | str, verify_all: bool = False) -> None:
        """Name the folder; nothing is made yet.

        Args:
            root: A local path, or a `file://` address.
            verify_all: Read every file of an artifact on every check, also large remembered ones.

        Raises:
            ArtifactError: It is an address of something else.
        """
        text = str(root)
        if "://" in text and not text.startswith("file://"):
            raise ArtifactError(f"store {text!r}: only local folders are supported; give a path")
        self.root = Path(text.removeprefix("file://")).expanduser().absolute()
        self.verify_all = verify_all
        self.live = LiveUse(self.root)

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def get(self, digest: str) -> Artifact:
        """Return an artifact by digest, its manifest checked but its files not yet.

        While a run is open (`in_use`), it is marked as in use first.

        Raises:
            ArtifactError: It is not in the store, or its manifest is unreadable or altered.
        """
        self.hold(digest)
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
        kind, files = manifest["kind"], manifest["files"]
        if any("blake3" not in file for file in files.values()):
            raise ArtifactError(f"{path / MANIFEST}: written by a version that hashed otherwise")
        memory = self.root / "verified" / f"{digest}.json"
        return Artifact(digest, path, kind, files, memory, self.verify_all)

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """Give an empty folder to fill; what is left of it afterwards is removed.

        What a killed process left under this name is removed first: hold the lock of the name
        where several may want it at once.
        """
        import shutil

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
        paths = sorted(folder.rglob("*"))
        for path in paths:
            _flush(path)
        named = {path.relative_to(folder).as_posix(): path for path in paths if path.is_file()}
        read = dict(zip(named, verification.read_files(list(named.values())), strict=True))
        files = {name: {"bytes": file.size, "blake3": file.digest} for name, file in read.items()}
        manifest = {"kind": kind, "files": files}
        digest = digest_json(manifest)
        write_json(folder / MANIFEST, manifest)
        self.hold(digest)
        published = self._publish(folder, digest)
        artifact = self.get(digest)
        if published:
            artifact.remember({name: file.stamp for name, file in read.items() if file.stamp})
        return artifact

    def _publish(self, folder: Path, digest: str) -> bool:
        """Move a complete folder to its place, unless the same content stands there whole."""
        from prefect_torch.leftovers import discard

        target = self.root / "objects" / digest
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.lock(digest):
            if target.exists():
                try:
                    self.get(digest).verify(remembered=False)
                    return False
                except ArtifactError:
                    discard(self.set_aside(target))
            folder.rename(target)
        _flush(target.parent)
        return True

    def set_aside(self, path: Path) -> Path:
        """Take a folder out of `objects/` in one step, so that no half is ever found there."""
        from prefect_torch.leftovers import REMOVED

        aside = self.root / "partial" / f"{path.name}.{os.urandom(4).hex()}{REMOVED}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        return path.rename(aside)

    @contextmanager
    def in_use(self, run_id: str) -> Iterator[None]:
        """Keep every artifact that this process gets, commits or holds meanwhile from removal.

        The operating system ends the protection when the process dies.
        """
        with self.live.run(run_id):
            yield

    def hold(self, digest: str) -> None:
        """Mark an artifact as in use by the runs that are open in this process, if any."""
        self.live.hold(digest)

    def live_digests(self) -> set[str]:
        """Return the digests that live runs of any process use, and forget those of dead ones."""
        with self.live.alone():
            return self.live.digests()

    def remove(self, digest: str, fingerprints: Iterable[str] = ()) -> int:
        """Remove an artifact that no live run uses, and return the bytes freed.

        Args:
            digest: Which; 0 bytes if it is not there.
            fingerprints: Records to remove with it, those of them that still name it.

        Raises:
            ArtifactError: A live run uses it, or it is not a digest.
        """
        from prefect_torch.leftovers import discard

        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ArtifactError(
                f"{digest!r}: not the digest of an artifact (64 hexadecimal digits)"
            )
        path = self.root / "objects" / digest
        with self.live.alone():
            if digest in self.live.digests():
                raise ArtifactError(f"{path}: a live run uses it; remove it when that has ended")
            for name in fingerprints:  # first, so that a kill leaves no record of what is gone
                record = self.record(name)
                if record is not None and record.artifact == digest:
                    (self.root / "stages" / f"{name}.json").unlink()
            aside = self.set_aside(path) if path.exists() else None
            (self.root / "verified" / f"{digest}.json").unlink(missing_ok=True)
        return discard(aside) if aside else 0

    def leftovers(self) -> list[Path]:
        """Return what killed processes left: all that is neither complete nor in the making."""
        from prefect_torch.leftovers import leftovers

        return leftovers(self)

    def sweep(self, path: Path) -> int:
        """Remove one of the `leftovers`, and return the bytes freed; 0 if it is in use by now."""
        from prefect_torch.leftovers import sweep

        return sweep(self, path)

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
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with _open_locked(temporary) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush(path.parent)


def _open_locked(path: Path) -> IO[str]:
    """Open a temporary file and lock it: that is how it is told from one of a dead process."""
    while True:
        file = path.open("w", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # else swept away before it was locked
            return file
        file.close()


def _flush(path: Path) -> None:
    """Force a file's or folder's content to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
