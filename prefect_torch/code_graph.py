"""Which units of code some roots reach, however indirectly.

A class is reached whole, with its bases. A module is reached with what importing it runs, and so
are the modules it imports. What importing *puts* somewhere (a registry's decorator, a subclass
that registers itself) is reached with the place it is put in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prefect_torch.code_modules import Module
from prefect_torch.code_resolve import Resolver, Target

MODULE = "<module>"
Unit = tuple[str, str]
"""Module and name."""


class Graph:
    """Walks from roots; `units`, `tops` and `widened` are what it found."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.units: dict[str, str] = {}
        self.tops: set[str] = set()
        """Top-level names of the third-party packages reached."""
        self.widened: dict[str, str] = {}
        self._reached: set[Unit] = set()
        self._modules: set[str] = set()
        self._waiting: list[Unit] = []
        self._puts: dict[Unit, list[Unit]] = {}
        """Place to the units that importing puts there."""
        self._subclasses: list[Unit] | None = []
        """Classes with bases of ours; None once something asked for subclasses."""
        self._closures: dict[Unit, set[Unit]] = {}
        self._trusted: set[Unit] = set()

    def reach(self, root: str) -> None:
        """Reach what an import path names, and what that reaches.

        Raises:
            LookupError: A first-party module has no such name, or there is no such module.
        """
        targets = self._resolver.path(root)
        lost = [target for target in targets if target.kind == "lost"]
        if lost:
            raise LookupError(f"{self._shown(lost[0].module)} has no {lost[0].name}")
        for target in targets:
            self._follow(target, "", 0, None)
            if target.kind == "unit":
                self._signature(target.module, target.name)
        self._work()

    def _work(self) -> None:
        while self._waiting:
            module, name = self._waiting.pop()
            about = self._resolver.table(module)["units"][name]
            for reference, place in about["refs"].items():
                self._reference((module, name), reference, place)

    def _reference(self, unit: Unit, reference: str, place: Any) -> None:
        line, reason = place if isinstance(place, list) else (place, None)
        if not reference.startswith("!"):
            for target in self._resolver.targets(unit[0], reference):
                self._follow(target, unit[0], line, reason)
        elif reference == "!subclasses":
            for each in self._subclasses or ():
                self._reach_unit(*each)
            self._subclasses = None
        elif unit in self._trusted:
            return
        elif reference == "!whole":
            self._widen(unit[0], f"{reason} in line {line}")
        else:
            self._computed_import(unit[0], reference.partition(":")[2], line)

    def _follow(self, target: Target, source: str, line: int, reason: str | None) -> None:
        kind, module, name, _ = target
        if kind == "unit":
            self._reach_unit(module, name)
        elif kind == "package":
            self.tops.add(module)
        elif kind == "runs":
            self._reach_module(module)
        elif kind == "value":
            where = f"{self._shown(source)}, line {line}" if source else "the pipeline"
            said = f"{reason} in {where}" if reason and source != module else reason
            self._widen(module, said or f"the module itself is used as a value in {where}")
        elif kind == "attribute":
            self._lazy(module, name)
        else:
            self._widen(module, f"{name} ({self._shown(source)}, line {line}) cannot be found")

    def _lazy(self, module: str, name: str) -> None:
        """Reach a module's `__getattr__`; its imports are known where type checkers know them."""
        if name:
            self._widen(module, f"its __getattr__ decides what {name} is")
            return
        self._trusted.add((module, "__getattr__"))
        for target in self._resolver.targets(module, "g:__getattr__"):
            self._follow(target, module, 0, None)

    def _reach_module(self, name: str) -> None:
        """Reach what importing a module runs, its parent packages included."""
        if name in self._modules:
            return
        self._modules.add(name)
        parent = name.rpartition(".")[0]
        if parent:
            self._reach_module(parent)
        table = self._resolver.table(name)
        if "problem" in table:
            self.widened.setdefault(self._shown(name), table["problem"])
        for unit in (MODULE, "<file>"):
            if unit in table["units"]:
                self._reach_unit(name, unit)
        for unit, about in table["units"].items():
            self._register(name, unit, about)

    def _reach_unit(self, module: str, name: str) -> None:
        if (module, name) in self._reached:
            return
        self._reached.add((module, name))
        self._reach_module(module)
        about = self._resolver.table(module)["units"][name]
        if about["hash"]:
            self.units[f"{self._shown(module)}: {name}"] = about["hash"]
        self._waiting.append((module, name))
        for member in about.get("members", ()):
            self._reach_unit(module, member)
        for put in self._puts.pop((module, name), ()):
            self._reach_unit(*put)

    def _register(self, module: str, name: str, about: dict[str, Any]) -> None:
        """Note where importing a module puts a unit."""
        if not about.keys() & {"decorators", "calls", "bases", "metaclass"}:
            return
        for place in self._places(module, name, about):
            if place in self._reached:
                self._reach_unit(module, name)
            else:
                self._puts.setdefault(place, []).append((module, name))
        bases = self._named(module, about.get("bases", ()))
        if any(base.kind == "unit" for base in bases):
            if self._subclasses is None:
                self._reach_unit(module, name)
            else:
                self._subclasses.append((module, name))

    def _places(self, module: str, name: str, about: dict[str, Any]) -> set[Unit]:
        starts: list[Unit] = []
        places: set[Unit] = set()
        for target in self._named(module, about.get("decorators", ())):
            if target.kind == "unit":
                starts.append((target.module, target.name))
                if target.is_part:
                    places.add((target.module, target.name))  # `@registry.register`
            elif target.kind != "runs":
                # Another package's decorator, or one that cannot be followed, may put it anywhere.
                return {(module, MODULE)}
        for target in self._named(module, about.get("calls", ())):
            if target.kind == "unit":
                starts.append((target.module, target.name))
        starts += self._class_hooks(module, about, set())
        for start in starts:
            places |= self._puts_into(start)
        return places - {(module, name)}

    def _class_hooks(self, module: str, about: dict[str, Any], seen: set[Unit]) -> Iterator[Unit]:
        """Give the `__init_subclass__` and metaclasses that defining a class runs."""
        for target in self._named(module, about.get("metaclass", ())):
            if target.kind == "unit":
                yield target.module, target.name
        for target in self._named(module, about.get("bases", ())):
            unit = (target.module, target.name)
            if target.kind != "unit" or unit in seen:
                continue
            units = self._resolver.table(target.module)["units"]
            hook = f"{target.name}.__init_subclass__"
            if hook in units:
                yield target.module, hook
                if units[target.name].get("mutable"):
                    yield unit  # `cls.registry[…] = cls`
            yield from self._class_hooks(target.module, units[target.name], seen | {unit})

    def _puts_into(self, start: Unit) -> set[Unit]:
        """Return the things that code may put something into, however indirectly."""
        if start in self._closures:
            return self._closures[start]
        found: set[Unit] = set()
        seen: set[Unit] = set()
        waiting = [start]
        while waiting:
            unit = waiting.pop()
            if unit in seen:
                continue
            seen.add(unit)
            about = self._resolver.table(unit[0])["units"][unit[1]]
            if about.get("mutable"):
                found.add(unit)
            waiting += [(unit[0], member) for member in about.get("members", ())]
            for target in self._named(unit[0], about["refs"]):
                if target.kind == "unit":
                    waiting.append((target.module, target.name))
            for target in self._named(unit[0], about.get("stores", ())):
                if target.kind == "unit":
                    found.add((target.module, target.name))
                else:
                    # What it changes is a module or another package: importing it is an effect.
                    found.add((start[0], MODULE))
        self._closures[start] = found
        return found

    def _named(self, module: str, references: Iterable[str]) -> Iterator[Target]:
        for reference in references:
            if not reference.startswith("!"):
                yield from self._resolver.targets(module, reference)

    def _widen(self, module: str, reason: str) -> None:
        """Take a module whole: all its units, and whatever it imports."""
        self._reach_module(module)
        shown = self._shown(module)
        if shown in self.widened:
            return
        self.widened[shown] = reason
        table = self._resolver.table(module)
        for name in table["units"]:
            self._reach_unit(module, name)
        for name in table["imports"]:
            for target in self._resolver.targets(module, f"s:{name}"):
                self._follow(target, module, 0, f"{shown} is taken whole and imports it")

    def _computed_import(self, module: str, prefix: str, line: int) -> None:
        """Take whole what may be meant by an import whose name is computed.

        In our own code that name is a component's, which is a root of its own.
        """
        found = self._found(module)
        self._widen(module, f"import with a computed name in line {line}")
        if found.is_ours:
            return
        reason = f"{found.shown}, line {line}, imports a module by a computed name"
        if prefix.startswith("."):
            prefix = found.package + prefix
        for each in self._resolver.finder.below(prefix):
            self._widen(each.name, reason)

    def _signature(self, module: str, name: str) -> None:
        """Add what a root's parameters are annotated with: components are built by them."""
        units = self._resolver.table(module)["units"]
        maker = name if "." in name or f"{name}.__init__" not in units else f"{name}.__init__"
        annotations = units[maker].get("annotations")
        if annotations:
            self.units[f"{self._shown(module)}: {maker} (annotations)"] = annotations
        if maker == name:
            for base in self._named(module, units[name].get("bases", ())):
                if base.kind == "unit" and (base.module, base.name) != (module, name):
                    self._signature(base.module, base.name)

    def _found(self, module: str) -> Module:
        found = self._resolver.finder.find(module)
        assert found is not None, module
        return found

    def _shown(self, module: str) -> str:
        return self._found(module).shown
