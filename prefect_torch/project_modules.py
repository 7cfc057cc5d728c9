"""Imports the modules that lie beside a pipeline file, whatever else bears their names.

The folder goes to the front of `sys.path` and stays there, so that worker processes find them too.
Modules whose files change while the process lives are imported anew (see `source_imports.py`).
"""

from __future__ import annotations

import importlib
import sys
import threading
import traceback
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from prefect_torch.errors import Problem, SpecError
from prefect_torch.kinds import STOCK
from prefect_torch.source_imports import SourceImporter, has_changed, units_of

_importing = threading.RLock()
_projects: dict[Path, dict[str, ModuleType]] = {}
"""The modules of each project that were imported so far, by name."""


def in_project(top: str, project: Path | None) -> bool:
    """Whether a folder has a module or package of a name; the stock names never count."""
    if project is None or not top or top in STOCK:
        return False
    if (project / f"{top}.py").is_file():
        return True
    return (project / top).is_dir() and next((project / top).rglob("*.py"), None) is not None


def is_of_project(module: str, project: Path | None) -> bool:
    """Whether a module of this name was imported from a folder."""
    return project is not None and module in _projects.get(project, {})


def import_from_project(project: Path, name: str) -> ModuleType:
    """Import a module of a folder (a resolved path).

    Modules of another project leave `sys.modules`; an installed package of the same name (Hugging
    Face's `datasets`) is set aside meanwhile and put back.

    Raises:
        SpecError: The module does not exist or fails, with the file and line of the failure.
    """
    with _importing:
        own = _known(project)
        _enter(project, own)
        _require_own(project, name.split(".")[0])
        aside = _set_aside(project, own)
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise _error(_import_failure(project, name, error)) from error
        finally:
            own.update(_modules_of(project))
            for namesake in [n for n in own if n.split(".")[0] in aside]:
                sys.modules.pop(namesake, None)
            sys.modules.update(aside)
        return module


def have_changed(project: Path) -> bool:
    """Whether a file of a folder is no longer what this process imported from it."""
    project = project.resolve()
    with _importing:
        modules = {**_known(project), **_modules_of(project)}
        return any(has_changed(module) for module in modules.values())


def forget_changed(project: Path) -> None:
    """Have a folder's modules imported anew if the file of any has changed.

    All of them: those that import a changed one hold on to what they took from it. Objects made
    before keep the code they were made with.
    """
    project = project.resolve()
    with _importing:
        if not have_changed(project):
            return
        own = _projects[project]
        for name, module in {**own, **_modules_of(project)}.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        own.clear()
        importlib.invalidate_caches()


def imported_units(project: Path) -> dict[str, dict[str, str]]:
    """Return the digests of the units of code that were imported from a folder, by file.

    Files and units are named as in `code_fingerprint.py`.
    """
    project = project.resolve()
    with _importing:
        modules = {**_known(project), **_modules_of(project)}.values()
    units = {module.__file__: units_of(module) for module in modules if module.__file__}
    return {
        Path(file).resolve().relative_to(project).as_posix(): found
        for file, found in units.items()
        if found
    }


def _known(project: Path) -> dict[str, ModuleType]:
    """Return the modules of a project so far; from now on its imports are watched."""
    _importer.install()
    return _projects.setdefault(project, {})


def _enter(project: Path, own: Mapping[str, ModuleType]) -> None:
    """Make a project the current one: first on `sys.path`, its modules in, those of others out."""
    if str(project) in sys.path:
        sys.path.remove(str(project))
    sys.path.insert(0, str(project))
    importlib.invalidate_caches()
    for other, modules in _projects.items():
        if other != project:
            for name, module in modules.items():
                if sys.modules.get(name) is module:
                    del sys.modules[name]
    for name, module in own.items():
        sys.modules.setdefault(name, module)


def _require_own(project: Path, top: str) -> None:
    """Refuse a name that an import would not take from the project, before anything is run."""
    spec = PathFinder.find_spec(top)
    places = [spec.origin or "", *(spec.submodule_search_locations or [])] if spec else []
    if top in sys.stdlib_module_names:
        raise _error(f"{project / top} is named like a module of Python's own; rename it")
    if not any(project in Path(place).parents for place in places):
        raise _error(
            f"{project / top} is a folder without __init__.py, so that the installed package {top} "
            "would be imported in its place; add an empty __init__.py, or rename it"
        )


def _set_aside(project: Path, own: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    """Take installed namesakes of a project's modules out of `sys.modules` and return them."""
    ours = _modules_of(project)
    names = {name for name in local_names(project) if name in sys.modules and name not in ours}
    aside = {n: m for n, m in sys.modules.items() if n.split(".")[0] in names}
    for name in aside:
        del sys.modules[name]
    sys.modules.update({n: m for n, m in own.items() if n.split(".")[0] in names})
    return aside


def local_names(project: Path) -> set[str]:
    """Return the names of a folder's modules and packages that come before installed ones."""
    files = {path.stem for path in project.glob("*.py")}
    packages = {path.parent.name for path in project.glob("*/__init__.py")}
    return (files | packages) - set(STOCK) - sys.stdlib_module_names


def _modules_of(project: Path) -> dict[str, ModuleType]:
    """Return the modules in `sys.modules` that lie in a folder, by name."""
    names = {path.stem for path in project.iterdir() if path.is_dir() or path.suffix == ".py"}
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name.split(".")[0] in names - set(STOCK) and _lies_in(module, name, project)
    }


def _lies_in(module: ModuleType | None, name: str, project: Path) -> bool:
    """Whether a module's top-level file or folder lies right in a folder."""
    file = getattr(module, "__file__", None)
    places = [file] if file else list(getattr(module, "__path__", []))
    return any(_is_at(place, name, project) for place in places)


def _is_at(place: str, name: str, project: Path) -> bool:
    """Whether a file or folder is where a module of this name lies in a project."""
    path = Path(place).resolve()
    up = name.count(".") + (1 if path.name == "__init__.py" else 0)
    return len(path.parents) > up and path.parents[up] == project


def _is_of_known_project(file: str, name: str) -> bool:
    top = name.split(".")[0]
    return top not in STOCK and any(_is_at(file, name, project) for project in list(_projects))


_importer = SourceImporter(_is_of_known_project)


def _import_failure(project: Path, name: str, error: BaseException) -> str:
    """Say which line of the user's own files an import failed in."""
    if isinstance(error, ModuleNotFoundError) and error.name == name:
        return f"there is no module {name} in {project}"
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return f"importing {name} failed at {error.filename}:{error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if project in Path(frame.filename).parents]
    where = f"{own[-1].filename}:{own[-1].lineno}" if own else name
    return f"importing {name} failed at {where}: {said}"


def _error(message: str) -> SpecError:
    return SpecError([Problem("", "", message)])
