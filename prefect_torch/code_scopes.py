"""Python's scopes, as `ast` shows them: which names a piece of code binds, and by which import.

`code_references.py` says how an import is written as a reference, and uses all of this.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from prefect_torch.code_normal import FUNCTIONS

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Scope:
    """The names of a function, lambda, comprehension or class body."""

    names: set[str]
    imports: dict[str, list[str]] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    """Names it declares `global` or `nonlocal`."""
    is_class: bool = False


def import_references(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Return what an import binds: name to reference (`*` for a star import)."""
    if isinstance(node, ast.Import):
        return {
            (alias.asname or alias.name.split(".")[0]): "m:"
            + (alias.name if alias.asname else alias.name.split(".")[0])
            + ":"
            for alias in node.names
        }
    start = f"f:{node.level}:{node.module or ''}:"
    return {alias.asname or alias.name: start + alias.name for alias in node.names}


def import_effects(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the modules that an import runs."""
    if isinstance(node, ast.Import):
        return [f"e:0:{alias.name}" for alias in node.names]
    start = f"e:{node.level}:{node.module or ''}"
    below = start if start.endswith(":") else f"{start}."
    return [start, *(f"{below}{alias.name}" for alias in node.names if alias.name != "*")]


def with_attributes(reference: str, attributes: Iterable[str]) -> str:
    """Return a reference with further attributes taken of it."""
    tail = ".".join(attributes)
    if not tail:
        return reference
    return reference + tail if reference.endswith(":") else f"{reference}.{tail}"


def dotted(reference: str) -> str:
    """Return `torch.nn.Linear` for an absolute import reference, "" for what is not one."""
    kind, _, rest = reference.partition(":")
    if kind == "f":
        level, _, rest = rest.partition(":")
        if level != "0":
            return ""
    elif kind != "m":
        return ""
    return rest.replace(":", ".").strip(".")


def chain_of(node: ast.AST) -> tuple[ast.AST, list[str]]:
    """Split `a.b.c` into its root node and its attributes."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return node, attributes[::-1]


def bound_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that statements bind in their own scope."""
    found: set[str] = set()
    for node in nodes:
        collect_bound(node, found, None)
    return found


def collect_bound(node: Any, found: set[str], scope: Scope | None, inner: bool = False) -> None:
    """Add the names bound below a node; `inner` is a comprehension, where only `:=` binds."""
    kind = type(node)
    if kind is ast.Name:
        if not inner and type(node.ctx) is not ast.Load:
            found.add(node.id)
        return
    if kind in FUNCTIONS or kind is ast.ClassDef:
        found.add(node.name)
        for part in (*node.decorator_list, *outer_parts(node)):
            collect_bound(part, found, scope)
        return
    if kind is ast.Lambda:
        return
    if kind is ast.NamedExpr:
        found.add(node.target.id)
    elif kind in (ast.Import, ast.ImportFrom):
        for name, reference in import_references(node).items():
            found.add(name)
            if scope is not None:
                scope.imports.setdefault(name, []).append(reference)
    elif kind in (ast.Global, ast.Nonlocal) and scope is not None:
        scope.elsewhere.update(node.names)
        if kind is ast.Global:
            scope.globals.update(node.names)
    elif kind in (ast.ExceptHandler, ast.MatchAs, ast.MatchStar) and node.name:
        found.add(node.name)
    elif kind is ast.MatchMapping and node.rest:
        found.add(node.rest)
    inner = inner or kind in COMPREHENSIONS
    for field_name in node._fields:
        value = getattr(node, field_name, None)
        for child in value if isinstance(value, list) else (value,):
            if isinstance(child, ast.AST):
                collect_bound(child, found, scope, inner)


def outer_parts(node: Any) -> list[ast.AST]:
    """Return the parts of a definition that run in the scope around it, decorators aside."""
    if isinstance(node, ast.ClassDef):
        return [*node.bases, *node.keywords]
    return [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]


def parameter_names(given: ast.arguments) -> set[str]:
    """Return the names of all parameters."""
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {arg.arg for arg in every if arg}


def annotations_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    """Return what a function is annotated with, parameters and result."""
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    found = [arg.annotation for arg in every if arg and arg.annotation]
    return [*found, node.returns] if node.returns else found


def literal_beginning(node: ast.AST) -> str:
    """Return the literal beginning of a computed name: `plugins.` of `f"plugins.{name}"`."""
    if isinstance(node, ast.JoinedStr) and node.values:
        return literal_beginning(node.values[0])
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        return literal_beginning(node.left).split("%")[0]
    text = node.value if isinstance(node, ast.Constant) else ""
    return text if isinstance(text, str) else ""
