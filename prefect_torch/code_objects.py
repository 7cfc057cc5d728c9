"""Units of live objects that no file holds: what a notebook's cell or `__main__` defines.

By source where Python still has it, else by bytecode, which differs between Pythons. Globals,
closures, defaults and bases are followed as the objects they are now.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from prefect_torch.code_fingerprint import CodeFingerprint, CodeReader
from prefect_torch.code_table import table_of

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


def units_of_object(
    value: Any, project: Path | None = None, cache: Path | None = None
) -> CodeFingerprint:
    """Return what a live function, class, method, partial or instance reaches.

    What lies in first-party files is followed there, as `fingerprint_code` does.

    Args:
        value: The object.
        project: As for `CodeReader`.
        cache: As for `CodeReader`.

    Raises:
        SpecError: A file no longer has what was imported from it.
    """
    reader = CodeReader(project, cache)
    live = _Live(reader)
    live.add(value, getattr(value, "__qualname__", type(value).__qualname__))
    filed = reader.fingerprint(sorted(live.roots))
    return CodeFingerprint(
        dict(sorted({**filed.units, **live.units}.items())),
        dict(sorted(filed.packages.items())),
        dict(sorted({**filed.widened, **live.widened}.items())),
    )


class _Live:
    """Walks live objects."""

    def __init__(self, reader: CodeReader) -> None:
        self._reader = reader
        self.units: dict[str, str] = {}
        self.widened: dict[str, str] = {}
        self.roots: set[str] = set()
        """Import paths of what lies in files."""
        self._seen: dict[int, Any] = {}  # keeps the objects, so that ids stay theirs

    def add(self, value: Any, name: str) -> None:
        """Add an object under the name by which it was found."""
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, functools.partial):
            self._parts(name, [value.func, value.args, value.keywords])
        elif isinstance(value, MethodType):
            self._parts(name, [value.__func__, value.__self__])
        elif isinstance(value, ModuleType):
            self.roots.add(value.__name__)
        elif isinstance(value, (staticmethod, classmethod)):
            self.add(value.__func__, name)
        elif isinstance(value, property):
            self._parts(name, [part for part in (value.fget, value.fset, value.fdel) if part])
        elif isinstance(value, (FunctionType, type)):
            self._definition(value, name)
        elif not isinstance(value, BuiltinFunctionType):
            self._data(value, name)

    def _parts(self, name: str, parts: Iterable[Any]) -> None:
        for index, part in enumerate(parts):
            self.add(part, f"{name}[{index}]")

    def _definition(self, value: Any, name: str) -> None:
        module = value.__module__ or ""
        if module.split(".")[0] in sys.stdlib_module_names:
            return
        if not self._reader.is_first_party(module) and module != "__main__" and _has_file(module):
            self.roots.add(module.split(".")[0])
            return
        if self._reader.is_first_party(module) and "<locals>" not in value.__qualname__:
            self.roots.add(f"{module}.{value.__qualname__.split('.')[0]}")
            return
        shown = f"{module}: {value.__qualname__}"
        if "<lambda>" in shown:
            shown = f"{module}: {name}"
        digest = _by_source(value)
        if digest is None:
            self.widened[shown] = "it has no source; its bytecode counts, which Pythons differ in"
            digest = hashlib.sha256(_bytecode(value).encode()).hexdigest()[:16]
        self.units[shown] = digest
        if isinstance(value, type):
            self._parts(f"{shown} base", value.__bases__)
            for key, part in vars(value).items():
                if isinstance(part, (FunctionType, staticmethod, classmethod, property)):
                    for function in _functions(part):
                        self._surroundings(function, f"{shown}.{key}")
        else:
            self._surroundings(value, shown)

    def _surroundings(self, function: FunctionType, shown: str) -> None:
        """Add what a function reads from around it."""
        self._parts(f"{shown} default", function.__defaults__ or ())
        self._parts(f"{shown} default", (function.__kwdefaults__ or {}).values())
        if hasattr(function, "__wrapped__"):
            self.add(function.__wrapped__, f"{shown} wrapped")
        for name, value in inspect.getclosurevars(function).nonlocals.items():
            self.add(value, f"{shown} closure {name}")
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                self.add(function.__globals__[name], f"{function.__module__}: {name}")

    def _data(self, value: Any, name: str) -> None:
        if isinstance(value, _PLAIN):
            self.units[name] = hashlib.sha256(ascii(value).encode()).hexdigest()[:16]
        elif isinstance(value, (list, tuple)):
            self.units[name] = f"{type(value).__name__} of {len(value)}"
            self._parts(name, value)
        elif isinstance(value, (set, frozenset)):
            self._data(tuple(sorted(map(ascii, value))), name)
        elif isinstance(value, Mapping):
            self.units[name] = f"{type(value).__name__} of {len(value)}"
            for key in value:
                self.add(value[key], f"{name}[{key!r}]")
        else:
            self.add(type(value), type(value).__qualname__)
            kind = type(value).__qualname__
            self.widened[name] = f"its value, a {kind}, is known by its class alone"


def _functions(part: Any) -> list[FunctionType]:
    if isinstance(part, property):
        return [f for f in (part.fget, part.fset, part.fdel) if isinstance(f, FunctionType)]
    function = getattr(part, "__func__", part)
    return [function] if isinstance(function, FunctionType) else []


def _has_file(module: str) -> bool:
    return getattr(sys.modules.get(module), "__file__", None) is not None


def _by_source(value: Any) -> str | None:
    """Return the digest of an object's source, None if Python has none that stands alone."""
    try:
        source = textwrap.dedent(inspect.getsource(value))
        ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return None
    units = table_of(source.encode())["units"]
    said = "".join(f"{name}={units[name]['hash']}" for name in sorted(units))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _bytecode(value: Any) -> str:
    """Return what a function or class does, without positions and file names."""
    if isinstance(value, type):
        parts = {k: _functions(v) for k, v in vars(value).items()}
        return "".join(f"{k}:{_bytecode(f)}" for k in sorted(parts) for f in parts[k])
    code = value.__code__ if isinstance(value, FunctionType) else value
    constants = [
        _bytecode(constant) if isinstance(constant, CodeType) else ascii(constant)
        for constant in code.co_consts
    ]
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_argcount]
    return f"{code.co_code.hex()}({','.join(constants)}){names}"


def _names(code: CodeType) -> set[str]:
    """Return the global names (and attributes) that code mentions, inner code included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found
