"""What a stage's function is given, and what a stage hands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from prefect_torch.declaration import Declaration
from prefect_torch.store import Artifact, Store

Outcome = Literal["ran", "reused"]


@dataclass(frozen=True)
class StageContext:
    """What a stage's function is given."""

    declaration: Declaration
    inputs: Mapping[str, Artifact]
    """Upstream artifacts by stage name, every file checked."""
    output: Path
    """An empty folder; what is in it afterwards becomes the artifact."""
    store: Store
    notes: dict[str, Any] = field(default_factory=dict)
    """What differs from run to run and decides nothing (rates, device): for the stage record."""


class StageResult(BaseModel):
    """What a stage hands on: a small reference to its artifact, never data."""

    model_config = ConfigDict(frozen=True)

    stage: str
    outcome: Outcome
    fingerprint: str
    artifact: str
    """Digest."""
    path: str
    """Folder of the artifact."""
    seconds: float
    """Wall-clock time of this stage in this run."""
    reasons: tuple[str, ...] = ()
    """Why it ran or was reused."""
