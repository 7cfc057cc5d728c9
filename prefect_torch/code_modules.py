"""Finds the files of first-party modules: below the project's folder, and of prefect_torch itself.

Nothing is imported. A folder is listed once per finder, so a finder serves one question and is
then thrown away; what it has listed does not grow old.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES
from pathlib import Path

PACKAGE = "prefect_torch"
PACKAGE_FOLDER = os.path.dirname(os.path.abspath(__file__))

_SUFFIXES = (*EXTENSION_SUFFIXES, ".py", *BYTECODE_SUFFIXES)
"""What Python looks for, in its order."""


@dataclass(frozen=True)
class Module:
    """A first-party module."""

    name: str
    """Dotted, as it is imported."""
    file: str | None
    """Absolute path; None for a folder without `__init__.py`."""
    shown: str
    """Path relative to the project's folder (ours: `prefect_torch/…`), with `/`."""
    folder: str | None
    """Where its submodules lie; None if it is no package."""

    @property
    def package(self) -> str:
        """The package that its relative imports start from."""
        return self.name if self.folder else self.name.rpartition(".")[0]

    @property
    def is_ours(self) -> bool:
        """Whether it is a module of prefect_torch."""
        return self.name.split(".")[0] == PACKAGE


class Finder:
    """Answers which file a module is, for one project's folder (None: our modules alone)."""

    def __init__(self, project: Path | None) -> None:
        self._project = None if project is None else os.path.abspath(project)
        self._listed: dict[str, dict[str, bool]] = {}
        self._known: dict[str, Module | None] = {}

    def find(self, name: str) -> Module | None:
        """Return a first-party module, None for any other name."""
        if name not in self._known:
            self._known[name] = self._look(name)
        return self._known[name]

    def below(self, prefix: str) -> Iterator[Module]:
        """Give the project's modules whose dotted names begin with a text."""
        if self._project is not None:
            yield from self._walk(self._project, "", prefix, ())

    def _walk(
        self, folder: str, package: str, prefix: str, above: tuple[str, ...]
    ) -> Iterator[Module]:
        here = os.path.realpath(folder)
        if here in above:
            return  # a link that leads back
        for entry in sorted(self._list(folder)):
            stem = entry.split(".")[0]
            if not stem.isidentifier() or stem == "__pycache__" or stem == PACKAGE:
                continue
            name = f"{package}{stem}" if stem != "__init__" else package.rstrip(".")
            module = self.find(name) if name else None
            if module is None or not (name.startswith(prefix) or prefix.startswith(f"{name}.")):
                continue
            if stem != "__init__" and module.file and name.startswith(prefix):
                yield module
            is_folder = self._list(folder)[entry]
            # Hidden folders and environments are skipped: `.venv` is no identifier, `venv` has a
            # pyvenv.cfg.
            if is_folder and "pyvenv.cfg" not in self._list(os.path.join(folder, entry)):
                inner = os.path.join(folder, entry)
                yield from self._walk(inner, f"{name}.", prefix, (*above, here))

    def _look(self, name: str) -> Module | None:
        parent, _, last = name.rpartition(".")
        if parent:
            above = self.find(parent)
            return self._in(above.folder, name, last) if above and above.folder else None
        if name == PACKAGE:
            return self._in(os.path.dirname(PACKAGE_FOLDER), name, name)
        if self._project is None:
            return None
        found = self._in(self._project, name, name)
        if found and found.file is None and name in sys.stdlib_module_names:
            return None  # a folder without __init__.py does not hide a module of Python's own
        return found

    def _in(self, folder: str, name: str, last: str) -> Module | None:
        entries = self._list(folder)
        place = os.path.join(folder, last)
        if entries.get(last):
            for suffix in _SUFFIXES:
                if f"__init__{suffix}" in self._list(place):
                    file = os.path.join(place, f"__init__{suffix}")
                    return Module(name, file, self._shown(file), place)
        for suffix in _SUFFIXES:
            if entries.get(f"{last}{suffix}") is False:
                return Module(name, place + suffix, self._shown(place + suffix), None)
        if entries.get(last) and last != "__pycache__":
            return Module(name, None, self._shown(place), place)
        return None

    def _shown(self, path: str) -> str:
        ours = os.path.dirname(PACKAGE_FOLDER)
        is_ours = path == PACKAGE_FOLDER or path.startswith(PACKAGE_FOLDER + os.sep)
        base = ours if is_ours or self._project is None else self._project
        return os.path.relpath(path, base).replace(os.sep, "/")

    def _list(self, folder: str) -> dict[str, bool]:
        """Return what lies in a folder: name to whether it is a folder."""
        if folder not in self._listed:
            try:
                with os.scandir(folder) as entries:
                    self._listed[folder] = {entry.name: entry.is_dir() for entry in entries}
            except (FileNotFoundError, NotADirectoryError):
                self._listed[folder] = {}
        return self._listed[folder]
