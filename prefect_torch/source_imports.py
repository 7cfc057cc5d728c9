"""Imports a project's modules from their files as they are, and knows which have changed since.

A notebook lives on while files are edited. A result is recorded under the code in the files, so
the modules that compute it must be those.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

SETTLED_SECONDS = 2.0
"""A file that was younger when it was read may have changed again within a tick of its clock."""


class SourceImporter(MetaPathFinder):
    """Finds what Python's own finder finds, and has a project's files read anew."""

    def __init__(self, is_of_project: Callable[[str, str], bool]) -> None:
        """Take a function that tells from a file and a module's name whether it is a project's."""
        self._is_of_project = is_of_project

    def install(self) -> None:
        """Stand before Python's own finder, behind what tools have put in front of it."""
        if self not in sys.meta_path:
            finders: list[object] = list(sys.meta_path)
            place = finders.index(PathFinder) if PathFinder in finders else 0
            sys.meta_path.insert(place, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a project's module is loaded; None leaves all others to Python."""
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or type(spec.loader) is not SourceFileLoader:
            return None
        if not self._is_of_project(spec.origin, fullname):
            return None
        spec.loader = _SourceLoader(fullname, spec.origin)
        return spec


class _SourceLoader(SourceFileLoader):
    """Compiles a file's bytes and remembers them.

    It keeps no `.pyc`: Python takes one whose size and whole second of change are the file's,
    and so runs the code from before a quick edit.
    """

    source: bytes | None = None
    """What was compiled."""
    _looked: list[int] | None = None
    """What the file looked like then; None if it may change again without looking otherwise."""

    def get_code(self, fullname: str) -> CodeType:
        stamp, now = _stamp(self.path), time.time()
        source = self.get_data(self.path)
        if self.source is None:
            self.source = source
            changed = max(stamp[1], stamp[2]) / 1e9
            if now - changed > SETTLED_SECONDS and stamp == _stamp(self.path):
                self._looked = stamp
        code: CodeType = self.source_to_code(source, self.path)
        return code

    def has_changed(self) -> bool:
        try:
            return _stamp(self.path) != self._looked and self.get_data(self.path) != self.source
        except OSError:  # deleted
            return True


def has_changed(module: ModuleType) -> bool:
    """Whether a module's file has changed since it was imported."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    if isinstance(loader, _SourceLoader):
        return loader.has_changed()
    file = getattr(module, "__file__", None)
    if file is None:
        return False
    try:
        # Who imported it before us left no word of what was read.
        return os.stat(file).st_mtime > _STARTED
    except OSError:
        return True


def units_of(module: ModuleType) -> dict[str, str]:
    """Return the units of code of a module as it was imported, as far as that is known."""
    from prefect_torch.code_tables import table_of_content

    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    if not isinstance(loader, _SourceLoader) or loader.source is None:
        return {}
    units = table_of_content(loader.source, ".py")["units"]
    written = {f"{name} (annotations)": about.get("annotations") for name, about in units.items()}
    found = {**{name: about["hash"] for name, about in units.items()}, **written}
    return {name: digest for name, digest in found.items() if digest}


def _stamp(path: str) -> list[int]:
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _process_start() -> float:
    """Return when this process began; where the system does not tell, when this was imported."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up = time.clock_gettime(time.CLOCK_BOOTTIME)  # type: ignore[attr-defined,unused-ignore]
        return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.time()


_STARTED = _process_start()
