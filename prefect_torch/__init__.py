"""Declare a PyTorch training pipeline in one file; Prefect runs it stage by stage.

`Pipeline` is where to start. Names are imported when they are first used, so that
`import prefect_torch` costs nothing: Prefect imports it, as a plugin, wherever it starts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_torch.errors import (
        ArtifactError,
        DataError,
        PrefectTorchError,
        SpecError,
        TrainingError,
    )
    from prefect_torch.pipeline import Pipeline
    from prefect_torch.spec import PipelineSpec
    from prefect_torch.store import Artifact, Store

__all__ = [
    "Artifact",
    "ArtifactError",
    "DataError",
    "Pipeline",
    "PipelineSpec",
    "PrefectTorchError",
    "SpecError",
    "Store",
    "TrainingError",
]

_MODULES = {
    "Artifact": "prefect_torch.store",
    "ArtifactError": "prefect_torch.errors",
    "DataError": "prefect_torch.errors",
    "Pipeline": "prefect_torch.pipeline",
    "PipelineSpec": "prefect_torch.spec",
    "PrefectTorchError": "prefect_torch.errors",
    "SpecError": "prefect_torch.errors",
    "Store": "prefect_torch.store",
    "TrainingError": "prefect_torch.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
