"""What of a syntax tree acts: `strip` removes the rest, `digest` names what is left.

Comments, positions, docstrings and formatting never act. Annotations act where something reads
them: in a class body (dataclasses, pydantic), and on a function whose decorator is not known to
ignore them. The text that is hashed is our own, since `ast.dump` differs between Pythons.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

Qualified = Callable[[ast.expr], str]
"""Gives the dotted import path of a name or attribute (`torch.nn.Module`), or "" if unknown."""

IGNORES_ANNOTATIONS = frozenset(
    [
        "abc.abstractmethod",
        "classmethod",
        "contextlib.asynccontextmanager",
        "contextlib.contextmanager",
        "functools.cache",
        "functools.cached_property",
        "functools.lru_cache",
        "functools.total_ordering",
        "functools.wraps",
        "property",
        "staticmethod",
        "torch.compile",
        "torch.enable_grad",
        "torch.inference_mode",
        "torch.no_grad",
        "typing.final",
        "typing.overload",
        "typing_extensions.final",
        "typing_extensions.override",
        "typing.override",
    ]
)
PLAIN_BASES = frozenset(
    [
        "abc.ABC",
        "object",
        "torch.nn.Module",
        "torch.utils.data.Dataset",
        "torch.utils.data.IterableDataset",
        "torch.utils.data.dataset.Dataset",
        "typing.Protocol",
        "Exception",
        "ValueError",
    ]
)
"""Bases that do nothing with the annotations in a class body."""

_SILENT_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def digest(nodes: Iterable[Any], also: Iterable[str] = ()) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of trees and of further texts, in order."""
    text: list[str] = []
    for node in nodes:
        _write(node, text)
        text.append(";")
    text.extend(f"|{line}" for line in also)
    return hashlib.sha256("".join(text).encode()).hexdigest()[:16]


def _write(value: Any, text: list[str]) -> None:
    """Append one spelling of a tree, the same under every Python: empty fields are left out."""
    if isinstance(value, ast.AST):
        text.append(f"{type(value).__name__}(")
        for field in value._fields:
            part = getattr(value, field, None)
            if part is None and not isinstance(value, ast.Constant):
                continue
            if field in _SILENT_FIELDS or (isinstance(part, list) and not part):
                continue
            text.append(f"{field}=")
            is_text = isinstance(value, ast.JoinedStr)
            _write(_joined(list(part)) if is_text and part else part, text)
            text.append(",")
        text.append(")")
    elif isinstance(value, list):
        text.append("[")
        for part in value:
            _write(part, text)
            text.append(",")
        text.append("]")
    else:
        # ascii() and hex() do not depend on the Unicode tables or on limits of the interpreter.
        shown = hex(value) if type(value) is int else ascii(value)
        text.append(f"{type(value).__name__}:{shown}")


def _joined(parts: list[ast.expr]) -> list[Any]:
    """Merge the neighbouring texts of an f-string, which Pythons cut differently."""
    merged: list[Any] = []
    for part in parts:
        piece = part.value if isinstance(part, ast.Constant) else part
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        elif piece != "":
            merged.append(piece)
    return merged


def is_type_checking(test: ast.expr) -> bool:
    """Whether a condition is `TYPE_CHECKING` or `typing.TYPE_CHECKING`."""
    if isinstance(test, ast.Attribute):
        return test.attr == "TYPE_CHECKING"
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def decorator_name(decorator: ast.expr, qualified: Qualified) -> str:
    """Return the import path of a decorator, whether it is called or not."""
    return qualified(decorator.func if isinstance(decorator, ast.Call) else decorator)


class Strip(ast.NodeTransformer):
    """Removes what does not act from a module's tree, in place."""

    def __init__(self, qualified: Qualified) -> None:
        self._qualified = qualified
        self._class_keeps = False
        """Whether the annotations in the class body at hand act."""
        self._class_reads = False
        """Whether a decorator of the class at hand may read the annotations of its methods."""

    def visit_Expr(self, node: ast.Expr) -> Any:
        """Drop docstrings and other constants that stand alone."""
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        """Drop `pass`: it stands where a docstring alone could stand."""

    def visit_If(self, node: ast.If) -> Any:
        """Keep of `if TYPE_CHECKING` what runs."""
        negated = isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not)
        test = node.test.operand if isinstance(node.test, ast.UnaryOp) and negated else node.test
        if not is_type_checking(test):
            return self.generic_visit(node)
        kept = node.body if negated else node.orelse
        return [part for stmt in kept for part in _listed(self.visit(stmt))]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """Make `x: int = 1` read `x = 1`, except in a class body that may act on it."""
        if self._class_keeps:
            return self.generic_visit(node)
        if node.value is None:
            return None
        plain = ast.Assign(targets=[node.target], value=node.value)
        return self.generic_visit(ast.copy_location(plain, node))

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        """Note what the class does with annotations, then go into its body."""
        outer = self._class_keeps, self._class_reads
        bases = {self._qualified(base) for base in node.bases}
        self._class_reads = bool(node.decorator_list)
        self._class_keeps = self._class_reads or bool(node.keywords) or not bases <= PLAIN_BASES
        self.generic_visit(node)
        self._class_keeps, self._class_reads = outer
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """Drop a function's annotations unless something may read them."""
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        """As of a plain function."""
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if not self._class_reads and all(map(self._ignored_by, node.decorator_list)):
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            every += [arg for arg in (given.vararg, given.kwarg) if arg]
            said = [[arg.arg, arg.annotation] for arg in every if arg.annotation]
            # Kept beside the tree: components are built by what their parameters are declared as.
            node.annotations_digest = digest(said) if said else None  # type: ignore[union-attr]
            for arg in every:
                arg.annotation = None
            node.returns = None
        outer = self._class_keeps, self._class_reads
        self._class_keeps = self._class_reads = False
        self.generic_visit(node)
        self._class_keeps, self._class_reads = outer
        return node

    def _ignored_by(self, decorator: ast.expr) -> bool:
        if isinstance(decorator, ast.Attribute) and decorator.attr in ("setter", "deleter"):
            return True
        return decorator_name(decorator, self._qualified) in IGNORES_ANNOTATIONS


def _listed(found: Any) -> list[Any]:
    if found is None:
        return []
    return found if isinstance(found, list) else [found]
