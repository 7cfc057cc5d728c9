"""Promote: the gate against fixed bounds and against the champion; it moves the pointer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from prefect_torch.declaration import Declaration
from prefect_torch.errors import PrefectTorchError
from prefect_torch.registry import rival_of
from prefect_torch.store import Artifact
from prefect_torch.tasks.champion import champion_metrics
from prefect_torch.tasks.context import StageContext
from prefect_torch.tasks.model import declared_metrics
from prefect_torch.training.metrics import improves_upwards
from prefect_torch.training.spec import PromoteSpec


def promote(context: StageContext) -> None:
    """Write `decision.json`: whether the candidate becomes the champion, and why."""
    declaration, inputs = context.declaration, context.inputs
    metrics = inputs["evaluate"].json("metrics.json")
    gate = declaration.spec.promote
    reasons: list[str] = []
    against: dict[str, float] | None = None
    refused = False
    if gate is not None:
        refused, reasons = check_bounds(gate, metrics[gate.metric])
        champion = rival_of(context.store, declaration.spec.name, inputs["train"].digest)
        if champion and gate.not_worse_than_champion:
            try:
                against = champion_metrics(context, champion)
            except PrefectTorchError as error:
                refused = True
                reasons.append(
                    f"the champion cannot be compared: {error}; to promote all the same, say "
                    f"promote.not_worse_than_champion: false"
                )
            else:
                higher = _higher_is_better(declaration, inputs["prepare"], gate.metric)
                worse, said = compare(gate.metric, metrics[gate.metric], against, higher)
                refused, reasons = refused or worse, [*reasons, said]
    decision = {
        "promoted": not refused,
        "reasons": reasons or ["nothing to pass: no bound is declared, and there is no champion"],
        "metrics": metrics,
        "champion": against,
    }
    text = json.dumps(decision, indent=1, ensure_ascii=False)
    (context.output / "decision.json").write_text(text + "\n", encoding="utf-8")


def check_bounds(gate: PromoteSpec, value: float) -> tuple[bool, list[str]]:
    """Return whether a bound refuses a value, and a sentence for each bound."""
    refused, reasons = False, []
    if gate.at_least is not None:
        below = not value >= gate.at_least
        sign = "is below" if below else "is at least"
        reasons.append(f"{gate.metric} {value:.6g} {sign} {gate.at_least:g}")
        refused |= below
    if gate.at_most is not None:
        above = not value <= gate.at_most
        sign = "is above" if above else "is at most"
        reasons.append(f"{gate.metric} {value:.6g} {sign} {gate.at_most:g}")
        refused |= above
    return refused, reasons


def compare(
    metric: str, value: float, against: Mapping[str, float], higher: bool
) -> tuple[bool, str]:
    """Return whether a value is worse than the champion's, and a sentence about it."""
    other = against[metric]
    no_worse = math.isnan(other) or (value >= other if higher else value <= other)
    word = "not worse" if no_worse else "worse"
    told = f"{metric} {value:.6g} is {word} than the champion's {other:.6g} on the same test rows"
    return not no_worse, told


def _higher_is_better(declaration: Declaration, prepared: Artifact, metric: str) -> bool:
    if metric == "loss":
        return False
    built = declared_metrics(declaration, prepared.json("fitted.json"), [metric])
    return improves_upwards(metric, built[metric])
