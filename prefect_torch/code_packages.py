"""Which installed distribution gives a third-party module, and its minor version.

Reading what every distribution installs takes a fifth of a second, so the answers can be kept on
disk under the state of the folders on `sys.path`: installing anything changes one of them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from pathlib import Path

_ABSENT = "absent"


class Packages:
    """Names the distributions behind top-level modules."""

    def __init__(self, cache: Path | None) -> None:
        self._file = None if cache is None else Path(cache) / "packages.json"
        self._state = _state_of_path()
        self._known: dict[str, dict[str, str]] = {}
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                kept = json.loads(self._file.read_bytes())
                if kept["state"] == self._state:
                    self._known = dict(kept["known"])
        self._kept = len(self._known)

    def of(self, top: str) -> dict[str, str]:
        """Return distribution to minor version for a top-level module; Python's own give none."""
        if top in sys.stdlib_module_names or top == "__main__":
            return {}
        if top not in self._known:
            self._known[top] = self._look(top)
        return self._known[top]

    def keep(self) -> None:
        """Write what was newly found to the cache."""
        if self._file is None or len(self._known) == self._kept:
            return
        text = json.dumps({"state": self._state, "known": self._known}, sort_keys=True)
        aside = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # a folder that cannot be written only costs time
            self._file.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(text, encoding="utf-8")
            os.replace(aside, self._file)

    def _look(self, top: str) -> dict[str, str]:
        from importlib.metadata import PackageNotFoundError, version

        with contextlib.suppress(PackageNotFoundError, ValueError):
            return {top.lower().replace("_", "-"): minor(version(top))}
        found = sorted(_providers(json.dumps(self._state)).get(top, ()))
        return {name.lower().replace("_", "-"): minor(version(name)) for name in found} or {
            top: _ABSENT
        }


def minor(version: str) -> str:
    """Return `2.15` of `2.15.0+cu128`."""
    return ".".join(version.split("+")[0].split(".")[:2])


@functools.lru_cache(maxsize=1)
def _providers(state: str) -> dict[str, set[str]]:
    """Return top-level module to the distributions that install it, for one state of the path.

    (`importlib.metadata.packages_distributions` misses most of them under Python 3.10.)
    """
    from importlib.metadata import distributions

    found: dict[str, set[str]] = {}
    for each in distributions():
        tops = set((each.read_text("top_level.txt") or "").split())
        if not tops:
            for file in each.files or ():
                stem = file.parts[0].split(".")[0]
                if len(file.parts) > 1 or file.suffix in (".py", ".so", ".pyd"):
                    tops.add(stem)
        for top in tops:
            if top.isidentifier():
                found.setdefault(top, set()).add(each.metadata["Name"])
    return found


def _state_of_path() -> list[list[str | int]]:
    """Return the folders (and archives) on `sys.path` and when each last changed."""
    state: list[list[str | int]] = []
    for place in sys.path:
        with contextlib.suppress(OSError):
            at = os.stat(place or ".")
            # A folder of the project changes with every file in it and holds no distributions.
            if "-packages" in place or not os.path.isdir(place or "."):
                state.append([place, at.st_mtime_ns, at.st_ino])
    return state
