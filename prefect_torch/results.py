"""What stages and runs hand on: small references and figures, never data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["ran", "reused"]


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


class RunSummary(BaseModel):
    """What came of a run."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    pipeline: str
    stages: dict[str, StageResult]
    """Results of the stages that ended well, in order."""
    metrics: dict[str, float] = {}
    """Figures on the test split; empty before evaluate."""
    promoted: bool | None = None
    """Whether the gate let the model through; None before promote."""
    gate: tuple[str, ...] = ()
    """What the gate said."""
    report: str | None = None
    """Path of the HTML report; None before evaluate."""
    failed: str | None = None
    """The stage that failed, if one did."""
    error: str | None = None
    """What it failed with."""
