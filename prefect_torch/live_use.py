"""Which artifacts live runs use, so that removing others is safe beside them.

```
ROOT/live/<run id>.<random>   digests, one a line; locked by the run's process while it lives
ROOT/locks/live.lock          held for an instant to mark, and to check marks and move away
```

The locks are `flock`s: the operating system frees them at once when the process dies, and a waiter
is woken at once. Marks last a few microseconds of work, so nothing polls.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_open_marks: dict[Path, list[_Marks]] = {}
"""Per store, those of this process: a task may open the store again beside its flow."""


class LiveUse:
    """The marks in one store."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def run(self, run_id: str) -> Iterator[None]:
        """Keep this process's marks, and say that they are alive, while this is open."""
        path = self._root / "live" / f"{run_id}.{os.urandom(4).hex()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.alone():
            marks = _Marks(path)
            _open_marks.setdefault(self._root, []).append(marks)
        try:
            yield
        finally:
            with self.alone():
                _open_marks[self._root].remove(marks)
                marks.close()

    def hold(self, digest: str) -> None:
        """Mark an artifact as in use by the open runs of this process, if any."""
        if any(digest not in marks.digests for marks in _open_marks.get(self._root, ())):
            with self.alone():
                for marks in _open_marks[self._root]:
                    marks.add(digest)

    def digests(self) -> set[str]:
        """Return what live runs use; call it `alone`. The marks of dead ones are removed."""
        found: set[str] = set()
        folder = self._root / "live"
        for path in sorted(folder.iterdir()) if folder.exists() else []:
            with path.open("r+", encoding="ascii") as file:
                if try_lock(file):
                    path.unlink()
                else:
                    found.update(file.read().split())
        return found

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store's short lock."""
        path = self._root / "locks" / "live.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class _Marks:
    """One run's file of marks."""

    def __init__(self, path: Path) -> None:
        self.digests: set[str] = set()
        self._path = path
        self._file = path.open("a", encoding="ascii")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def add(self, digest: str) -> None:
        if digest not in self.digests:
            self._file.write(f"{digest}\n")
            self._file.flush()
            self.digests.add(digest)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


def try_lock(file: IO[str] | IO[bytes]) -> bool:
    """Lock an open file until it is closed, and return True; False if another holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
