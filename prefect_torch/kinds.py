"""What each kind of component must be; of the stock packages only the proper classes ever pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from prefect_torch.components import Kind

STOCK = ("torch", "torchvision", "torchmetrics", "prefect_torch")
"""Packages that every pipeline may name classes of."""

_SHELVES = (
    "torch.nn.",
    "torch.optim.",
    "torch.utils.data.",
    "torchvision.",
    "torchmetrics.",
    "prefect_torch.",
)
"""Where components lie in the stock packages; other corners of torch compile or open sockets."""

EXPECTED: Mapping[Kind, str] = {
    "model": "a torch.nn.Module class or a model function of torchvision.models",
    "loss": "a loss class of torch.nn, or a torch.nn.Module class of your own",
    "optimizer": "a torch.optim.Optimizer class",
    "scheduler": "a torch.optim.lr_scheduler.LRScheduler class",
    "metric": "a torchmetrics.Metric class, or one with update, compute and higher_is_better",
    "transform": "a torchvision.transforms or torch.nn.Module class, or a callable of your own",
    "source": "a torch.utils.data.Dataset class, or a class that can be iterated or has batches()",
}


def fits(found: Any, kind: Kind) -> bool:
    """Whether an object is what a kind asks for; of the stock packages only the proper classes."""
    module = str(getattr(found, "__module__", ""))
    stock = module.split(".")[0] in STOCK
    if not inspect.isclass(found):
        if kind == "model":
            return inspect.isfunction(found) and _is_torchvision_model(found)
        return kind == "transform" and inspect.isfunction(found) and not stock
    if stock and (found.__name__.startswith("_") or not module.startswith(_SHELVES)):
        return False
    return _FITS[kind](found, module, stock)


def _is_module(found: type) -> bool:
    from torch import nn

    return issubclass(found, nn.Module) and found is not nn.Module


def _is_torchvision_model(found: Callable[..., Any]) -> bool:
    from torchvision import models  # type: ignore[import-untyped]

    return found.__module__.startswith("torchvision.models.") and (
        found.__name__ in models.list_models()
    )


def _fits_loss(found: type, module: str, stock: bool) -> bool:
    return _is_module(found) and (
        not module.startswith("torch.") or module.endswith("modules.loss")
    )


def _fits_optimizer(found: type, module: str, stock: bool) -> bool:
    from torch.optim import Optimizer

    return issubclass(found, Optimizer) and found is not Optimizer


def _fits_scheduler(found: type, module: str, stock: bool) -> bool:
    from torch.optim.lr_scheduler import LRScheduler

    return issubclass(found, LRScheduler) and found is not LRScheduler


def _fits_metric(found: type, module: str, stock: bool) -> bool:
    # What torchmetrics' base class promises; to import it only to ask would take seconds.
    promised = all(callable(getattr(found, name, None)) for name in ("update", "compute"))
    abstract = found.__name__ == "Metric" and stock
    return promised and hasattr(found, "higher_is_better") and not abstract


def _fits_transform(found: type, module: str, stock: bool) -> bool:
    calls = any("__call__" in vars(base) for base in found.__mro__)
    return _is_module(found) or (
        calls and (not stock or module.startswith("torchvision.transforms"))
    )


def _fits_source(found: type, module: str, stock: bool) -> bool:
    if module.startswith("prefect_torch.datasets.") and hasattr(found, "batches"):
        return True  # told without importing torch, which a run that reuses everything never needs
    from torch.utils.data import Dataset

    if issubclass(found, Dataset):
        return found is not Dataset and ".datapipes." not in module
    return not stock and (hasattr(found, "batches") or hasattr(found, "__iter__"))


_FITS: Mapping[Kind, Callable[[type, str, bool], bool]] = {
    "model": lambda found, module, stock: _is_module(found),
    "loss": _fits_loss,
    "optimizer": _fits_optimizer,
    "scheduler": _fits_scheduler,
    "metric": _fits_metric,
    "transform": _fits_transform,
    "source": _fits_source,
}


def what(found: Any) -> str:
    """Say in a word or two what an object is."""
    if inspect.isclass(found):
        bases = [base.__name__ for base in found.__bases__ if base is not object]
        return f"a class ({', '.join(bases)})" if bases else "a class"
    return "a module" if isinstance(found, ModuleType) else f"a {type(found).__name__}"
