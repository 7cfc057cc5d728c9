"""What would run, and why, before anything runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from prefect_torch.declaration import Declaration
from prefect_torch.fingerprint import Fingerprint
from prefect_torch.store import Store
from prefect_torch.tasks.execute import reusable
from prefect_torch.tasks.reasons import latest, reasons_to_run
from prefect_torch.tasks.stage import STAGES, Stage


@dataclass(frozen=True)
class Decision:
    """What the next run will do with a stage."""

    decision: Literal["run", "reuse"]
    reasons: tuple[str, ...]


def stages_until(until: str | None) -> list[Stage]:
    """Return the stages of a run, in order, up to and with `until`."""
    names = list(STAGES)
    last = names.index(until) + 1 if until else len(names)
    return [STAGES[name] for name in names[:last]]


def make_plan(
    declaration: Declaration,
    store: Store,
    force: Collection[str] = (),
    until: str | None = None,
) -> dict[str, Decision]:
    """Return a decision for every stage.

    A stage below one that runs is said to run as well; if the upstream result turns out the same,
    the run will reuse it after all.
    """
    decisions: dict[str, Decision] = {}
    digests: dict[str, str] = {}
    for stage in stages_until(until):
        waiting = [name for name in stage.inputs if name not in digests]
        if waiting:
            decisions[stage.name] = Decision("run", _downstream(stage, declaration, store, waiting))
            continue
        upstream = {name: digests[name] for name in stage.inputs}
        key = stage.fingerprint(declaration, upstream, store)
        artifact, damage = reusable(stage, key, store)
        if artifact is not None and stage.name not in force:
            digests[stage.name] = artifact.digest
            decisions[stage.name] = Decision("reuse", ("same inputs",))
            continue
        forced = stage.name in force
        why = reasons_to_run(stage, key, declaration, store, forced, damage)
        decisions[stage.name] = Decision("run", why)
    return decisions


def _downstream(
    stage: Stage, declaration: Declaration, store: Store, waiting: list[str]
) -> tuple[str, ...]:
    """Return why a stage runs whose inputs are not known yet: its own changes, then theirs."""
    before = latest(store, declaration.spec.name, stage.name)
    own: tuple[str, ...] = ()
    if before is not None:
        known = {**before.get("upstream", {})}
        key: Fingerprint = stage.fingerprint(declaration, known, store)
        own = tuple(
            reason
            for reason in reasons_to_run(stage, key, declaration, store)
            if not reason.startswith("its earlier")
        )
    return (*own, f"after {' and '.join(waiting)}")
