"""What a piece of code mentions beyond its own scopes: global names, imports, and dynamic ways out.

A reference is one line of text, so that tables of them can be kept as JSON:

```
g:nets.Block          a global name and the attributes taken of it
s:helper              the same, where a class body may have bound the name itself
m:torch.nn:Linear     attributes of an imported module (none: the module itself, as a value)
f:1:layers:Block.x    `from .layers import Block` (the number is how many dots), then attributes
e:1:layers            an import that runs the module, whatever is used of it
!whole                code that can reach anything in its module (`exec`, `globals()`)
!import:plugins.      an import by a computed name, with its literal beginning
!subclasses           something asks a class for its subclasses
```
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prefect_torch.code_scopes import (
    COMPREHENSIONS,
    Scope,
    annotations_of,
    bound_names,
    chain_of,
    collect_bound,
    dotted,
    import_effects,
    literal_beginning,
    outer_parts,
    parameter_names,
    with_attributes,
)

BUILTINS = frozenset(dir(builtins)) | {"__file__", "__path__", "__annotations__", "__builtins__"}
BUILTINS |= {"__class__", "__module__", "__qualname__", "__dict__", "WindowsError", "__cached__"}
_IMPORTERS = ("importlib.import_module", "importlib.__import__", "__import__")
_LOADERS = (
    "importlib.util.spec_from_file_location",
    "importlib.util.module_from_spec",
    "importlib.machinery.SourceFileLoader",
    "pkgutil.resolve_name",
    "pydoc.locate",
    "runpy.run_module",
    "runpy.run_path",
)
_WHOLE_NAMES = ("eval", "exec", "globals")
_WHOLE_ATTRIBUTES = ("__globals__", "f_globals")


@dataclass
class References:
    """What one unit mentions."""

    found: dict[str, Any] = field(default_factory=dict)
    """Reference to the line of its first mention, or to [line, reason]."""
    stores: set[str] = field(default_factory=set)
    """Global things it assigns attributes, items or values to."""


class Collector(ast.NodeVisitor):
    """Walks units of one module and collects what each mentions.

    Args:
        imports: The import references of the module's own names.
        bound: The module's names that are bound by its own statements.
    """

    def __init__(self, imports: Mapping[str, list[str]], bound: Iterable[str]) -> None:
        self._imports = imports
        self._bound = frozenset(bound)
        self._scopes: list[Scope] = []
        self._references = References()
        self._whole_chains = False

    def collect(self, nodes: Iterable[ast.AST], class_body: Iterable[str] = ()) -> References:
        """Return what nodes mention; `class_body` are names of the class they stand in."""
        self._references = References()
        self._scopes = [Scope(set(class_body), is_class=True)] if class_body else []
        for node in nodes:
            self.visit(node)
        return self._references

    def of(self, node: ast.AST) -> list[str]:
        """Return the references of one expression."""
        self._whole_chains = True
        found = list(self.collect([node]).found)
        self._whole_chains = False
        return found

    def qualified(self, node: ast.expr) -> str:
        """Return the import path of a module-level name or attribute; a builtin is its name."""
        root, attributes = chain_of(node)
        if not isinstance(root, ast.Name) or root.id in self._bound:
            return ""
        for reference in self._imports.get(root.id, ()):
            return dotted(with_attributes(reference, attributes))
        return root.id if root.id in BUILTINS and not attributes else ""

    def visit_Name(self, node: ast.Name) -> None:
        """Note a name that is not a local one."""
        if isinstance(node.ctx, ast.Load):
            self._mention(node.id, [], node.lineno)
        elif any(node.id in scope.globals for scope in self._scopes):
            self._references.stores.add(f"g:{node.id}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Note a chain of attributes as one."""
        if node.attr in _WHOLE_ATTRIBUTES:
            self._add("!whole", node.lineno, node.attr)
        if node.attr == "__subclasses__":
            self._add("!subclasses", node.lineno)
        root, attributes = chain_of(node)
        literal = self._literal_import(root)
        if isinstance(root, ast.Name):
            self._mention(root.id, attributes, node.lineno)
            if not isinstance(node.ctx, ast.Load):
                self._store(node.value)
        elif literal:
            self._add(with_attributes(literal, attributes), node.lineno)
        else:
            self.visit(root)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Note what an item is assigned to."""
        if not isinstance(node.ctx, ast.Load):
            self._store(node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Follow `getattr` and imports with literal names; note the computed ones."""
        name = self._global_path(node.func)
        if name in ("getattr", "hasattr", "setattr", "delattr") and len(node.args) >= 2:
            self._attribute_call(name, node)
        elif name in _IMPORTERS and node.args:
            reference = self._literal_import(node)
            if reference:
                self._add(reference, node.lineno)
            else:
                self._add(f"!import:{literal_beginning(node.args[0])}", node.lineno)
            for argument in (*node.args, *node.keywords):
                self.visit(argument)
        elif name in ("vars", "dir") and not node.args and not self._scopes:
            self._add("!whole", node.lineno, f"{name}()")
        else:
            self.generic_visit(node)

    def _attribute_call(self, name: str, node: ast.Call) -> None:
        what, attribute = node.args[0], node.args[1]
        root, attributes = chain_of(what)
        is_literal = isinstance(attribute, ast.Constant) and isinstance(attribute.value, str)
        if name in ("setattr", "delattr"):
            self._store(what)
        if isinstance(root, ast.Name) and is_literal and name in ("getattr", "hasattr"):
            literal = str(attribute.value) if isinstance(attribute, ast.Constant) else ""
            self._mention(root.id, [*attributes, *literal.split(".")], node.lineno)
        elif isinstance(root, ast.Name):
            reason = None if is_literal else f"{name} with a computed name"
            self._mention(root.id, attributes, node.lineno, reason)
        else:
            self.visit(what)
        for part in (*node.args[1:], *node.keywords):
            self.visit(part)

    def _literal_import(self, node: ast.AST) -> str | None:
        """Return the reference for `import_module("a.b")`, None for anything else."""
        if not isinstance(node, ast.Call) or not node.args:
            return None
        name = self._global_path(node.func)
        first = node.args[0]
        if name not in _IMPORTERS or not isinstance(first, ast.Constant):
            return None
        module = str(first.value)
        if not module.startswith("."):
            # `__import__("a.b")` gives `a`, unless a fromlist is there.
            top = name != "importlib.import_module" and len(node.args) < 4
            return f"m:{module.split('.')[0] if top else module}:"
        package = [*node.args[1:2], *(word.value for word in node.keywords)]
        names = [part.id for part in package if isinstance(part, ast.Name)]
        texts = [part.value for part in package if isinstance(part, ast.Constant)]
        bare = module.lstrip(".")
        dots = len(module) - len(bare)
        if names in (["__package__"], ["__name__"]):
            return f"r:{dots}:{bare}:" if names == ["__package__"] else f"R:{dots}:{bare}:"
        if texts and isinstance(texts[0], str):
            parts = texts[0].split(".")
            return f"m:{'.'.join([*parts[: len(parts) - dots + 1], bare])}:"
        return None

    def visit_Import(self, node: ast.Import) -> None:
        """Note the modules that an import inside a function runs."""
        for reference in import_effects(node):
            self._add(reference, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note the modules that an import inside a function runs."""
        for reference in import_effects(node):
            self._add(reference, node.lineno)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Enter a function."""
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Enter a function."""
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, *outer_parts(node)):
            self.visit(part)
        self._enter_type_parameters(node)
        for annotation in annotations_of(node):
            self._annotation(annotation)
        self._enter(node.body, parameter_names(node.args))
        self._scopes.pop()

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Enter a lambda."""
        for part in (*node.args.defaults, *node.args.kw_defaults):
            if part:
                self.visit(part)
        self._enter([node.body], parameter_names(node.args))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Enter a class body."""
        for part in node.decorator_list:
            self.visit(part)
        self._enter_type_parameters(node)
        for base in outer_parts(node):
            self.visit(base)
        self._enter(node.body, set(), is_class=True)
        self._scopes.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Follow an annotation that acts, also one written as text."""
        self._annotation(node.annotation)
        self.visit(node.target)
        if node.value:
            self.visit(node.value)

    def _annotation(self, node: ast.expr) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                try:
                    said = ast.parse(part.value.strip(), mode="eval").body
                except SyntaxError:
                    continue  # text that is not a type, such as in Literal["two words"]
                for name in ast.walk(said):
                    root, attributes = chain_of(name)
                    if isinstance(root, ast.Name):
                        self._mention(root.id, attributes, node.lineno, soft=True)
        self.visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        """Enter comprehensions, whose first source stands outside; go through all else."""
        if not isinstance(node, COMPREHENSIONS):
            super().generic_visit(node)
            return
        self.visit(node.generators[0].iter)
        targets = bound_names(part.target for part in node.generators)
        self._scopes.append(Scope(targets))
        for index, part in enumerate(node.generators):
            for inner in ([part.iter] if index else []) + part.ifs:
                self.visit(inner)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for inner in parts:
            self.visit(inner)
        self._scopes.pop()

    def _enter_type_parameters(self, node: Any) -> None:
        parameters = getattr(node, "type_params", [])
        self._scopes.append(Scope({parameter.name for parameter in parameters}))
        for parameter in parameters:
            if getattr(parameter, "bound", None):
                self.visit(parameter.bound)

    def _enter(self, body: Iterable[ast.AST], names: set[str], is_class: bool = False) -> None:
        body = list(body)
        scope = Scope(set(), is_class=is_class)
        found: set[str] = set(names)
        for node in body:
            collect_bound(node, found, scope)
        scope.names = found - scope.elsewhere
        self._scopes.append(scope)
        for node in body:
            self.visit(node)
        self._references.stores.update(f"g:{name}" for name in scope.globals)
        self._scopes.pop()

    def _lookup(self, name: str) -> tuple[Scope | None, bool]:
        """Return the scope that binds a name, and whether a class body binds it as well."""
        soft = False
        for scope in reversed(self._scopes):
            if name in scope.globals:
                return None, soft
            if name in scope.names:
                if not scope.is_class:
                    return scope, soft
                soft = True
        return None, soft

    def _global_path(self, node: ast.AST) -> str:
        """Return the import path or builtin that an expression names where it stands, or ""."""
        root, attributes = chain_of(node)
        if not isinstance(root, ast.Name):
            return ""
        scope, _ = self._lookup(root.id)
        if scope is None:
            return self.qualified(node) if isinstance(node, ast.expr) else ""
        for reference in scope.imports.get(root.id, ()):
            return dotted(with_attributes(reference, attributes))
        return ""

    def _store(self, node: ast.AST) -> None:
        """Note that something global has an attribute or item assigned."""
        while isinstance(node, ast.Subscript):
            node = node.value
        root, attributes = chain_of(node)
        if isinstance(root, ast.Name):
            scope, _ = self._lookup(root.id)
            if scope is None:
                self._references.stores.add(self._global(root.id, attributes, soft=True))
            for reference in scope.imports.get(root.id, ()) if scope else ():
                self._references.stores.add(with_attributes(reference, attributes))

    def _mention(
        self, name: str, attributes: list[str], line: int, reason: str | None = None, **how: bool
    ) -> None:
        scope, soft = self._lookup(name)
        references = scope.imports.get(name, []) if scope else []
        for reference in references:
            self._dynamic(dotted(with_attributes(reference, attributes)), line)
            self._add(with_attributes(reference, attributes), line, reason)
        if scope is not None:
            return
        if name in _WHOLE_NAMES and name not in self._bound and name not in self._imports:
            self._add("!whole", line, name)
        for reference in self._imports.get(name, ()):
            self._dynamic(dotted(with_attributes(reference, attributes)), line)
        if name not in BUILTINS or name in self._bound or name in self._imports:
            soft = soft or how.get("soft", False)
            self._add(self._global(name, attributes, soft=soft), line, reason)

    def _global(self, name: str, attributes: list[str], *, soft: bool) -> str:
        """Return the reference of a global; attributes matter only of what may be a module."""
        known = name in self._bound and name not in self._imports and not self._whole_chains
        return ("s:" if soft else "g:") + ".".join([name, *([] if known else attributes)])

    def _dynamic(self, path: str, line: int) -> None:
        if path in _IMPORTERS or path in _LOADERS:
            self._add("!import:", line)
        elif path == "sys.modules" or path.startswith("sys.modules."):
            self._add("!whole", line, "sys.modules")

    def _add(self, reference: str, line: int, reason: str | None = None) -> None:
        if reason or reference not in self._references.found:
            self._references.found[reference] = [line, reason] if reason else line
