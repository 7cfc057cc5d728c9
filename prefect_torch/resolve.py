"""Turns a component's import path into the class it names, if it may be imported and fits.

Importing runs code. So a spec may import torch, torchvision, torchmetrics, this package, what the
settings list and, from a pipeline *file*, the modules of the file's own folder; nothing else.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, get_args

from prefect_torch.components import Component, Kind
from prefect_torch.errors import PrefectTorchError, Problem, SpecError, did_you_mean
from prefect_torch.kinds import EXPECTED, STOCK, fits, what
from prefect_torch.project_modules import (
    import_from_project,
    in_project,
    is_of_project,
    local_names,
)
from prefect_torch.signatures import as_declared, parameters_of

SETTING = "PREFECT_INTEGRATIONS_TORCH_TRUSTED_MODULES"

HOMES: Mapping[Kind, tuple[str, ...]] = {
    "model": (
        "prefect_torch.models.cnn",
        "prefect_torch.models.mlp",
        "prefect_torch.models.text",
        "torch.nn",
        "torchvision.models",
    ),
    "loss": ("torch.nn",),
    "optimizer": ("torch.optim",),
    "scheduler": ("torch.optim.lr_scheduler",),
    "metric": (
        "prefect_torch.training.figures",
        "torchmetrics.classification",
        "torchmetrics.regression",
        "torchmetrics",
    ),
    "transform": ("torchvision.transforms.v2", "torch.nn"),
    "source": (
        "prefect_torch.datasets.csv_source",
        "prefect_torch.datasets.parquet_source",
        "prefect_torch.datasets.sklearn_source",
        "prefect_torch.datasets.image_folder_source",
        "torchvision.datasets",
    ),
}
"""Where short names are looked up, in order."""


@dataclass(frozen=True)
class Trust:
    """Which modules a component may come from, beyond the stock ones."""

    modules: tuple[str, ...] = ()
    """Modules (and what lies below them) that the installation's settings trust."""
    project: bool = False
    """Whether the modules of the project's folder may be named."""
    everything: bool = False
    """For pipelines built in Python: whoever wrote them runs code anyway."""

    def allows(self, module: str) -> bool:
        """Whether a module may be imported wherever the pipeline lies."""
        roots = (*STOCK, *self.modules)
        return self.everything or any(
            module == root or module.startswith(f"{root}.") for root in roots
        )


def resolve(
    component: Component, kind: Kind | None, trust: Trust, project: Path | None
) -> type | Callable[..., Any]:
    """Return the class (or function) that a component names.

    Args:
        component: What the spec says.
        kind: What its place asks for; None for a component nested in arguments, which may be any.
        trust: Which modules it may come from.
        project: The folder whose modules `trust.project` is about.

    Raises:
        SpecError: One problem without a place: the path is not trusted, does not exist, its module
            fails to import, or it is not what the place asks for.
    """
    path = component.class_
    parts = path.split(".")
    if not all(part.isidentifier() and not part.startswith("__") for part in parts):
        _refuse(f'found "{path}"; expected an import path such as torch.optim.AdamW')
    project = project.resolve() if project else None
    if len(parts) == 1:
        found = _by_short_name(path, kind)
    else:
        _require_trust(path, parts[0], trust, project)
        found = _walk(parts, kind, trust, project)
    _require_origin(path, found, trust, project)
    if not any(fits(found, k) for k in ([kind] if kind else get_args(Kind))):
        expected = EXPECTED[kind] if kind else "a class of a component"
        _refuse(f'"{path}" is {what(found)}; expected {expected}')
    return found  # type: ignore[no-any-return]


def build(
    component: Component, kind: Kind | None, trust: Trust, project: Path | None, /, **given: Any
) -> Any:
    """Return the object that a component describes.

    Nested mappings with `class` are built first, under the same trust. A function is called where a
    model is asked for, and becomes a `functools.partial` elsewhere.

    Args:
        component: Class and arguments.
        kind: What its place asks for.
        trust: Which modules it may come from.
        project: The folder whose modules `trust.project` is about.
        **given: What the engine supplies (`params`, `optimizer`); nested components that take it
            get it too.

    Raises:
        SpecError: As `resolve`; or the constructor refuses its arguments.
    """
    target = resolve(component, kind, trust, project)

    def made(value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("class"), str):
            nested = Component.model_validate(value)
            taken = parameters_of(resolve(nested, None, trust, project))
            share = {name: given[name] for name in taken & set(given)}
            return build(nested, None, trust, project, **share)
        if isinstance(value, Mapping):
            return {key: made(item) for key, item in value.items()}
        return [made(item) for item in value] if isinstance(value, (list, tuple)) else value

    args = as_declared(target, {name: made(value) for name, value in component.args.items()})
    if not inspect.isclass(target) and kind != "model":
        return functools.partial(target, **args)
    try:
        return target(**given, **args)
    except PrefectTorchError:
        raise
    except Exception as error:
        raise _error(f"{component.class_} cannot be made: {error}") from error


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _error(f"there is no module {error.name}; is its package installed?") from error


def _error(message: str) -> SpecError:
    return SpecError([Problem("", "", message)])


def _refuse(message: str) -> NoReturn:
    raise _error(message)


def _require_trust(path: str, top: str, trust: Trust, project: Path | None) -> None:
    """Refuse a path before anything of it is imported, unless its first part is trusted."""
    if trust.allows(path) or (trust.project and in_project(top, project)):
        return
    why = "importing a module runs its code"
    if in_project(top, project):
        why = f"overrides and forms may not name the project's own modules: {why}"
    allowed = ", ".join((*STOCK, *trust.modules))
    own = " and the modules beside the pipeline file" if trust.project else ""
    beside = local_names(project) if trust.project and project else set()
    near = did_you_mean(top, {*STOCK, *trust.modules, *beside})
    way = f"; {near}" if near.startswith("did") else _way_to_trust(top)
    _refuse(f'"{path}" is not trusted ({why}); trusted are {allowed}{own}{way}')


def _way_to_trust(module: str) -> str:
    """Say how to trust a module; no component ever is in Python's own library."""
    if not module or module.split(".")[0] in sys.stdlib_module_names:
        return ""
    return f". To trust it, set {SETTING}={module}"


def _require_origin(path: str, found: Any, trust: Trust, project: Path | None) -> None:
    """Refuse what a trusted module merely imported from elsewhere, such as `torch.os.system`."""
    module = getattr(found, "__module__", None)
    module = module if isinstance(module, str) else ""
    if trust.allows(module) or (trust.project and is_of_project(module, project)):
        return
    where = f"{module}, which" if module else "a module that"
    _refuse(f'"{path}" comes from {where} is not trusted{_way_to_trust(module)}')


def _walk(parts: list[str], kind: Kind | None, trust: Trust, project: Path | None) -> Any:
    """Follow an import path, never into a module that is not trusted."""
    load: Callable[[str], ModuleType] = _import
    if project and in_project(parts[0], project) and (trust.project or trust.everything):
        load = functools.partial(import_from_project, project)
    found: Any = load(parts[0])
    for index, part in enumerate(parts[1:], start=1):
        name = ".".join(parts[:index])
        if isinstance(found, ModuleType):
            _require_module(".".join(parts), found, trust, project)
        if not hasattr(found, part) and isinstance(found, ModuleType):
            child = f"{found.__name__}.{part}"
            if hasattr(found, "__path__") and PathFinder.find_spec(child, found.__path__):
                found = load(child)
                continue
        if not hasattr(found, part):
            names = [n for n, value in vars(found).items() if _offered(n, value, kind)]
            _refuse(f'{name} has no "{part}"; {did_you_mean(part, names)}')
        found = getattr(found, part)
    return found


def _require_module(path: str, module: ModuleType, trust: Trust, project: Path | None) -> None:
    name = module.__name__
    if not trust.allows(name) and not (trust.project and is_of_project(name, project)):
        _refuse(f'"{path}" leads into {name}, which is not trusted{_way_to_trust(name)}')


def _offered(name: str, value: Any, kind: Kind | None) -> bool:
    """Whether a name of a module is worth offering to someone who misspelled one."""
    kinds = [kind] if kind else get_args(Kind)
    return not name.startswith("_") and any(fits(value, k) for k in kinds)


def _by_short_name(name: str, kind: Kind | None) -> Any:
    """Look a name without dots up in the homes of its kind; homes that don't exist are skipped."""
    searched: list[ModuleType] = []
    for home in [home for k in ([kind] if kind else HOMES) for home in HOMES[k]]:
        try:
            module = importlib.import_module(home)
        except ModuleNotFoundError as error:
            if error.name and (home == error.name or home.startswith(f"{error.name}.")):
                continue
            raise
        if name in vars(module) and _offered(name, vars(module)[name], kind):
            return vars(module)[name]
        searched.append(module)
    known = [n for m in searched for n, value in vars(m).items() if _offered(n, value, kind)]
    near = did_you_mean(name, known)
    hint = near if near.startswith("did") else "write its whole import path, package.module.Class"
    _refuse(f'no {kind or "component"} is called "{name}"; {hint}')
