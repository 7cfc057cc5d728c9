"""From one source file to its table: the units of code in it, their digests, what they mention.

A unit is a function, a method, a class body, a constant with all statements that fill it, or
`<module>`: what importing the file runs. The table is JSON, so that it can be kept on disk.
`code_graph.py` follows the references from table to table.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from prefect_torch.code_normal import FUNCTIONS, Strip, decorator_name, digest, is_type_checking
from prefect_torch.code_references import BUILTINS, Collector
from prefect_torch.code_scopes import bound_names, chain_of, import_effects, import_references

Table = dict[str, Any]
"""`units`, `imports`, `typing`, `stars`, `declared`, and `problem` where a file is no source."""

MODULE = "<module>"
FILE = "<file>"

_FILLS = frozenset(
    [
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "extendleft",
        "insert",
        "pop",
        "popleft",
        "register",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "update",
    ]
)
"""Methods that change the object they are called on, and nothing else."""

_PLAIN_DECORATORS = frozenset(
    [
        "click.argument",
        "click.command",
        "click.group",
        "click.option",
        "hydra.main",
        "pytest.fixture",
        "torch.compile",
        "torch.enable_grad",
        "torch.inference_mode",
        "torch.no_grad",
        "torch.jit.script",
        "torch.jit.export",
        "torch.jit.ignore",
        "torch.jit.unused",
        "prefect.flow",
        "prefect.task",
        "typing_extensions.override",
        "typing_extensions.final",
        "pydantic.dataclasses.dataclass",
        "pydantic.validate_call",
        "attr.s",
        "attr.attrs",
        "attr.define",
        "attr.frozen",
        "attrs.define",
        "attrs.frozen",
        "numba.jit",
        "numba.njit",
    ]
)
"""Third-party decorators that register nothing; Python's own never do."""


def table_of(source: bytes) -> Table:
    """Return the table of Python source; one that cannot be parsed is one unit, its bytes."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        return opaque_table(source) | {"problem": f"cannot be parsed: {error}"}
    except (RecursionError, MemoryError):
        return opaque_table(source) | {"problem": "its expressions are nested too deeply to parse"}
    try:
        return _Builder(tree).table()
    except RecursionError:
        return opaque_table(source) | {"problem": "its expressions are nested too deeply to follow"}


def opaque_table(content: bytes) -> Table:
    """Return the table of a file without source, such as a C extension: its bytes are the unit."""
    unit = {"hash": hashlib.sha256(content).hexdigest()[:16], "refs": {}}
    return {"units": {FILE: unit}, "imports": {}, "typing": {}, "stars": [], "declared": []}


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Give the statements of a module that run on import, also those inside `if` or `try`."""
    for node in body:
        yield node
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            continue
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _statements(getattr(node, block, []))


class _Builder:
    """Builds the table of one tree (which it takes apart)."""

    def __init__(self, tree: ast.Module) -> None:
        self._typing: dict[str, list[str]] = {}
        self._imports: dict[str, list[str]] = {}
        self._effects: list[str] = []
        self._stars: list[str] = []
        self._plain: dict[str, str] = {}
        self._read_typing_imports(tree)
        early = Collector(self._all_imports(tree), self._defined(tree))
        Strip(early.qualified).visit(tree)
        self._body = [node for node in tree.body if not _is_main(node)]
        self._read_imports()
        self._bound = self._defined(tree)
        self._collector = Collector(self._imports, self._bound)
        self._owned: dict[str, list[Any]] = {}
        self._declared: set[str] = set()
        self._skeleton: list[Any] = []
        self._used: set[str] = set()

    def table(self) -> Table:
        """Split the body among its owners and describe each."""
        self._skeleton = self._split(self._body, top=True)
        units: dict[str, Any] = {}
        for name, nodes in self._owned.items():
            self._describe(name, nodes, units)
        own = self._unit(self._skeleton)
        for name, module in self._plain.items():
            if name not in self._used:
                own["refs"][f"p:{module}"] = 0
        own["refs"].update(dict.fromkeys(self._effects, 0))
        units[MODULE] = own
        stores = {ref for unit in units.values() for ref in unit.get("stores", ())}
        stored = {ref[2:] for ref in stores if ref.startswith("g:")}
        return {
            "units": units,
            "imports": self._imports,
            "typing": self._typing,
            "stars": self._stars,
            "declared": sorted((self._declared | stored) - units.keys() - self._imports.keys()),
        }

    def _read_typing_imports(self, tree: ast.Module) -> None:
        for node in _statements(tree.body):
            if isinstance(node, ast.If) and is_type_checking(node.test):
                for inner in node.body:
                    if isinstance(inner, (ast.Import, ast.ImportFrom)):
                        for name, reference in import_references(inner).items():
                            self._typing.setdefault(name, []).append(reference)

    @staticmethod
    def _all_imports(tree: ast.Module) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for node in _statements(tree.body):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for name, reference in import_references(node).items():
                    found.setdefault(name, []).append(reference)
        return found

    @staticmethod
    def _defined(tree: ast.Module) -> frozenset[str]:
        """Return the module's names that statements other than imports bind."""
        found: set[str] = set()
        for node in _statements(tree.body):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)) or not _blocks(node):
                found |= bound_names([node])
        return frozenset(found)

    def _read_imports(self) -> None:
        for node in _statements(self._body):
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            self._effects += import_effects(node)
            for name, reference in import_references(node).items():
                if name == "*":
                    self._stars.append(reference[:-1])
                else:
                    self._imports.setdefault(name, []).append(reference)
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._plain[alias.asname or alias.name.split(".")[0]] = alias.name

    def _split(self, body: Iterable[Any], top: bool = False) -> list[Any]:
        """Give each statement to the names it defines or fills; return what is left."""
        left: list[Any] = []
        for node in body:
            blocks = [] if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else _blocks(node)
            if blocks:
                for block in blocks:
                    setattr(node, block, self._split(getattr(node, block)))
                self._declared |= bound_names([node])
                left.append(node)
                continue
            owners, runs = self._owners(node)
            for owner in owners:
                self._owned.setdefault(owner, []).append(node)
            if runs:
                left.append(node)
                self._declared |= bound_names([node]) - set(owners)
            elif not top:
                # A definition inside `if`: that it stands there belongs to what importing runs.
                names = owners or sorted(bound_names([node]))
                left.append(ast.Constant(value=f"binds {', '.join(names)}"))
        return left

    def _owners(self, node: Any) -> tuple[list[str], bool]:
        """Return the names a statement belongs to, and whether importing the file runs it too."""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return [], False
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            return [node.name], False
        if isinstance(node, ast.Expr):
            called = node.value.func if isinstance(node.value, ast.Call) else node.value
            root, attributes = chain_of(called)
            fills = isinstance(root, ast.Name) and self._is_own(root.id)
            if fills and len(attributes) == 1 and attributes[0] in _FILLS:
                return [root.id], False  # type: ignore[attr-defined]
            return [], True
        if not isinstance(node, _ASSIGNMENTS):
            return [], True
        owners = bound_names([node])
        elsewhere = "_" in owners or not owners
        for target in _targets(node):
            if isinstance(target, (ast.Attribute, ast.Subscript)):
                root = _root(target)
                if isinstance(root, ast.Name) and self._is_own(root.id):
                    owners.add(root.id)
                    elsewhere = False
                else:
                    elsewhere = True
        return sorted(owners), elsewhere

    def _is_own(self, name: str) -> bool:
        return name in self._bound and name not in self._imports

    def _describe(self, name: str, nodes: list[Any], units: dict[str, Any]) -> None:
        """Add the unit of a top-level name, and those of the methods of a class."""
        members: dict[str, list[Any]] = {}
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        about: dict[str, Any] = {
            "decorators": sorted({ref for node in nodes for ref in self._decorators(node)}),
            "calls": sorted({ref for node in nodes for ref in self._calls(node)}),
            "bases": [ref for node in classes for base in node.bases for ref in self._of(base)],
            "metaclass": [
                ref
                for node in classes
                for word in node.keywords
                if word.arg == "metaclass"
                for ref in self._of(word.value)
            ],
            "mutable": any(_is_mutable(node) for node in nodes),
        }
        about["annotations"] = getattr(nodes[0], "annotations_digest", None)
        bodies: dict[str, set[str]] = {}
        for node in classes:
            _take_members(node, name, members, bodies)
        units[name] = self._unit(nodes, bodies.get(name, ()))
        for member, defined in members.items():
            body = bodies[member.rpartition(".")[0]]
            units[member] = self._unit(defined, body)
            units[member]["annotations"] = getattr(defined[-1], "annotations_digest", None)
        about["members"] = list(members)
        units[name].update({key: value for key, value in about.items() if value})

    def _unit(self, nodes: list[Any], class_body: Iterable[str] = ()) -> dict[str, Any]:
        found = self._collector.collect(nodes, class_body)
        roots = {r[2:].split(".")[0] for r in found.found if r[:2] in ("g:", "s:")}
        self._used |= roots
        # What a name stands for is part of what the code says, so imports count where used.
        said = [f"{n}={ref}" for n in sorted(roots) for ref in self._imports.get(n, ())]
        if any(
            n not in self._imports and n not in self._bound and n not in BUILTINS for n in roots
        ):
            said += self._stars
        unit: dict[str, Any] = {"hash": digest(nodes, said) if nodes else "", "refs": found.found}
        if found.stores:
            unit["stores"] = sorted(found.stores)
        return unit

    def _of(self, node: ast.expr) -> list[str]:
        return self._collector.of(node)

    def _decorators(self, node: Any) -> Iterator[str]:
        """Give what decorates a definition and may therefore put it somewhere."""
        for decorator in getattr(node, "decorator_list", []):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if decorator_name(decorator, self._collector.qualified) not in _PLAIN_DECORATORS:
                yield from self._of(called)

    def _calls(self, node: Any) -> Iterator[str]:
        """Give what a statement calls while the module is imported."""
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            return
        for part in ast.walk(node):
            if isinstance(part, ast.Call):
                yield from self._of(part.func)


_ASSIGNMENTS = tuple(
    getattr(ast, name)
    for name in ("Assign", "AugAssign", "AnnAssign", "Delete", "TypeAlias")
    if hasattr(ast, name)
)


def _blocks(node: Any) -> list[str]:
    names = ("body", "orelse", "finalbody", "handlers", "cases")
    is_compound = isinstance(getattr(node, "body", None), list) or isinstance(node, ast.Match)
    return [name for name in names if getattr(node, name, None)] if is_compound else []


def _targets(node: Any) -> Iterator[ast.AST]:
    waiting = list(getattr(node, "targets", None) or [getattr(node, "target", None)])
    while waiting:
        target = waiting.pop()
        if isinstance(target, (ast.Tuple, ast.List)):
            waiting += target.elts
        elif isinstance(target, ast.Starred):
            waiting.append(target.value)
        elif target is not None:
            yield target


def _root(node: ast.AST) -> ast.AST:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node


def _is_main(node: ast.AST) -> bool:
    """Whether a statement is `if __name__ == "__main__":`, which no import runs."""
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare) or node.orelse:
        return False
    parts = [node.test.left, *node.test.comparators]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    texts = [part.value for part in parts if isinstance(part, ast.Constant)]
    is_equality = isinstance(node.test.ops[0], ast.Eq)
    return is_equality and names == ["__name__"] and texts == ["__main__"]


def _is_mutable(node: ast.AST) -> bool:
    """Whether a statement makes something that other code could put things into."""
    if isinstance(node, ast.ClassDef):
        return any(isinstance(part, _ASSIGNMENTS) and _is_mutable(part) for part in node.body)
    if isinstance(node, FUNCTIONS):
        return False
    return not _is_literal(getattr(node, "value", None))


def _is_literal(node: Any) -> bool:
    if isinstance(node, ast.Tuple):
        return all(map(_is_literal, node.elts))
    if isinstance(node, ast.UnaryOp):
        return _is_literal(node.operand)
    return node is None or isinstance(node, (ast.Constant, ast.JoinedStr))


def _take_members(
    node: ast.ClassDef, path: str, members: dict[str, list[Any]], bodies: dict[str, set[str]]
) -> None:
    """Move methods and nested classes out of a class body, each to its own name."""
    bodies.setdefault(path, set()).update(bound_names(node.body) | {"__class__"})
    kept: list[ast.stmt] = []
    for part in node.body:
        if isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            name = f"{path}.{part.name}"
            members.setdefault(name, []).append(part)
            if isinstance(part, ast.ClassDef):
                _take_members(part, name, members, bodies)
        else:
            kept.append(part)
    node.body = kept
