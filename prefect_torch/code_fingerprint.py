"""The code that decides a result: which units some roots reach, and the digest of each.

`fingerprint_code(["nets.MyNet"], project)` reads source files and imports nothing. It follows
names, attributes, imports, base classes, decorators, closures, defaults and constants through the
modules below the project's folder and through prefect_torch; other packages count by name and
minor version. See `code_table.py` for units and `code_graph.py` for how they are followed.

What it does not see:

- names that only data holds (`build("nets.MyNet")` where other code imports by that text): pass
  them as roots. An import by a computed name takes all the project's modules it may mean; in our
  own modules it is a component's name, which the caller passes.
- methods that an installed package calls by name on objects it was never handed by reached code.
- first-party code installed from another folder: it is a package, known by its version.
- constructors with effects elsewhere, `x = install()`, where nothing reached uses `x` and the
  effect is inside another package.
- annotations that code reads through `inspect` from functions that are neither roots nor decorated.
- data files, environment variables, and what a custom import hook or an altered `sys.path` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prefect_torch.code_graph import Graph
from prefect_torch.code_modules import Finder
from prefect_torch.code_packages import Packages
from prefect_torch.code_resolve import Resolver
from prefect_torch.code_tables import Tables
from prefect_torch.errors import Problem, SpecError


@dataclass(frozen=True)
class CodeFingerprint:
    """What some roots reach. `units` and `packages` decide; `widened` is for people.

    (The reasons in `widened` name lines, which a comment moves.)
    """

    units: dict[str, str]
    """`nets.py: Block.forward` to 16 hexadecimal digits of its digest, sorted."""
    packages: dict[str, str]
    """Third-party distributions reached, to their minor version (`2.15`), sorted."""
    widened: dict[str, str]
    """Files that were taken whole, and why."""


class CodeReader:
    """Answers for several sets of roots over one state of the files, reading each file once."""

    def __init__(self, project: Path | None, cache: Path | None = None) -> None:
        """Prepare to read.

        Args:
            project: The folder whose modules are first-party beside ours; None: ours alone.
            cache: A folder for tables of files that have not changed; None keeps none on disk.
        """
        self._resolver = Resolver(Finder(project), Tables(cache))
        self._packages = Packages(cache)

    def is_first_party(self, module: str) -> bool:
        """Whether a module lies below the project's folder or is ours."""
        return self._resolver.is_first_party(module)

    def fingerprint(self, roots: Iterable[str]) -> CodeFingerprint:
        """Return what some import paths reach.

        Raises:
            SpecError: A root names something that its module does not have.
        """
        graph = Graph(self._resolver)
        for root in roots:
            try:
                graph.reach(root)
            except LookupError as error:
                message = f'found "{root}", but {error.args[0]}; expected the import path of code'
                raise SpecError([Problem("", "", message)]) from error
        packages: dict[str, str] = {}
        for top in graph.tops:
            packages |= self._packages.of(top)
        self._packages.keep()
        return CodeFingerprint(
            dict(sorted(graph.units.items())),
            dict(sorted(packages.items())),
            dict(sorted(graph.widened.items())),
        )


def fingerprint_code(
    roots: Iterable[str], project: Path | None, cache: Path | None = None
) -> CodeFingerprint:
    """Return what some import paths reach; see `CodeReader`."""
    return CodeReader(project, cache).fingerprint(roots)
