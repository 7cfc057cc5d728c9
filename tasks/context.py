"""What a stage's function is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect_torch.declaration import Declaration
from prefect_torch.store import Artifact, Store


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
