"""Components that an earlier check found right, so that the next one need not import them.

To import torchmetrics takes seconds; to learn that `MulticlassAccuracy` still takes `average`, the
versions of the stock packages and the code it lies in are enough.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_torch.code_fingerprint import CodeReader
from prefect_torch.components import Component, Kind
from prefect_torch.errors import SpecError
from prefect_torch.fingerprint import digest_json
from prefect_torch.kinds import STOCK

if TYPE_CHECKING:
    from prefect_torch.resolve import Trust

OURS = ("models", "datasets", "training")
"""Folders of this package in which short names are looked up."""


class Checked:
    """Remembers, for one project, what component names mean and which arguments were right."""

    def __init__(self, cache: Path, project: Path | None) -> None:
        """Prepare to look up.

        Args:
            cache: A folder that may be deleted at any time.
            project: The folder whose modules may be named; what is remembered holds for it alone.
        """
        self._folder = cache / "checked"
        self._reader = CodeReader(project, cache / "code")
        self._surroundings = [str(project), _versions(), _homes()]

    def path(self, component: Component, kind: Kind | None, trust: Trust) -> str | None:
        """Return the import path that a component's name stands for, None if not remembered."""
        kept = self._read(self._name_key(component, kind, trust))
        if kept is None or self._code(kept["path"]) != kept["code"]:
            return None
        return str(kept["path"])

    def arguments(
        self, component: Component, kind: Kind | None, trust: Trust, given: Collection[str]
    ) -> bool:
        """Say whether a component with these arguments is remembered to be right in its place."""
        key = self._arguments_key(component, kind, trust, given)
        return self._read(key) is not None and self.path(component, kind, trust) is not None

    def keep(
        self,
        component: Component,
        kind: Kind | None,
        trust: Trust,
        given: Collection[str],
        target: type | Callable[..., Any],
    ) -> None:
        """Remember that a component was right; `target` is what its name stands for."""
        path = component.class_
        if "." not in path:
            path = f"{target.__module__}.{target.__qualname__}"
        if path.startswith("__main__."):
            return
        name = {"path": path, "code": self._code(path)}
        self._write(self._name_key(component, kind, trust), name)
        self._write(self._arguments_key(component, kind, trust, given), {})

    def _name_key(self, component: Component, kind: Kind | None, trust: Trust) -> str:
        trusted = [list(trust.modules), trust.project, trust.everything]
        return digest_json([component.class_, kind, trusted, self._surroundings])

    def _arguments_key(
        self, component: Component, kind: Kind | None, trust: Trust, given: Collection[str]
    ) -> str:
        name = self._name_key(component, kind, trust)
        return digest_json([name, component.args, sorted(given)])

    def _code(self, path: str) -> str | None:
        """Return the digest of the code that a path of the project or of ours reaches."""
        try:
            return digest_json(self._reader.fingerprint([path]).units)
        except SpecError:
            return None

    def _read(self, key: str) -> Mapping[str, Any] | None:
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
            return kept if isinstance(kept, dict) else None
        return None

    def _write(self, key: str, value: Mapping[str, Any]) -> None:
        aside = self._folder / f"{key}.{os.getpid()}"
        with contextlib.suppress(OSError):  # a folder that cannot be written only costs time
            self._folder.mkdir(parents=True, exist_ok=True)
            aside.write_text(json.dumps(value), encoding="utf-8")
            aside.replace(self._folder / f"{key}.json")


def _versions() -> list[str]:
    found = []
    for package in STOCK:
        try:
            found.append(version(package.replace("_", "-")))
        except PackageNotFoundError:
            found.append("absent")
    return found


def _homes() -> list[list[Any]]:
    """Return the state of our own files that short names are looked up in."""
    package = Path(__file__).parent
    files = sorted(path for folder in OURS for path in (package / folder).glob("*.py"))
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
