"""What an installation decides: where artifacts live and which modules pipeline files may name.

Read as Prefect reads the settings of its integrations: environment, `prefect.toml`,
`pyproject.toml`, the active profile; the first that says something wins.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_torch.errors import Problem, SpecError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "PREFECT_INTEGRATIONS_TORCH_"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Settings:
    """The settings of an installation."""

    store: Path
    """Folder that artifacts live in; `PREFECT_HOME/torch` unless set."""
    trusted_modules: tuple[str, ...] = ()
    """Modules that pipeline files, forms and overrides may name components from."""
    cache: Path = Path("~/.prefect/prefect-torch/cache")
    """What may be deleted at any time: tables of source files, answers of earlier checks."""


def load_settings() -> Settings:
    """Return the settings that hold in this process and working folder.

    Raises:
        SpecError: A file is not TOML, or a value is not what the setting asks for.
    """
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    store, store_place = _first("store", home)
    modules, modules_place = _first("trusted_modules", home)
    if store is not None and (not isinstance(store, str) or not store):
        raise _error(store_place, "store", f"found {store!r}; expected the path of a folder")
    return Settings(
        Path(store).expanduser() if store else home / "torch",
        _modules(modules, modules_place),
        home / "prefect-torch" / "cache",
    )


def _first(name: str, home: Path) -> tuple[Any, str]:
    """Return the first value that is set, and where it was."""
    for place, value in _values(name, home):
        if value is not None:
            return value, place
    return None, ""


def _values(name: str, home: Path) -> Iterator[tuple[str, Any]]:
    variable = f"{PREFIX}{name.upper()}"
    yield variable, os.environ.get(variable) or None
    for file, table in (
        (Path("prefect.toml"), ("integrations", "torch")),
        (Path("pyproject.toml"), ("tool", "prefect", "integrations", "torch")),
    ):
        yield str(file), _at(_toml(file), table, file).get(name)
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    content = _toml(profiles)
    active = os.environ.get("PREFECT_PROFILE") or content.get("active")
    if isinstance(active, str):
        yield str(profiles), _at(content, ("profiles", active), profiles).get(variable)


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _error(str(file), "", f"is not TOML: {error}") from error


def _at(content: Mapping[str, Any], table: tuple[str, ...], file: Path) -> Mapping[str, Any]:
    """Return a table of a TOML file, empty when it is not there."""
    found: Any = content
    for key in table:
        found = found.get(key, {})
        if not isinstance(found, Mapping):
            raise _error(str(file), ".".join(table), f"found {found!r}; expected a table")
    return found  # type: ignore[no-any-return]


def _modules(value: Any, place: str) -> tuple[str, ...]:
    """Read a list, or text with commas, of module names."""
    if value is None:
        return ()
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _error(
            place, "trusted_modules", f"found {value!r}; expected module names, such as my_package"
        )
    names = [name.strip() for name in names if name.strip()]
    for name in names:
        if not _MODULE.fullmatch(name):
            raise _error(
                place, "trusted_modules", f"{name!r} is no module name; expected such as my_package"
            )
    return tuple(names)


def _error(place: str, name: str, message: str) -> SpecError:
    return SpecError([Problem(place, name, message)])
