"""From a reference in one module to what it names: a unit, a module, a third-party package.

Pure: it answers and remembers, and decides nothing about what is reached (`code_graph.py` does).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from prefect_torch.code_modules import Finder, Module
from prefect_torch.code_tables import Tables


class Target(NamedTuple):
    """What a reference names."""

    kind: str
    """`unit`, `value` (a module used as a value), `runs` (a module that is imported), `package`
    (third-party), `lost` (not found), `attribute` (left to a module's `__getattr__`)."""
    module: str
    """Module, or a package's top-level name."""
    name: str = ""
    """Unit, or the name that was not found."""
    is_part: bool = False
    """Whether an attribute of the unit is meant (`registry.register`)."""


_EMPTY: dict[str, Any] = {"units": {}, "imports": {}, "typing": {}, "stars": [], "declared": []}
_MODULE_ATTRIBUTES = frozenset(
    {"__name__", "__file__", "__doc__", "__package__", "__path__", "__spec__", "__version__"}
)


class Resolver:
    """Resolves references over the tables of a project's modules and ours."""

    def __init__(self, finder: Finder, tables: Tables) -> None:
        self.finder = finder
        self._tables = tables
        self._loaded: dict[str, dict[str, Any]] = {}
        self._answers: dict[tuple[str, str], tuple[Target, ...]] = {}
        self._names: dict[tuple[str, tuple[str, ...]], tuple[Target, ...]] = {}

    def table(self, module: str) -> dict[str, Any]:
        """Return the table of a first-party module; a bare folder has an empty one."""
        if module not in self._loaded:
            found = self.finder.find(module)
            file = found.file if found else None
            self._loaded[module] = self._tables.table(file) if file else _EMPTY
        return self._loaded[module]

    def targets(self, module: str, reference: str) -> tuple[Target, ...]:
        """Return what a reference of a module names; a builtin or stdlib name gives nothing."""
        key = (module, reference)
        if key not in self._answers:
            self._answers[key] = tuple(dict.fromkeys(self._resolve(module, reference)))
        return self._answers[key]

    def path(self, path: str) -> tuple[Target, ...]:
        """Return what an absolute import path such as `nets.MyNet` names."""
        parts = path.split(".")
        return tuple(dict.fromkeys(self._walk(parts[0], parts[1:])))

    def is_first_party(self, module: str) -> bool:
        """Whether a module's code is followed."""
        return self.finder.find(module) is not None

    def _resolve(self, module: str, reference: str) -> Iterator[Target]:
        kind, _, rest = reference.partition(":")
        if kind in ("g", "s"):
            name, *attributes = rest.split(".")
            for target in self._name(module, name, attributes, ()):
                if kind == "g" or target.kind not in ("lost", "attribute"):
                    yield target
        elif kind == "m":
            start, _, tail = rest.partition(":")
            yield from self._walk(start, tail.split(".") if tail else [])
        elif kind == "f":
            level, start, tail = rest.split(":")
            yield from self._walk(self._absolute(module, int(level), start), tail.split("."))
        elif kind in ("r", "R"):
            dots, start, tail = rest.split(":")
            base = module if kind == "R" else self._module(module).package
            above = base.split(".")[: len(base.split(".")) - int(dots) + 1]
            whole = ".".join([*above, *([start] if start else [])])
            yield from self._walk(whole, tail.split(".") if tail else [])
        elif kind == "e":
            level, start = rest.split(":")
            whole = self._absolute(module, int(level), start)
            if self.is_first_party(whole):
                yield Target("runs", whole)
        elif kind == "p" and not self.is_first_party(rest):
            yield from self._third_party(rest)

    def _module(self, name: str) -> Module:
        found = self.finder.find(name)
        assert found is not None, name
        return found

    def _absolute(self, module: str, level: int, start: str) -> str:
        if not level:
            return start
        package = self._module(module).package.split(".")
        above = package[: len(package) - level + 1]
        return ".".join([*above, *([start] if start else [])])

    def _third_party(self, module: str) -> Iterator[Target]:
        top = module.split(".")[0]
        if top and top not in sys.stdlib_module_names:
            yield Target("package", top)

    def _walk(
        self, module: str, attributes: list[str], seen: Iterable[Any] = ()
    ) -> Iterator[Target]:
        """Follow attributes from a module, which is known to be one."""
        found = self.finder.find(module)
        if found is None:
            # A name below a first-party module that is no module: take it as an attribute.
            parent, _, last = module.rpartition(".")
            if parent and self.is_first_party(module.split(".")[0]):
                yield from self._walk(parent, [last, *attributes], seen)
            else:
                yield from self._third_party(module)
            return
        if not attributes:
            yield Target("value", module)
            yield from self._hidden_package(found)
            return
        name, *rest = attributes
        if name in _MODULE_ATTRIBUTES and name not in self.table(module)["units"]:
            yield Target("runs", module)
            return
        yield Target("runs", module)
        below = self.finder.find(f"{module}.{name}") if found.folder else None
        own = [t for t in self._name(module, name, rest, seen) if below is None or t.kind != "lost"]
        own = [t for t in own if below is None or t.kind != "attribute"]
        if below is None and Target("lost", module, name) in own and found.file is None:
            outside = list(self._hidden_package(found))
            own = outside or own
        yield from own
        if below is not None and (rest or not own):
            yield from self._walk(f"{module}.{name}", rest, seen)

    def _hidden_package(self, found: Module) -> Iterator[Target]:
        """Give the package of the name of a project's folder without `__init__.py`.

        Python prefers an installed package to such a folder (`wandb/` with its logs in it).
        """
        if found.file is None and "." not in found.name:
            yield from self._third_party(found.name)

    def _name(
        self, module: str, name: str, attributes: list[str], seen: Iterable[Any]
    ) -> tuple[Target, ...]:
        """Return what a module's own name is, star imports and `__getattr__` included."""
        here = (module, name, *attributes)
        if here in seen:
            return ()
        key = (module, (name, *attributes))
        if key not in self._names:
            found = tuple(self._look(module, name, attributes, (*seen, here)))
            if seen:
                return found  # inside a cycle of imports an answer may be a part only
            self._names[key] = found
        return self._names[key]

    def _look(
        self, module: str, name: str, attributes: list[str], seen: tuple[Any, ...]
    ) -> Iterator[Target]:
        table = self.table(module)
        is_bound = name in table["units"] or name in table["declared"]
        if is_bound:
            # A name that only a loop or a `global` binds belongs to what importing runs.
            unit = name if name in table["units"] else "<module>"
            yield Target("unit", module, unit, bool(attributes))
        for reference in table["imports"].get(name, ()):
            is_bound = True
            yield from self._import(module, reference, attributes, seen)
        if is_bound:
            return
        outside: list[Target] = []
        for star in table["stars"]:
            source = self._star_source(module, star)
            if not self.is_first_party(source):
                outside += self._third_party(source)
                continue
            through = self._name(source, name, attributes, seen)
            if through and Target("lost", source, name) not in through:
                yield from through
                return
        if "problem" in table or "<file>" in table["units"]:
            yield Target("unit", module, "<file>")
        elif "__getattr__" in table["units"] or "__getattr__" in table["imports"]:
            lazy = [
                target
                for reference in self._typing_imports(module, name)
                for target in self._import(module, reference, attributes, seen)
            ]
            yield from lazy
            yield Target("attribute", module, "" if lazy else name)
        elif outside:
            yield from outside
        elif name not in table["typing"]:  # an annotation may name what is imported for types
            yield Target("lost", module, name)

    def _typing_imports(self, module: str, name: str) -> Iterator[str]:
        """Give the imports that bind a name for type checkers, star imports included."""
        typing = self.table(module)["typing"]
        yield from typing.get(name, ())
        for star in typing.get("*", ()):
            source = self._star_source(module, star[:-1])
            if self.is_first_party(source) and Target("lost", source, name) not in self._name(
                source, name, [], ((module, name),)
            ):
                yield star[:-1] + name

    def _star_source(self, module: str, star: str) -> str:
        level, start, _ = star[2:].split(":")
        return self._absolute(module, int(level), start)

    def _import(
        self, module: str, reference: str, attributes: list[str], seen: Iterable[Any]
    ) -> Iterator[Target]:
        kind, _, rest = reference.partition(":")
        if kind == "m":
            start, _, tail = rest.partition(":")
        else:
            level, start, tail = rest.split(":")
            start = self._absolute(module, int(level), start)
        chain = [*(tail.split(".") if tail else []), *attributes]
        yield from self._walk(start, chain, seen)
